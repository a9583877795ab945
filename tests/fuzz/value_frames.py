"""LwM2M content and messages in CBOR, JSON and TLV: valid, but for one value or two that are extreme."""

import json
import struct
from typing import TYPE_CHECKING

from fuzz.source import COUNTS, FLOATS, LARGEST, Source, damaged

if TYPE_CHECKING:
    from collections.abc import Callable

PATHS = (
    "/",
    "/3",
    "/3/0",
    "/3/0/9",
    "/3/0/6/0",
    "/3/0/6",
    "/3303/0/5700",
    "/5/0/0",
    "/65535",
    "/3/0/1/2/3",
    "3",
)
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_TAGS = (0, 1, 2, 3, 4, 5, 24, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 1004, 43000, 55799, 2**63)
_NESTING = (1, 2, 15, 63, 65, 130, 1_000, 20_000)


def head(major: int, number: int) -> bytes:
    """The head of a CBOR item in its shortest form."""
    if number < 24:
        return bytes([major << 5 | number])
    for code, size in ((24, 1), (25, 2), (26, 4)):
        if number < 1 << 8 * size:
            return bytes([major << 5 | code]) + number.to_bytes(size, "big")
    return bytes([major << 5 | 27]) + (number & 2**64 - 1).to_bytes(8, "big")


def cbor_text(text: str) -> bytes:
    """A text; what is no UTF-8 goes as it comes."""
    content = text.encode("utf-8", "surrogatepass")
    return head(_TEXT, len(content)) + content


