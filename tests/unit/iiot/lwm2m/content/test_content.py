from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import DecodeError, IiotError, InvalidValueError
from iiot.lwm2m.content import Format, cbor, decode, encode, text
from iiot.lwm2m.datatypes import Type
from iiot.lwm2m.message import Content, ObjectLink
from iiot.lwm2m.path import Path
from lwm2m_vectors import DEFINITIONS, DEVICE, records

TREE = (Format.SENML_JSON, Format.SENML_CBOR, Format.TLV, Format.LWM2M_CBOR)


def one(form, payload, path):
    (record,) = decode(Content(form, payload), Path.parse(path), DEFINITIONS)
    return record.value


@pytest.mark.parametrize("form", TREE)
def test_one_object_in_every_format(form):
    payload = encode(form, DEVICE, Path.of(3, 0), DEFINITIONS)
    assert decode(Content(form, payload), Path.of(3, 0), DEFINITIONS) == DEVICE


@pytest.mark.parametrize(
    ("path", "written", "value"),
    [
        ("/3303/0/5700", "56.4", 56.4),
        ("/3303/0/5700", "0.00000000006667", 6.667e-11),
        ("/3303/0/5700", "-300.0", -300.0),
        ("/3/0/13", "1367491215", 1367491215),
        ("/5/0/0", "AQIDBAU=", b"\1\2\3\4\5"),
        ("/3312/0/5850", "1", True),
        ("/3312/0/5850", "0", False),
        ("/1/0/10", "66:0", ObjectLink(66, 0)),
        ("/3/0/14", "+02:00", "+02:00"),
        ("/1/0/1", "60", 60),
    ],
)
def test_plain_text_both_ways(path, written, value):
    assert one(Format.TEXT, written.encode(), path) == value
    assert encode(Format.TEXT, records({path: value}), Path.parse(path), DEFINITIONS) == written.encode()


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        (Type.FLOAT, "1e3", 1000.0),
        (Type.FLOAT, " 5 ", 5.0),
        (Type.BOOLEAN, "True", True),
        (Type.INTEGER, "+7", 7),
        (Type.TIME, "2013-05-02T10:40:15Z", 1367491215),
    ],
)
def test_plain_text_that_is_tolerated(kind, written, value):
    assert text.decode(written, kind) == value


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (Type.FLOAT, "nan"), (Type.FLOAT, "inf"), (Type.FLOAT, ""), (Type.FLOAT, "1_0"),
        (Type.FLOAT, "1e999"),
        (Type.INTEGER, "1.5"), (Type.INTEGER, "9" * 30), (Type.INTEGER, "\u0661"), (Type.BOOLEAN, "2"),
        (Type.OPAQUE, "?"), (Type.OBJLNK, "66"), (Type.TIME, "later"),
    ],
)  # fmt: skip
def test_plain_text_that_must_fail(kind, written):
    with pytest.raises(InvalidValueError):
        text.decode(written, kind)


def test_single_values_in_cbor_and_octets():
    assert one(Format.CBOR, bytes.fromhex("fb403719999999999a"), "/3303/0/5700") == 23.1
    for time in ("c11a5182428f", "1a5182428f", "c074323031332d30352d30325431303a34303a31355a"):
        assert one(Format.CBOR, bytes.fromhex(time), "/3/0/13") == 1367491215
    now = records({"/3/0/13": 1367491215})
    assert encode(Format.CBOR, now, Path.of(3, 0, 13), DEFINITIONS).hex() == "c11a5182428f"
    assert encode(
        Format.CBOR, records({"/1/0/10": ObjectLink(66, 0)}), Path.of(1, 0, 10), DEFINITIONS
    ).hex() == ("6436363a30")
    assert one(Format.OPAQUE, b"\0\1", "/5/0/0") == b"\0\1"
    assert encode(Format.OPAQUE, records({"/5/0/0": b"\0\1"}), Path.of(5, 0, 0), DEFINITIONS) == b"\0\1"


@pytest.mark.parametrize(
    ("form", "payload", "path"),
    [
        (Format.TEXT, b"\xff", "/3/0/0"),
        (Format.TEXT, b"x", "/3/0"),
        (Format.OPAQUE, b"x", "/3/0/0"),
        (Format.CBOR, b"\x80", "/3/0/0"),
        (Format.CBOR, b"\x01\x02", "/3/0/9"),
        (Format.LINK, b"</3>", "/3"),
        (Format.SENML_JSON, b'[{"n":"/3/0/9","vs":"x"}]', "/3/0"),
        (1541, b"x", "/3/0/0"),
    ],
)
def test_what_must_fail(form, payload, path):
    with pytest.raises(IiotError):
        decode(Content(form, payload), Path.parse(path), DEFINITIONS)


def test_formats_that_cannot_say_it():
    for form in (Format.TEXT, Format.OPAQUE, Format.CBOR, Format.LINK):
        with pytest.raises(InvalidValueError, match="format"):
            encode(form, DEVICE, Path.of(3, 0), DEFINITIONS)
    with pytest.raises(InvalidValueError, match="opaque"):
        encode(Format.OPAQUE, records({"/3/0/0": "x"}), Path.of(3, 0, 0), DEFINITIONS)


def test_types_come_from_the_definitions():
    assert (
        one(Format.SENML_CBOR, bytes.fromhex("81a202182d216c2f333330332f302f35373030"), "/3303/0/5700")
        == 45.0
    )
    assert type(one(Format.SENML_JSON, b'[{"n":"/3303/0/5700","v":45}]', "/3303")) is float


@pytest.mark.parametrize(
    "hexadecimal", ["", "01 02", "18", "9f01", "62c328", "c1fb7ff0000000000000", "81" * 600]
)
def test_cbor_is_one_item(hexadecimal):
    with pytest.raises(DecodeError):
        cbor.load(bytes.fromhex(hexadecimal))


def test_hostile_decimal_fractions_cost_nothing():
    with pytest.raises(DecodeError):
        cbor.scalar(cbor.load(bytes.fromhex("c4821a7fffffff01")))
    assert cbor.number(cbor.load(bytes.fromhex("c482001a1dcd6504"))) == 500000004


@given(
    st.sampled_from([*Format, 0, 1, 99999]),
    st.binary(max_size=50),
    st.sampled_from(["/3", "/3/0", "/3/0/9", "/5/0/0"]),
)
def test_hostile_bytes_raise_only_our_errors(form, payload, path):
    with suppress(IiotError):
        decode(Content(form, payload), Path.parse(path), DEFINITIONS)
