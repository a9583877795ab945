from contextlib import suppress

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.budgets import BudgetError
from iiot.errors import DecodeError, IiotError, InvalidValueError
from iiot.lwm2m.content import Format, cbor, decode, encode, text
from iiot.lwm2m.datatypes import Type, coerce
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
        for path in ("/3/0/6/0", "/3/0/9"):
            with pytest.raises(InvalidValueError, match="format"):
                encode(form, records({path: 1}), Path.parse(path).parent, DEFINITIONS)
    with pytest.raises(InvalidValueError, match="opaque"):
        encode(Format.OPAQUE, records({"/3/0/0": "x"}), Path.of(3, 0, 0), DEFINITIONS)


def test_types_come_from_the_definitions():
    assert (
        one(Format.SENML_CBOR, bytes.fromhex("81a202182d216c2f333330332f302f35373030"), "/3303/0/5700")
        == 45.0
    )
    assert type(one(Format.SENML_JSON, b'[{"n":"/3303/0/5700","v":45}]', "/3303")) is float


@pytest.mark.parametrize("hexadecimal", ["", "01 02", "18", "9f01", "62c328", "a201010102", "81" * 600])
def test_cbor_is_one_item(hexadecimal):
    with pytest.raises(DecodeError):
        cbor.load(bytes.fromhex(hexadecimal))


@pytest.mark.parametrize(
    ("hexadecimal", "what"),
    [
        ("c1fb7ff0000000000000", "a time"),
        ("c11bffffffffffffffff", "a time"),
        ("c07819323032362d31312d33305432353a30303a30302b30303a3030", "a date"),
        ("c249010000000000000000", "an integer of 72 bits"),
        ("c259138b" + "ff" * 5003, "an integer of 40024 bits"),
        ("c359138b" + "ff" * 5003, "an integer of 40024 bits"),
        ("c4821a7fffffff01", "a decimal fraction"),
        ("c482c249010000000000000000" + "01", "a decimal fraction"),
        ("c5821a7fffffff01", "a bigfloat"),
        ("c58219044c1bffffffffffffffff", "a bigfloat"),
        ("d81c81d81d00", "a value with a tag"),
        ("d81e820100", "a value with a tag"),
        ("d823662828612b292b", "a value with a tag"),
        ("d903e901", "a value with tag 1001"),
        ("fb7ff0000000000000", "inf"),
        ("f97e00", "nan"),
        ("f7", "undefined"),
        ("f820", "CBORSimpleValue"),
        ("81f5", "True"),
        ("f6", "nothing"),
    ],
)
def test_numbers_and_tags_that_no_resource_holds_are_named_and_never_made(hexadecimal, what):
    with pytest.raises(InvalidValueError, match=what) as refused:
        cbor.scalar(cbor.load(bytes.fromhex(hexadecimal)), "/3303/0/5700")
    assert refused.value.field == "/3303/0/5700"


@pytest.mark.parametrize(
    ("hexadecimal", "value"),
    [
        ("c482001a1dcd6504", 500000004),
        ("c48221196ab3", 273.15),
        ("c58220 03", 1.5),
        ("c248ffffffffffffffff", 2**64 - 1),
        ("c24a0000ffffffffffffffff", 2**64 - 1),
        ("c3487fffffffffffffff", -(2**63)),
        ("c11a5182428f", 1367491215),
        ("c074323031332d30352d30325431303a34303a31355a", 1367491215),
        ("d9d9f705", 5),
    ],
)
def test_numbers_and_times_in_every_form_of_cbor(hexadecimal, value):
    assert cbor.scalar(cbor.load(bytes.fromhex(hexadecimal)), "x") == value


@pytest.mark.parametrize(
    ("payload", "budget"),
    [(b"\x81" * 70 + b"\x01", "levels"), (b"\xc6" * 70 + b"\x01", "levels")]
    + [
        (head + item * 60_000, "elements")
        for head in (b"\x9a\x00\x00\xea\x60",)
        for item in (b"\x80", b"\xa0", b"\x01")
    ],
)
def test_what_costs_more_than_its_budget_is_refused_by_name(payload, budget):
    with pytest.raises(BudgetError) as refused:
        cbor.load(payload)
    assert refused.value.budget == budget
    with pytest.raises(BudgetError) as refused:
        decode(Content(Format.SENML_CBOR, payload), Path.of(3), DEFINITIONS)


@pytest.mark.parametrize(
    "head",
    [
        "9bffffffffffffffff",
        "bbffffffffffffffff",
        "5bffffffffffffffff",
        "7b7fffffffffffffff",
        "9b7fffffffffffffff",
    ],
)
def test_lengths_of_what_is_not_there_cost_nothing(head):
    with pytest.raises(DecodeError):
        cbor.load(bytes.fromhex(head) + b"\x00" * 60_000)


def test_large_ordinary_items_are_within_the_budgets():
    strings = ["x" * length for length in (0, 23, 24, 255, 256, 65_536)]
    assert cbor.load(cbor2.dumps([*strings, b"\x80" * 200_000])) == [*strings, b"\x80" * 200_000]


@given(
    st.sampled_from([*Format, 0, 1, 99999]),
    st.binary(max_size=50),
    st.sampled_from(["/3", "/3/0", "/3/0/9", "/5/0/0"]),
)
def test_hostile_bytes_raise_only_our_errors(form, payload, path):
    with suppress(IiotError):
        decode(Content(form, payload), Path.parse(path), DEFINITIONS)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Type.OBJLNK, "1" * 5000 + ":1"), (Type.OBJLNK, "1:" + "0" * 5000), (Type.TIME, "1" * 5000),
        (Type.INTEGER, 2**64), (Type.INTEGER, 1e308), (Type.UNSIGNED, 2**64), (Type.UNSIGNED, -1),
        (Type.FLOAT, 10**400),
        (Type.FLOAT, float("nan")), (Type.TIME, float("inf")), (Type.TIME, 1e300), (Type.BOOLEAN, 2**64),
    ],
)  # fmt: skip
def test_what_is_too_long_or_large_for_a_type(kind, value):
    with pytest.raises(InvalidValueError):
        coerce(kind, value, "x")


@pytest.mark.parametrize(
    "kind", [Type.INTEGER, Type.UNSIGNED, Type.FLOAT, Type.TIME, Type.OBJLNK, Type.BOOLEAN]
)
@pytest.mark.parametrize(
    "value", ["9" * 5000, "1e9999", "-1e9999", "nan", "inf", "0x10", "1_0", "1:" + "9" * 5000]
)
def test_numbers_in_text_are_bounded_too(kind, value):
    with pytest.raises(InvalidValueError):
        text.decode(value, kind)