def cbor_integer(number: int) -> bytes:
    """An integer; beyond 64 bits as a bignum."""
    size = number if number >= 0 else -1 - number
    if size < 2**64:
        return head(_UNSIGNED if number >= 0 else _NEGATIVE, size)
    content = size.to_bytes(size.bit_length() // 8 + 1, "big")
    return head(_TAG, 2 if number >= 0 else 3) + head(_BYTES, len(content)) + content


def cbor_value(source: Source, depth: int = 0) -> bytes:
    """A value as LwM2M has them, or an extreme one."""
    if source.chance(3):
        return _extreme_cbor(source, depth)
    choice = source.number(7)
    if choice == 0:
        return cbor_integer(source.integer())
    if choice == 1:
        return b"\xfb" + struct.pack(">d", float(source.pick(FLOATS)))
    if choice == 2:
        return cbor_text(source.text())
    if choice == 3:
        content = source.some_bytes(12)
        return head(_BYTES, len(content)) + content
    if choice < 6 or depth > 4:
        return source.pick((b"\xf4", b"\xf5", b"\xf6", b"\xf7", b"\xf9\x7e\x00", b"\xf8\xff"))
    entries = source.some(3, lambda: cbor_integer(source.number(20)) + cbor_value(source, depth + 1))
    return head(_MAP, len(entries)) + b"".join(entries)


def _extreme_cbor(source: Source, depth: int) -> bytes:
    small = source.pick((b"\x00", b"\x80", b"\xa0", b"\x60", b"\xf6", b"\x81\x00", b"\xc1\x00"))
    count = source.pick(COUNTS)
    inner = cbor_value(source, depth + 1) if depth < 3 else b"\x00"
    choices: tuple[Callable[[], bytes], ...] = (
        lambda: head(_TAG, source.pick((2, 3))) + head(_BYTES, count) + b"\xff" * min(count, LARGEST),
        lambda: head(_ARRAY, count) + source.repeated(small),
        lambda: head(_MAP, count) + source.repeated(small + small),
        lambda: (
            source.pick((b"\x81", b"\xa1\x00", b"\xc1", b"\xd8\x1c", b"\x9f")) * source.pick(_NESTING) + inner
        ),
        lambda: head(source.number(6), source.pick((2**16, 2**32, 2**63, 2**64 - 1))) + source.some_bytes(5),
        lambda: source.pick((b"\x5f", b"\x7f", b"\x9f", b"\xbf")) + source.repeated(inner) + b"\xff",
        lambda: head(_TAG, source.pick(_TAGS)) + inner,
        lambda: source.pick((b"\xff", b"\x1c", b"\xfe", b"\x5f\x5f\xff\xff", b"\xd9\xd9\xf7")) + inner,
    )
    return source.pick(choices)()


def senml_cbor(source: Source) -> bytes:
    """A SenML pack with base fields, relative and absolute times, and fields that nobody knows."""
    keys = (-2, -3, -4, 0, 2, 3, 4, 6, 8, -5, -6, 7, 5)
    records = []
    for _ in range(1 + source.number(4)):
        entries = [cbor_integer(0) + cbor_text(source.pick(PATHS))] if not source.chance(6) else []
        entries.append(cbor_integer(source.pick((2, 2, 3, 4, 8))) + cbor_value(source))
        if source.chance(2):
            entries.append(cbor_integer(source.pick((6, -3))) + cbor_value(source))
        if source.chance(5):
            key = (
                cbor_text(source.pick(("vlo", "foo_", "x")))
                if source.chance(2)
                else cbor_integer(source.pick(keys))
            )
            entries.append(key + cbor_value(source))
        records.append(head(_MAP, len(entries)) + b"".join(entries))
    if source.chance(5):
        records.append(source.repeated(records[0]))
    return damaged(
        source,
        head(_ARRAY, len(records) if not source.chance(5) else source.pick(COUNTS)) + b"".join(records),
    )


def lwm2m_cbor(source: Source) -> bytes:
    """Maps in maps by object, instance, resource; keys may be arrays."""

    def level(depth: int) -> bytes:
        if depth > 3 or source.chance(5):
            return cbor_value(source)
        entries = []
        for _ in range(1 + source.number(2)):
            identifier = cbor_integer(source.pick((0, 3, 9, 3303, 5700, 65535, 65536, -1)))
            key = head(_ARRAY, 2) + identifier + identifier if source.chance(5) else identifier
            entries.append(key + level(depth + 1))
        return head(_MAP, len(entries)) + b"".join(entries)

    return damaged(source, level(0))


def oma_message(source: Source) -> bytes:
    """A message of the OMA binding: a map from the keys of the specification."""
    entries = [b"\x01" + cbor_integer(source.number(25)), b"\x02" + cbor_integer(source.integer())]
    for _ in range(source.number(5)):
        key = (
            cbor_integer(source.number(26))
            if not source.chance(6)
            else cbor_text(source.pick(("lt", "seq", "con")))
        )
        entries.append(key + _oma_field(source))
    return damaged(source, head(_MAP, len(entries)) + b"".join(entries))


def _oma_field(source: Source) -> bytes:
    choice = source.number(6)
    if choice == 0:
        return cbor_text(source.pick(PATHS))
    if choice == 1:
        return cbor_integer(source.pick((0, 40, 60, 110, 112, 11542, 11544)))
    if choice == 2:
        return cbor_text('</>;rt="oma.lwm2m";ct=11543,</1/0>,</3/0>')
    if choice == 3:
        content = source.pick((senml_cbor, lwm2m_cbor, tlv, senml_json))(source)
        return head(_BYTES, len(content)) + content
    return cbor_value(source)


def json_value(source: Source, depth: int = 0) -> str:
    """A JSON text: a value as LwM2M has them, or an extreme one."""
    if source.chance(3):
        return _extreme_json(source, depth)
    choice = source.number(6)
    if choice == 0:
        return str(source.number(65536))
    if choice == 1:
        return json.dumps(source.text())
    if choice == 2:
        return source.pick(("true", "false", "null", "21.5", '"AAAA"', "-0"))
    if depth > 4:
        return "0"
    if choice == 3:
        return "[" + ",".join(source.some(3, lambda: json_value(source, depth + 1))) + "]"
    entries = source.some(
        3, lambda: json.dumps(source.pick((*PATHS, "0", "9", "x"))) + ":" + json_value(source, depth + 1)
    )
    return "{" + ",".join(entries) + "}"


def _extreme_json(source: Source, depth: int) -> str:
    count, inner = source.pick(COUNTS), json_value(source, depth + 1) if depth < 3 else "0"
    nesting = source.pick(_NESTING)
    choices: tuple[Callable[[], str], ...] = (
        lambda: source.pick(("1", "-", "0.", "1e")) + "9" * count,
        lambda: source.pick(FLOATS),
        lambda: "[" * nesting + inner + "]" * nesting,
        lambda: '{"0":' * nesting + inner + "}" * nesting,
        lambda: "[" + "0," * count + "0]",
        lambda: "{" + ",".join(f'"{number}":0' for number in range(min(count, 60_000))) + "}",
        lambda: '{"a":1,"a":' + inner + "}",
        lambda: '"' + "\\u0001" * min(count, LARGEST // 6) + '"',
        lambda: '"\\ud800"',
    )
    return source.pick(choices)()


def senml_json(source: Source) -> bytes:
    """A SenML pack in JSON."""
    records = []
    for _ in range(1 + source.number(4)):
        entries = [f'"n":{json.dumps(source.pick(PATHS))}'] if not source.chance(6) else []
        entries.append(f'"{source.pick(("v", "v", "vs", "vb", "vd", "vlo"))}":{json_value(source)}')
        if source.chance(2):
            entries.append(
                f'"{source.pick(("t", "bt", "bn", "bv", "bver", "u", "foo_", "ut"))}":{json_value(source)}'
            )
        records.append("{" + ",".join(entries) + "}")
    if source.chance(5):
        records += records[:1] * min(source.pick(COUNTS), LARGEST // len(records[0]))
    return damaged(source, ("[" + ",".join(records) + "]").encode("utf-8", "surrogatepass"))


_FIELDS = (
    *(
        "endpoint",
        "lifetime",
        "version",
        "bindingMode",
        "objects",
        "token",
        "seq",
        "timestamp",
        "code",
        "values",
    ),
    *("path", "paths", "value", "operation", "attributes", "arguments", "error", "time", "records", "depth"),
)


def json_message(source: Source) -> bytes:
    """A message of the JSON profile with the fields that it has, some of another kind."""
    ordinary = {
        "endpoint": '"device-1"',
        "lifetime": "60",
        "objects": '{"3":{"0":{"0":"x"}}}',
        "code": '"2.05"',
    }
    entries = [f'"{name}":{value}' for name, value in ordinary.items() if not source.chance(4)]
    entries += [f'"{source.pick(_FIELDS)}":{json_value(source)}' for _ in range(1 + source.number(4))]
    return damaged(source, ("{" + ",".join(entries) + "}").encode("utf-8", "surrogatepass"))


def tlv(source: Source, depth: int = 0) -> bytes:
    """Entries of OMA TLV, one in another, with lengths that lie now and then."""
    parts = []
    for _ in range(1 + source.number(3)):
        nests = depth < 3 and source.chance(2)
        content = tlv(source, depth + 1) if nests else source.some_bytes(9)
        kind = source.pick((0b00, 0b10)) if nests else source.pick((0b01, 0b11))
        parts.append(_tlv_entry(kind, source.pick((0, 9, 300, 65535)), content))
    if source.chance(4):
        parts.append(
            source.repeated(source.pick((_tlv_entry(3, 9, b"\x01"), _tlv_entry(2, 6, b""), b"\x08\x00\x00")))
        )
    if source.chance(5):
        content = b""
        for _ in range(source.pick(_NESTING)):
            content = _tlv_entry(source.pick((0, 2)), 0, content)
            if len(content) > 60_000:
                break
        parts.append(content)
    return damaged(source, b"".join(parts))


def _tlv_entry(kind: int, identifier: int, content: bytes) -> bytes:
    wide, size = identifier > 255, len(content)
    length = 0 if size < 8 else 1 if size < 256 else 2 if size < 65536 else 3
    first = kind << 6 | wide << 5 | length << 3 | (size if length == 0 else 0)
    return (
        bytes([first])
        + identifier.to_bytes(1 + wide, "big")
        + (size.to_bytes(length, "big") if length else b"")
        + content
    )
