"""Sparkplug payloads in protobuf's wire format: valid, but for one field or two that are extreme."""

import gzip
import struct
import zlib

from fuzz.source import Source, damaged

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_U64 = 2**64 - 1
NAMES = ("bdSeq", "Node Control/Rebirth", "Sensors/T", "Sensors/S", "Node Control/Reboot", "ä", "")
_NAME, _ALIAS, _TIMESTAMP, _DATATYPE, _HISTORICAL, _TRANSIENT, _NULL, _METADATA, _PROPERTIES = range(1, 10)
_COMPOSITE_CARRIERS = (17, 18, 19)


def varint(number: int) -> bytes:
    """A number of up to 64 bits."""
    number &= _U64
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def field(number: int, kind: int, content: bytes) -> bytes:
    """A field with its tag; bytes get their length."""
    length = varint(len(content)) if kind == _BYTES else b""
    return varint(number << 3 | kind) + length + content


def payload(source: Source) -> bytes:
    """A whole payload, now and then in one or more envelopes of compression."""
    parts = [field(1, _VARINT, varint(source.integer()))]
    parts += [field(2, _BYTES, metric(source)) for _ in range(1 + source.number(5))]
    if not source.chance(4):
        parts.append(field(3, _VARINT, varint(source.number(256))))
    if source.chance(4):
        parts.append(source.repeated(field(source.pick((2, 2, 9, 1)), _BYTES, metric(source))))
    frame = damaged(source, b"".join(parts))
    while source.chance(3):
        frame = envelope(source, frame)
    return frame


def envelope(source: Source, content: bytes) -> bytes:
    """What Eclipse Tahu makes of a payload to compress it, with other ways to compress, too."""
    compress = source.pick((zlib.compress, _gzip, _raw, _several, _endless, bytes))
    algorithm = field(1, _BYTES, b"algorithm") + field(4, _VARINT, b"\x0c")
    parts = [
        field(4, _BYTES, source.pick((b"SPBV1.0_COMPRESSED", b"SPBV1.0_COMPRESSED", b"spbv1.0"))),
        field(5, _BYTES, damaged(source, compress(content))),
        field(2, _BYTES, algorithm + field(15, _BYTES, source.pick((b"GZIP", b"DEFLATE", b"BROTLI")))),
    ]
    return b"".join(parts[: 2 + source.number(2)])


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)  # a frame is made of its bytes alone


