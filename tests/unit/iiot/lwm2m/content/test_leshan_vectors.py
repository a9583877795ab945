"""Payloads as Eclipse Leshan 2.0.0-M15 (leshan-core) encodes them, which this project did not write.

Left out are its TLVs of unsigned numbers from 2^63 on, which it writes in too few bytes.
"""

import pytest

from iiot.lwm2m import content
from iiot.lwm2m.content import Format
from iiot.lwm2m.message import Content, Record
from iiot.lwm2m.path import Path
from lwm2m_vectors import DEFINITIONS

VECTORS = [
    (
        Format.TLV,
        "/0/0",
        "c004c10a7fc60e30612fc3bc61",
        [("/0/0/4", b"", None), ("/0/0/10", 127, None), ("/0/0/14", "0a/üa", None)],
    ),
    (
        Format.TLV,
        "/6/0",
        "c800087fee42d130773b76c802084072c00000000000c4050000007fc806083dd2537bf2d93ad5",
        [
            ("/6/0/0", 1.7e308, None),
            ("/6/0/5", 127, None),
            ("/6/0/6", 6.667e-11, None),
            ("/6/0/2", 300.0, None),
        ],
    ),
    (
        Format.SENML_CBOR,
        "/0/0",
        "83a3006134084021652f302f302fa20062313002187fa200623134036630612fc3bc61",
        [("/0/0/4", b"", None), ("/0/0/10", 127, None), ("/0/0/14", "0a/üa", None)],
    ),
    (
        Format.SENML_CBOR,
        "/1/0",
        "82a300623137021bffffffffffffffff21652f312f302fa20061320201",
        [("/1/0/2", 1, None), ("/1/0/17", 18446744073709551615, None)],
    ),
    (
        Format.SENML_CBOR,
        "/",
        "83a3006134084021652f302f302fa20062313002187fa200623134036630612fc3bc61",
        [("/0/0/4", b"", None), ("/0/0/10", 127, None), ("/0/0/14", "0a/üa", None)],
    ),
    (
        Format.SENML_CBOR,
        "/",
        "82a300623137021bffffffffffffffff21652f312f302fa20061320201",
        [("/1/0/2", 1, None), ("/1/0/17", 18446744073709551615, None)],
    ),
    (
        Format.SENML_JSON,
        "/0/0/4",
        "5b7b22626e223a222f302f302f34222c227664223a22227d5d",
        [("/0/0/4", b"", None)],
    ),
    (Format.SENML_JSON, "/1/0/2", "5b7b22626e223a222f312f302f32222c2276223a317d5d", [("/1/0/2", 1, None)]),
    (
        Format.SENML_JSON,
        "/3/0/18",
        "5b7b22626e223a222f332f302f3138222c227673223a225c2261c3bc612f20e282ac5c2220227d5d",
        [("/3/0/18", '"aüa/ €" ', None)],
    ),
    (Format.SENML_CBOR, "/0/0/4", "81a2084021662f302f302f34", [("/0/0/4", b"", None)]),
    (Format.SENML_CBOR, "/1/0/2", "81a2020121662f312f302f32", [("/1/0/2", 1, None)]),
    (Format.TEXT, "/3/0/18", "2261c3bc612f20e282ac2220", [("/3/0/18", '"aüa/ €" ', None)]),
    (Format.TEXT, "/6/0/0", "312e3745333038", [("/6/0/0", 1.7e308, None)]),
    (
        Format.TEXT,
        "/7/0/4",
        "2d39323233333732303336383534373735383038",
        [("/7/0/4", -9223372036854775808, None)],
    ),
    (Format.CBOR, "/3/0/18", "6c2261c3bc612f20e282ac2220", [("/3/0/18", '"aüa/ €" ', None)]),
    (Format.CBOR, "/6/0/0", "fb7fee42d130773b76", [("/6/0/0", 1.7e308, None)]),
    (Format.CBOR, "/7/0/4", "3b7fffffffffffffff", [("/7/0/4", -9223372036854775808, None)]),
]


@pytest.mark.parametrize(("form", "path", "hexadecimal", "values"), VECTORS)
def test_what_leshan_writes_is_read(form, path, hexadecimal, values):
    expected = {(Record(Path.parse(name), value, time)) for name, value, time in values}
    payload = bytes.fromhex(hexadecimal)
    assert set(content.decode(Content(form, payload), Path.parse(path), DEFINITIONS)) == expected
    again = content.encode(form, sorted(expected, key=lambda r: r.path), Path.parse(path), DEFINITIONS)
    assert set(content.decode(Content(form, again), Path.parse(path), DEFINITIONS)) == expected
