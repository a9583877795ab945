import contextlib
import math
import struct
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import DecodeError, InvalidValueError
from iiot.sparkplug.datatypes import CARRIERS, DataType, datatype_of, decode_value, encode_value
from sparkplug_strategies import PLAIN, VALUES


@pytest.mark.parametrize("datatype", PLAIN)
@given(data=st.data())
def test_every_value_survives_the_round_trip(datatype, data):
    value = data.draw(VALUES[datatype])
    assert decode_value(datatype, encode_value(datatype, value)) == value


@pytest.mark.parametrize(
    ("datatype", "value", "raw"),
    [
        (DataType.INT8, -1, 0xFFFFFFFF),
        (DataType.INT16, -3, 0xFFFFFFFD),
        (DataType.INT32, -2, 0xFFFFFFFE),
        (DataType.INT64, -3, 2**64 - 3),
        (DataType.UINT64, 2**64 - 1, 2**64 - 1),
        (DataType.INT8_ARRAY, (-23, 123), bytes.fromhex("e97b")),
        (DataType.INT16_ARRAY, (-30000, 30000), bytes.fromhex("d08a3075")),
        (DataType.INT32_ARRAY, (-1, 315338746), bytes.fromhex("fffffffffaafcb12")),
        (DataType.UINT8_ARRAY, (23, 250), bytes.fromhex("17fa")),
        (DataType.UINT16_ARRAY, (30, 52360), bytes.fromhex("1e0088cc")),
        (DataType.FLOAT_ARRAY, (1.5, -2.0), struct.pack("<ff", 1.5, -2.0)),
        (DataType.BOOLEAN_ARRAY, tuple(map(bool, map(int, "001101001101"))), bytes.fromhex("0c00000034d0")),
        (DataType.STRING_ARRAY, ("ABC", "hello"), b"ABC\0hello\0"),
        (DataType.STRING_ARRAY, (), b""),
        (DataType.DATE_TIME_ARRAY, (1_700_000_000_000,), struct.pack("<Q", 1_700_000_000_000)),
    ],
)  # fmt: skip
def test_wire_form(datatype, value, raw):
    assert encode_value(datatype, value) == raw
    assert decode_value(datatype, raw) == value


@pytest.mark.parametrize(
    ("datatype", "raw", "value"),
    [
        (DataType.INT8, 0xD6, -42),
        (DataType.INT8, 2**64 - 42, -42),
        (DataType.INT16, 0xFFA9, -87),
        (DataType.INT64, 2**64 - 3, -3),
        (DataType.UINT16, 2**64 - 1, 65535),
        (DataType.INT32, 2**64 - 5, -5),
        (DataType.UINT8, 0xFFFFFF80, 128),
        (DataType.BOOLEAN, 1, True),
    ],
)
def test_forms_of_peers_are_understood(datatype, raw, value):
    result = decode_value(datatype, raw)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.INT8, 128),
        (DataType.INT8, 1.0),
        (DataType.UINT32, -1),
        (DataType.INT32, True),
        (DataType.FLOAT, 1e39),
        (DataType.FLOAT, "1"),
        (DataType.DOUBLE, 10**400),
        (DataType.BOOLEAN, 1),
        (DataType.STRING, b"x"),
        (DataType.STRING, "\ud800"),
        (DataType.UUID, "not-a-uuid"),
        (DataType.BYTES, "x"),
        (DataType.UINT8_ARRAY, (256,)),
        (DataType.INT8_ARRAY, 5),
        (DataType.BOOLEAN_ARRAY, (1,)),
        (DataType.STRING_ARRAY, ("a\0b",)),
        (DataType.STRING_ARRAY, "text"),
        (DataType.DATA_SET, ()),
        (DataType.UNKNOWN, 1),
    ],
)
def test_values_out_of_range_name_what_is_allowed(datatype, value):
    with pytest.raises(InvalidValueError, match=r"^Sensors/X: got .*, allowed: ."):
        encode_value(datatype, value, "Sensors/X")


@pytest.mark.parametrize(
    ("datatype", "raw"),
    [
        (DataType.UINT8, 256),
        (DataType.UINT8, 300),
        (DataType.UINT16, 65536),
        (DataType.UINT32, 2**32),
        (DataType.INT8, 256),
        (DataType.INT8, 0xFFFFFF7F),
        (DataType.INT16, 0x1FFFD),
        (DataType.INT32, 2**32 + 5),
        (DataType.INT32, 2**64 - 2**31 - 1),
        (DataType.FLOAT, 1e300),
        (DataType.BOOLEAN, 2),
        (DataType.UUID, "not-a-uuid"),
        (DataType.INT16_ARRAY, b"odd"),
        (DataType.STRING_ARRAY, b"unterminated"),
        (DataType.BOOLEAN_ARRAY, b"\1\0"),
        (DataType.PROPERTY_SET, 1),
    ],
)
def test_a_value_outside_its_type_is_refused_and_never_cut(datatype, raw):
    with pytest.raises(DecodeError, match=rf"^value: got .*, allowed: .*{datatype.label}"):
        decode_value(datatype, raw)


def test_a_refusal_shows_the_beginning_of_a_large_value():
    with pytest.raises(DecodeError) as refusal:
        decode_value(DataType.INT8, "x" * 1_000_000)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("datatype", DataType)
@given(raw=st.integers(0, 2**64 - 1) | st.floats() | st.booleans() | st.text() | st.binary())
def test_any_carrier_content_is_a_value_or_a_decode_error(datatype, raw):
    with contextlib.suppress(DecodeError):
        decode_value(datatype, raw)


def test_a_count_of_booleans_beyond_the_data_is_refused():
    with pytest.raises(DecodeError, match="4294967295 values announced, 8 present"):
        decode_value(DataType.BOOLEAN_ARRAY, b"\xff\xff\xff\xff\x00")


def test_not_a_number_and_infinity_travel():
    assert math.isnan(decode_value(DataType.DOUBLE, encode_value(DataType.DOUBLE, math.nan)))
    assert decode_value(DataType.FLOAT, encode_value(DataType.FLOAT, -math.inf)) == -math.inf


def test_codes_and_labels():
    assert sorted(DataType) == list(range(35))
    assert [datatype_of(code).label for code in (8, 13, 15, 16, 29, 34)] == [
        "UInt64", "DateTime", "UUID", "DataSet", "UInt64Array", "DateTimeArray",
    ]  # fmt: skip
    assert [CARRIERS[datatype] for datatype in (DataType.INT8, DataType.DATE_TIME, DataType.TEMPLATE)] == [
        "int_value", "long_value", "template_value",
    ]  # fmt: skip
    with pytest.raises(DecodeError, match="unknown datatype 35"):
        datatype_of(35)


def test_uuid_text_of_peers_is_kept_as_it_is():
    text = str(uuid.UUID(int=5)).upper()
    assert decode_value(DataType.UUID, text) == text
