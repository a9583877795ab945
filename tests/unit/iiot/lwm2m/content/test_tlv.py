from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import DecodeError, IiotError
from iiot.lwm2m.content import tlv
from iiot.lwm2m.message import ObjectLink, Record
from iiot.lwm2m.path import Path, content_path
from lwm2m_vectors import DEFINITIONS, DEVICE, records

DEVICE_HEX = (
    "C800144F70656E204D6F62696C6520416C6C69616E6365C801164C69676874776569676874204D324D20436C69656E74"
    "C80209333435303030313233C303312E30860641000141010588070842000ED842011388870841007D42010384C10964"
    "C10A0F830B410000C40D5182428FC60E2B30323A3030C11055"
)
SERVICES = (
    "080026C8000B6D79536572766963652031C8010F496E7465726E65742E31352E323334C40200430000"
    "080126C8000B6D79536572766963652032C8010F496E7465726E65742E31352E323335C402FFFFFFFF"
)


def decode(hexadecimal, path):
    return tlv.decode(bytes.fromhex(hexadecimal), Path.parse(path), DEFINITIONS)


@pytest.mark.parametrize(
    ("hexadecimal", "path", "values"),
    [
        (
            "08000EC10001C101008302417F07C1037F080212C10003C101008702417F0761013601C1037F", "/2",
            {"/2/0/0": 1, "/2/0/1": 0, "/2/0/2/127": 7, "/2/0/3": 127,
             "/2/2/0": 3, "/2/2/1": 0, "/2/2/2/127": 7, "/2/2/2/310": 1, "/2/2/3": 127},
        ),
        ("08000FC10001C40100015180C10601C10755", "/1",
         {"/1/0/0": 1, "/1/0/1": 86400, "/1/0/6": True, "/1/0/7": "U"}),
        ("88000C440000420000440100420001C8010D38363133383030373535353030C40212345678", "/65/0",
         {"/65/0/0/0": ObjectLink(66, 0), "/65/0/0/1": ObjectLink(66, 1), "/65/0/1": "8613800755500",
          "/65/0/2": 0x12345678}),
        (SERVICES, "/66",
         {"/66/0/0": "myService 1", "/66/0/1": "Internet.15.234", "/66/0/2": ObjectLink(67, 0),
          "/66/1/0": "myService 2", "/66/1/1": "Internet.15.235", "/66/1/2": ObjectLink(65535, 65535)}),
        ("8606410001410105", "/3/0/6", {"/3/0/6/0": 1, "/3/0/6/1": 5}),
        ("e101f464", "/500/0/500", {"/500/0/500": 100}),
        ("c1aa00", "/500/0/170", {"/500/0/170": 0}),
        ("e1aabb80", "/500/0/43707", {"/500/0/43707": -128}),
        ("c2aa7fff", "/500/0/170", {"/500/0/170": 32767}),
        ("e2aabb8000", "/500/0/43707", {"/500/0/43707": -32768}),
        ("c4aa7fffffff", "/500/0/170", {"/500/0/170": 2147483647}),
        ("c8aa087fffffffffffffff", "/500/0/170", {"/500/0/170": 2**63 - 1}),
        ("c8aa083fbf7ced916872b0", "/501/0/170", {"/501/0/170": 0.123}),
        ("c8aa0b746573745f737472696e67", "/502/0/170", {"/502/0/170": "test_string"}),
        ("c4aa00000000", "/503/0/170", {"/503/0/170": ObjectLink(0, 0)}),
        ("c10265c20303f2c20507d0c10601c10755", "/1/0",
         {"/1/0/2": 101, "/1/0/3": 1010, "/1/0/5": 2000, "/1/0/6": True, "/1/0/7": "U"}),
        ("08000be4164441f80000e1164563", "/3303", {"/3303/0/5700": 31.0, "/3303/0/5701": "c"}),
        (DEVICE_HEX, "/3/0", {str(r.path): r.value for r in DEVICE}),
        ("080079" + DEVICE_HEX, "/3", {str(r.path): r.value for r in DEVICE}),
    ],
)  # fmt: skip
def test_vectors_both_ways(hexadecimal, path, values):
    expected = records(values)
    assert decode(hexadecimal, path) == expected
    assert tlv.encode(expected, Path.parse(path), DEFINITIONS).hex() == hexadecimal.lower()


