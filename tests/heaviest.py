"""The largest messages that the broker lets through, each in a shape that costs a decoder most.

Some are within the budgets, and just large; most are not. All fit into one MQTT packet of 1 MiB.
"""

import gzip
import json
import zlib

from fuzz.sparkplug_frames import field, varint
from fuzz.value_frames import cbor_text, head

PACKET = 1024 * 1024 - 512
"""Bytes that are left beside the topic, the packet's head and its properties."""
_METRICS, _SEQ, _UUID, _BODY = 2, 3, 4, 5


def _filled(part: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    return before + part * ((PACKET - len(before) - len(after)) // len(part)) + after


def _wrapped(number: int, content: bytes) -> bytes:
    return field(number, 2, content)


def _metric(value: bytes, datatype: int) -> bytes:
    name = field(1, 2, b"Heavy") + field(4, 0, varint(datatype))
    return _wrapped(_METRICS, name + value) + field(_SEQ, 0, b"\x01")


def _inside(carrier: int, datatype: int, part: bytes) -> bytes:
    """One metric whose value is as many of a part as fit."""
    return _metric(_wrapped(carrier, part * ((PACKET - 64) // len(part))), datatype)


def _nested(levels: int, wrap) -> bytes:
    content = b""
    for _ in range(levels):
        if len(content) > PACKET - 100:
            break
        content = wrap(content)
    return content


def _envelope(body: bytes) -> bytes:
    return _wrapped(_UUID, b"SPBV1.0_COMPRESSED") + _wrapped(_BODY, body)


def _metrics(count: int) -> bytes:
    """As many named Int64 as there may be in a message, or fit."""
    parts = [
        _wrapped(_METRICS, field(1, 2, b"m%d" % number) + field(4, 0, b"\x04") + field(11, 0, b"\x07"))
        for number in range(count)
    ]
    return b"".join(parts)[:PACKET] if count <= 20_000 else b"".join(parts)


_PROPERTY = _wrapped(1, b"k") + _wrapped(2, field(1, 0, b"\x03") + field(3, 0, b"\x01"))
_ROW = _wrapped(4, _wrapped(1, field(1, 0, b"\x01")))
_TABLE = field(1, 0, b"\x01") + _wrapped(2, b"c") + field(3, 0, b"\x03")

SPARKPLUG = {
    "empty metrics": _filled(b"\x12\x00"),
    "metrics that are null": _filled(b"\x12\x02\x10\x01"),
    "zlib of 4 MB": _envelope(zlib.compress(b"\x12\x02\x10\x01" * 2**20)),
    "zlib of 16 MB": _envelope(zlib.compress(b"\x12\x00" * 2**23)),
    "gzip of 1 GB": _envelope(gzip.compress(bytes(2**20)) * 1000)[:PACKET],
    "gzip in zlib in gzip": _envelope(gzip.compress(_envelope(zlib.compress(_filled(b"\x12\x00"))))),
    "20,000 metrics": _metrics(20_000) + field(_SEQ, 0, b"\x00"),
    "40,000 metrics": _metrics(40_000),
    "booleans": _inside(16, 32, varint(0) + b"\xff" * 16)[:PACKET],
    "8 million booleans": _metric(
        _wrapped(16, (8 * (PACKET - 100)).to_bytes(4, "little") + b"\xff" * (PACKET - 100)), 32
    ),
    "bytes as Int8": _inside(16, 22, b"\x80"),
    "empty texts": _inside(16, 33, b"\0"),
    "escapes": _inside(15, 12, b"\x01"),
    "bytes": _inside(16, 17, b"\xff"),
    "cells": _metric(_wrapped(17, _TABLE + _ROW * ((PACKET - 100) // len(_ROW))), 16),
    "empty rows": _inside(17, 16, b"\x22\x00"),
    "column types": _metric(_wrapped(17, _wrapped(3, b"\x03" * (PACKET - 64))), 16),
    "members": _inside(18, 19, b"\x12\x00"),
    "parameters": _inside(18, 19, b"\x1a\x00"),
    "properties": _metric(_wrapped(9, _PROPERTY * ((PACKET - 64) // len(_PROPERTY))), 3),
    "templates in templates": _metric(
        _wrapped(18, _nested(90, lambda inner: _wrapped(2, field(4, 0, b"\x13") + _wrapped(18, inner)))), 19
    ),
    "property sets in property sets": _metric(
        _wrapped(
            9,
            _nested(
                90, lambda inner: _wrapped(1, b"k") + _wrapped(2, field(1, 0, b"\x14") + _wrapped(9, inner))
            ),
        ),
        3,
    ),
    "groups": _filled(b"\x33"),
    "unknown fields": _filled(b"\x38\x01"),
    "no protobuf": _filled(b"\xff"),
}
"""Sparkplug payloads by what they are made of."""


def _deep(opening: str, closing: str) -> bytes:
    levels = PACKET // (len(opening) + len(closing)) - 10
    return ('{"values":' + opening * levels + "1" + closing * levels + "}").encode()


LWM2M_JSON = {
    "nested arrays": _deep("[", "]"),
    "nested objects": _deep('{"a":', "}"),
    "digits": b'{"values":{"/3303/0/5700":' + b"9" * (PACKET - 60) + b"}}",
    "fraction": b'{"values":{"/3303/0/5700":0.' + b"9" * (PACKET - 60) + b"}}",
    "small numbers": b'{"values":[' + b"1," * (PACKET // 2 - 30) + b"1]}",
    "paths": json.dumps({"values": {f"/3303/{number}/5700": 1 for number in range(45_000)}}).encode(),
    "wrong paths": json.dumps({"values": {f"x{number}": 1 for number in range(75_000)}}).encode(),
    "unknown members": json.dumps({f"m{number}": 1 for number in range(75_000)}).encode(),
    "one key many times": b'{"values":{' + b'"/3/0/9":1,' * ((PACKET - 60) // 11) + b'"/3/0/9":1}}',
    "escapes": b'{"values":{"/3/0/0":"' + rb"\u0001" * ((PACKET - 60) // 6) + b'"}}',
    "text": b'{"values":{"/3/0/0":"' + b"x" * (PACKET - 60) + b'"}}',
    "blanks": b" " * (PACKET - 2) + b"{}",
    "no JSON": b"[" * PACKET,
}
"""Bodies of the JSON profile."""


def _oma_send(form: int, content: bytes) -> bytes:
    """A Send of the OMA binding: operation 24, a token, the format and the content."""
    content = content[: PACKET - 40]
    entries = [
        b"\x01\x18\x18",
        b"\x02\x07",
        b"\x13" + head(0, form),
        b"\x07" + head(2, len(content)) + content,
    ]
    return head(5, len(entries)) + b"".join(entries)


def _records(count: int) -> bytes:
    parts = [
        head(5, 2) + b"\x00" + cbor_text(f"/3303/{number % 65000}/5700") + b"\x02" + b"\x18\x2a"
        for number in range(count)
    ]
    return head(4, count) + b"".join(parts)


_ROOM = PACKET - 64
CONTENT = {
    "SenML CBOR: records": (112, _records(45_000)),
    "SenML CBOR: empty records": (112, head(4, _ROOM) + b"\xa0" * _ROOM),
    "SenML CBOR: nested": (112, b"\x81" * _ROOM + b"\x00"),
    "SenML CBOR: tags": (112, b"\x81\xa1\x02" + b"\xc1" * _ROOM + b"\x00"),
    "SenML CBOR: one long integer": (
        112,
        b"\x81\xa2\x00\x67/3/0/13\x02\xc2" + head(2, _ROOM) + b"\xff" * _ROOM,
    ),
    "SenML CBOR: long integers": (112, head(4, 8_000) + (b"\xa1\x02\xc2\x58\x78" + b"\xff" * 120) * 8_000),
    "SenML CBOR: texts without end": (112, b"\x81\xa1\x03\x7f" + b"\x60" * _ROOM + b"\xff"),
    "SenML CBOR: a length that lies": (112, b"\x9b\x00\x00\x00\x00\xff\xff\xff\xff" + b"\x00" * 100),
    "SenML JSON: records": (110, b"[" + b'{"n":"/3/0/9","v":1},' * (_ROOM // 21) + b'{"n":"/3/0/9","v":1}]'),
    "SenML JSON: digits": (110, b'[{"n":"/3/0/9","v":' + b"9" * _ROOM + b"}]"),
    "SenML JSON: nested": (110, b"[" * (_ROOM // 2) + b"]" * (_ROOM // 2)),
    "LwM2M CBOR: instances": (
        11544,
        b"\xa1\x19\x0c\xe7"
        + head(5, 60_000)
        + b"".join(head(0, n) + b"\xa1\x19\x16\x44\x01" for n in range(60_000)),
    ),
    "LwM2M CBOR: nested": (11544, b"\xa1\x00" * (_ROOM // 2) + b"\x00"),
    "TLV: resources": (11542, b"\xc1\x09\x01" * (_ROOM // 3)),
    "TLV: empty instances": (11542, b"\x00\x00" * (_ROOM // 2)),
    "CBOR: one long integer": (60, b"\xc2" + head(2, _ROOM) + b"\xff" * _ROOM),
}
"""Content of a Send by its format."""

LWM2M_OMA = {
    **{name: _oma_send(form, content) for name, (form, content) in CONTENT.items()},
    "binding: fields": head(5, 60_000) + b"".join(head(0, number) + b"\x01" for number in range(60_000)),
    "binding: nested": b"\xa1\x01" * (PACKET // 2),
    "binding: a long integer": b"\xa2\x01\x18\x18\x02\xc2" + head(2, PACKET - 30) + b"\xff" * (PACKET - 30),
    "binding: links": b"\xa4\x01\x06\x02\x07\x08\x18\x3c\x07"
    + head(2, 12 * 80_000)
    + b"".join(b"</%05d/%02d>," % (number % 65000, number % 64) for number in range(80_000))[: 12 * 80_000],
}
"""Messages of the OMA binding."""
