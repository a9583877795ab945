"""Sparkplug payloads that are small on the wire and large in memory, for every decoder to refuse cheaply."""

import gzip
import zlib

MIB = 1 << 20


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, content):
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def many(part, size=MIB - 64):
    return part * (size // len(part))


def nested(wrap, levels):
    core = b""
    for _ in range(levels):
        core = wrap(core)
    return core


def envelope(body):
    return field(4, b"SPBV1.0_COMPRESSED") + field(5, body)


def metric(content):
    return field(2, content)


def template(content):
    return metric(field(18, content))


def dataset(content):
    return metric(field(17, content))


def properties(content):
    return metric(field(9, content))


def array(code, content):
    return metric(varint(4 << 3) + varint(code) + field(16, content))


_BITS = (8 * (MIB - 200)).to_bytes(4, "little") + bytes(MIB - 200)
_DEEP_TEMPLATE = nested(lambda inner: field(2, field(18, inner)), 17)
_DEEP_PROPERTIES = metric(field(9, nested(lambda inner: field(1, b"k") + field(2, field(9, inner)), 17)))

PLAIN = {
    "empty metrics": many(b"\x12\x00"),
    "metrics of an alias": many(b"\x12\x02\x10\x01"),
    "metrics between scalars": many(b"\x12\x00\x08\x01"),
    "metrics between unknown texts": many(b"\x12\x00\x7a\x00"),
    "metrics with long tags": many(b"\x92\x00\x00"),
    "metrics between large ones": many(b"\x12\x00" * 900 + metric(field(1, b"n" * 120))),
    "members of a template": template(many(b"\x12\x00")),
    "parameters of a template": template(many(b"\x1a\x00")),
    "templates with members": many(template(b"\x12\x00" * 60)),
    "cells": dataset(field(4, many(b"\x0a\x00"))),
    "rows": dataset(many(b"\x22\x00")),
    "columns": dataset(many(b"\x12\x00")),
    "column types": dataset(many(b"\x18\x01")),
    "packed column types": dataset(field(3, many(b"\x01"))),
    "properties": properties(many(b"\x12\x00")),
    "keys of properties": properties(many(b"\x0a\x00")),
    "property sets in a list": properties(field(2, field(10, many(b"\x0a\x00")))),
    "bits of a BooleanArray": array(32, _BITS),
    "bits of many BooleanArrays": many(array(32, (320).to_bytes(4, "little") + bytes(40))),
    "entries of an Int8Array": array(22, bytes(MIB - 64)),
    "entries of a StringArray": array(33, bytes(MIB - 64)),
    "deep templates": _DEEP_TEMPLATE,
    "deep properties": _DEEP_PROPERTIES,
    "deep templates in a large message": _DEEP_TEMPLATE + many(b"\x08\x01", 100_000),
    "groups": many(b"\x7b\x7c"),
    "names of one metric": metric(many(b"\x0a\x00")),
    "unknown numbers with long tags": many(b"\x80\x7d\x00"),
}
"""Not compressed, up to 1 MiB."""

_BOMB = many(b"\x12\x02\x10\x01", 4 * MIB)
_FITS = metric(field(1, b"a") + b"\x20\x03\x50\x07")

COMPRESSED = {
    "4 kB of zlib": envelope(zlib.compress(_BOMB)),
    "4 kB of gzip": envelope(gzip.compress(_BOMB)),
    "8 million metrics": envelope(zlib.compress(many(b"\x12\x00", 16 * MIB))),
    "many gzip members": envelope(gzip.compress(bytes(MIB // 4)) * 8),
    "many empty gzip members": envelope(many(gzip.compress(b""))),
    **{f"compressed {name}": envelope(zlib.compress(data)) for name, data in PLAIN.items()},
    "an envelope in an envelope": envelope(zlib.compress(envelope(zlib.compress(_FITS)))),
    "a bomb in an envelope in an envelope": envelope(zlib.compress(envelope(zlib.compress(_BOMB)))),
}

HOSTILE = {**PLAIN, **COMPRESSED}