@pytest.mark.parametrize(
    ("hexadecimal", "path", "values"),
    [
        ("410001410105", "/3/0/6", {"/3/0/6/0": 1, "/3/0/6/1": 5}),
        (DEVICE_HEX, "/3", {str(r.path): r.value for r in DEVICE}),
        ("080079" + DEVICE_HEX, "/3/0", {str(r.path): r.value for r in DEVICE}),
        ("c4a9" + "41f80000", "/9999/0/169", {"/9999/0/169": b"\x41\xf8\0\0"}),
        ("", "/3", {}),
    ],
)
def test_what_clients_also_send(hexadecimal, path, values):
    assert decode(hexadecimal, path) == records(values)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (1234, "04d2"),
        (1245823, "0013027f"),
        (127, "7f"),
        (128, "0080"),
        (-129, "ff7f"),
        (2**31, "0000000080000000"),
    ],
)
def test_integers_take_the_smallest_size(value, encoded):
    record = Record(Path.of(500, 0, 170), value)
    assert tlv.encode([record], record.path, DEFINITIONS).hex().endswith(encoded)
    assert decode(tlv.encode([record], record.path, DEFINITIONS).hex(), "/500/0/170") == (record,)


@pytest.mark.parametrize(
    ("hexadecimal", "path"),
    [
        ("0011223344556677889900", "/3/0"),
        ("c800c8", "/3/0/0"),
        ("c8", "/3/0/0"),
        (DEVICE_HEX.replace("6768747765696768", "67687477656967"), "/3/0"),
        ("c30901020304", "/3/0/9"),
        ("c10602", "/1/0/6"),
        ("c200ff80", "/3/0/0"),
        ("c3aa010203", "/503/0/170"),
        ("c10001", "/"),
        ("410001", "/3/0"),
        ("0800034100ff", "/3"),
    ],
)
def test_what_must_fail(hexadecimal, path):
    with pytest.raises(IiotError):
        decode(hexadecimal, path)


def test_a_value_beyond_24_bits_of_length_is_refused():
    record = Record(Path.of(5, 0, 0), bytes(2**24))
    with pytest.raises(DecodeError, match="at most 16777215"):
        tlv.encode([record], record.path, DEFINITIONS)


values = st.one_of(
    st.builds(Record, st.just(Path.of(504, 0, 1)), st.integers(0, 2**64 - 1)),
    st.builds(Record, st.just(Path.of(504, 0, 2)), st.integers(-(2**63), 2**63 - 1)),
    st.builds(Record, st.just(Path.of(504, 0, 3)), st.booleans()),
    st.builds(Record, st.just(Path.of(504, 0, 4)), st.binary(max_size=300) | st.just(bytes(70_000))),
    st.builds(Record, st.just(Path.of(500, 0, 1)), st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(Record, st.just(Path.of(500, 0, 2)), st.text()),
)


@given(values)
def test_every_value_comes_back(record):
    for path in (record.path, record.path.parent, record.path.parent.parent):
        assert tlv.decode(tlv.encode([record], path, DEFINITIONS), path, DEFINITIONS) == (record,)


@given(
    st.binary(max_size=60),
    st.sampled_from(["/", "/3", "/3/0", "/3/0/6", "/3303/0/5700", "/9999/1/2", "/3/0/6/1"]),
)
def test_hostile_bytes_raise_only_our_errors(payload, path):
    with suppress(IiotError):
        tlv.decode(payload, Path.parse(path), DEFINITIONS)


def test_a_new_instance_whose_id_the_device_picks_is_not_named():
    new = (Record(content_path((3306, 65535, 5850)), True),)
    assert tlv.encode(new, Path.of(3306), DEFINITIONS).hex() == "e116da01"
    assert tlv.decode(bytes.fromhex("e116da01"), content_path((3306, 65535)), DEFINITIONS) == new


@pytest.mark.parametrize(
    ("value", "hexadecimal"),
    [(0, "c11100"), (127, "c1117f"), (255, "c21100ff"), (2**63 - 1, "c811087fffffffffffffff"),
     (2**64 - 1, "c81108ffffffffffffffff")],
)  # fmt: skip
def test_unsigned_numbers_read_the_same_with_and_without_a_sign(value, hexadecimal):
    number = (Record(Path.of(1, 0, 17), value),)
    assert tlv.encode(number, Path.of(1, 0), DEFINITIONS).hex() == hexadecimal
    assert tlv.decode(bytes.fromhex(hexadecimal), Path.of(1, 0), DEFINITIONS) == number
    assert decode("c111ff", "/1/0") == records({"/1/0/17": 255})


@pytest.mark.parametrize("kind", [0b00, 0b10], ids=["instances", "multiple resources"])
@pytest.mark.parametrize("levels", [3, 5_000])
def test_what_holds_its_like_is_refused(kind, levels):
    body = b""
    for _ in range(levels):
        size = len(body).to_bytes(3)
        body = bytes([kind << 6 | 3 << 3, 1]) + size + body
    with pytest.raises(DecodeError, match="kind"):
        tlv.decode(body, Path.parse("/3/0"), DEFINITIONS)