def _raw(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def _several(content: bytes) -> bytes:
    return 2 * _gzip(content)


def _endless(content: bytes) -> bytes:
    return zlib.compress(content + b"\x12\x02\x10\x01" * 2**20)


def metric(source: Source, depth: int = 0) -> bytes:
    """A metric: its name or alias, its datatype, a value of it or of another, and what may stand beside."""
    datatype = source.pick(range(36)) if source else 3
    parts = [field(_NAME, _BYTES, source.pick(NAMES).encode())]
    if source.chance(3):
        parts = [field(_ALIAS, _VARINT, varint(source.integer()))]
    if not source.chance(4):
        parts.append(
            field(_DATATYPE, _VARINT, varint(datatype if not source.chance(9) else source.integer()))
        )
    if source.chance(2):
        parts.append(field(_TIMESTAMP, _VARINT, varint(source.integer())))
    if source.chance(4):
        parts.append(field(source.pick((_HISTORICAL, _TRANSIENT, _NULL)), _VARINT, b"\x01"))
    if source.chance(3):
        parts.append(field(_PROPERTIES, _BYTES, properties(source)))
    if source.chance(5):
        parts.append(field(_METADATA, _BYTES, _metadata(source)))
    parts.append(
        _value(source, source.pick(range(10, 21)) if source.chance(5) else _carrier(datatype), depth)
    )
    return b"".join(parts)


def _carrier(datatype: int) -> int:
    """The field in which values of a datatype travel."""
    known = {4: 11, 8: 11, 13: 11, 9: 12, 10: 13, 11: 14, 12: 15, 14: 15, 15: 15, 16: 17, 19: 18}
    return known.get(datatype, 16 if datatype in (17, 18) or datatype > 21 else 10)


def _value(source: Source, carrier: int, depth: int) -> bytes:
    if carrier in (10, 11, 14):
        return field(carrier, _VARINT, varint(source.integer()))
    if carrier == 12:
        return field(carrier, _FIXED32, struct.pack("<I", source.integer() & 0xFFFF_FFFF))
    if carrier == 13:
        return field(carrier, _FIXED64, struct.pack("<Q", source.integer() & _U64))
    if carrier not in _COMPOSITE_CARRIERS:
        return field(
            carrier,
            _BYTES,
            source.repeated(source.some_bytes(12)) if source.chance(3) else source.some_bytes(12),
        )
    content = b"" if carrier == 19 else dataset(source) if carrier == 17 else template(source, depth)
    for _ in range(source.pick((0, 0, 1, 15, 17, 90, 300)) if source.chance(6) else 0):
        content = field(2, _BYTES, field(4, _VARINT, b"\x13") + field(18, _BYTES, content))
    return field(carrier, _BYTES, content)


def dataset(source: Source) -> bytes:
    """A table whose columns, types and cells agree, or nearly."""
    columns = source.number(4)
    types = [source.pick((3, 4, 9, 10, 11, 12, 15, 16, 34)) for _ in range(columns)]
    cell = field(3, _BYTES, b"") if source.chance(5) else field(1, _BYTES, field(1, _VARINT, b"\x01"))
    row = field(4, _BYTES, cell * (columns + source.chance(6)))
    parts = [field(1, _VARINT, varint(columns + source.chance(6)))]
    parts += [field(2, _BYTES, source.text().encode("utf-8", "replace")[:50]) for _ in range(columns)]
    packed = b"".join(varint(code) for code in types)
    parts.append(
        field(3, _BYTES, packed)
        if source.chance(2)
        else b"".join(field(3, _VARINT, bytes([c])) for c in types)
    )
    return b"".join(parts) + (source.repeated(row) if source.chance(3) else row * source.number(3))


def template(source: Source, depth: int) -> bytes:
    """A template with members and parameters, some without their type."""
    members = source.some(2, lambda: metric(source, depth + 1)) if depth < 5 else []
    parts = [field(2, _BYTES, member) for member in members]
    for _ in range(source.number(3)):
        kind = field(2, _VARINT, varint(source.pick((3, 9, 12, 0, 99)))) if not source.chance(3) else b""
        held = source.pick((field(3, _VARINT, b"\x01"), field(7, _BYTES, b"q"), b""))
        parts.append(field(3, _BYTES, field(1, _BYTES, b"p") + kind + held))
    if source.chance(3):
        parts.append(source.repeated(field(source.pick((2, 3)), _BYTES, b"")))
    parts.append(field(4, _BYTES, b"Motor"))
    return b"".join(parts)


def properties(source: Source, depth: int = 0) -> bytes:
    """A property set, its values nested, without a type or of another one now and then."""
    count = source.number(3)
    keys = [source.pick(("Quality", "engUnit", "readOnly", source.text())) for _ in range(count)]
    parts = [field(1, _BYTES, key.encode("utf-8", "replace")) for key in keys]
    for _ in range(count + source.chance(6)):
        kind = (
            field(1, _VARINT, varint(source.pick((3, 12, 11, 20, 21, 0, 77))))
            if not source.chance(3)
            else b""
        )
        parts.append(field(2, _BYTES, kind + _property_value(source, depth)))
    if source.chance(6):
        parts.append(source.repeated(field(source.pick((1, 2)), _BYTES, b"")))
    return b"".join(parts)


def _property_value(source: Source, depth: int) -> bytes:
    choice = source.number(8)
    if choice < 3:
        return field(3, _VARINT, varint(source.pick((0, 192, 500, 7, 2**31))))
    if choice < 5:
        return field(8, _BYTES, source.some_bytes(6))
    inner = properties(source, depth + 1) if depth < 3 else b""
    for _ in range(source.pick((0, 15, 17, 95)) if source.chance(4) else 0):
        inner = field(1, _BYTES, b"k") + field(
            2, _BYTES, field(1, _VARINT, b"\x14") + field(9, _BYTES, inner)
        )
    if choice == 5:
        return field(10, _BYTES, source.repeated(field(1, _BYTES, inner)))
    return field(9, _BYTES, inner) if choice == 6 else field(2, _VARINT, b"\x01")


def _metadata(source: Source) -> bytes:
    return field(source.pick((2, 5, 6, 7, 8)), _BYTES, source.some_bytes(8)) + field(
        3, _VARINT, varint(source.integer())
    )
