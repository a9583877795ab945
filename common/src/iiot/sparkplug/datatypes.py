"""Sparkplug datatypes and how their values travel (specification 3.0, sections 6.4.16 and 6.4.17).

A value travels in a *carrier*: one member of the protobuf oneof `value`. Carriers of integers are
unsigned, so negative numbers travel as two's complement. Peers differ in how wide they make it: Tahu fills
the carrier's 32 or 64 bits with the sign, as is done here; others fill the N bits of the type alone. Both
are read. Any other number outside the type's range is refused, never cut.

Values in Python: int, float, bool, str, bytes; DateTime is int (UTC, ms since 1970); UUID is str;
arrays are tuples. DataSet and Template are in `composite` and `payload`.
"""

import math
import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from iiot.budgets import COMPARISONS, BudgetError
from iiot.errors import DecodeError, InvalidValueError


class DataType(IntEnum):
    """Codes of the specification. 20 and 21 occur in property sets only."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13
    TEXT = 14
    UUID = 15
    DATA_SET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21
    INT8_ARRAY = 22
    INT16_ARRAY = 23
    INT32_ARRAY = 24
    INT64_ARRAY = 25
    UINT8_ARRAY = 26
    UINT16_ARRAY = 27
    UINT32_ARRAY = 28
    UINT64_ARRAY = 29
    FLOAT_ARRAY = 30
    DOUBLE_ARRAY = 31
    BOOLEAN_ARRAY = 32
    STRING_ARRAY = 33
    DATE_TIME_ARRAY = 34

    @property
    def label(self) -> str:
        """The specification's spelling, such as `Int8` or `DateTimeArray`."""
        return _LABELS[self]


def _label(name: str) -> str:
    return name.title().replace("_", "").replace("Uint", "UInt").replace("Uuid", "UUID")


_LABELS = [_label(member.name) for member in sorted(DataType)]
_BY_CODE: dict[int, DataType] = {member.value: member for member in DataType}

ArrayValue: TypeAlias = tuple[int, ...] | tuple[float, ...] | tuple[bool, ...] | tuple[str, ...]
CarrierValue: TypeAlias = bool | int | float | str | bytes
ScalarValue: TypeAlias = CarrierValue | ArrayValue

# Half a step above the largest Float: from here on a number would round to infinity.
_FLOAT_LIMIT = 3.4028235677973366e38
_BRIEF: Final = 60


def datatype_of(code: int) -> DataType:
    """The datatype with this code.

    Raises:
        DecodeError: the specification has no such code.
    """
    try:
        return _BY_CODE[code]
    except KeyError:
        raise DecodeError(f"unknown datatype {code}, allowed: 1 to {len(_BY_CODE) - 1}") from None


def encode_value(datatype: DataType, value: Any, field: str = "value") -> CarrierValue:
    """Turn a value into what goes into its carrier `CARRIERS[datatype]`.

    Raises:
        InvalidValueError: the datatype cannot hold the value; `field` names it.
    """
    codec = _CODECS[datatype]
    if codec is None:
        raise InvalidValueError(field, value, f"a datatype with a plain value, not {datatype.label}")
    try:
        return codec.encode(value)
    except (ValueError, TypeError, OverflowError, struct.error, AttributeError):
        raise InvalidValueError(field, value, f"{codec.allowed} ({datatype.label})") from None


def decode_value(datatype: DataType, raw: Any) -> ScalarValue:
    """Turn a carrier's content into the value of this datatype.

    Raises:
        DecodeError: the content does not fit the datatype.
    """
    codec = _CODECS[datatype]
    if codec is None:
        raise DecodeError(f"value: got {brief(raw)}, allowed: a {datatype.label}")
    try:
        return codec.decode(raw)
    except UNFIT as exc:
        detail = f": {exc}" if str(exc) else ""
        raise DecodeError(
            f"value: got {brief(raw)}, allowed: {codec.allowed} ({datatype.label}){detail}"
        ) from None


def brief(value: Any) -> str:
    """A value for an error's text: its first characters, quoted if it is text or bytes."""
    return repr(value[:_BRIEF] if isinstance(value, str | bytes) else value)[: 2 * _BRIEF]


class EntryMeter:
    """Counts the entries of a message's arrays before they become objects: a bit is enough for one.

    And it counts the parts of births that its metrics are compared with.

    Args:
        limit: entries of all arrays together.
    """

    __slots__ = ("_comparisons", "_left", "_limit")

    def __init__(self, limit: int) -> None:
        self._left = self._limit = limit
        self._comparisons = COMPARISONS

    def compare(self, properties: int, members: int = 0) -> None:
        """Count what a metric is compared with: properties, and members and parameters of a template.

        Raises:
            BudgetError: more than `COMPARISONS`, with all before.
        """
        self._comparisons -= properties + 16 * members
        if self._comparisons < 0:
            raise BudgetError("comparisons with its birth", COMPARISONS, "Sparkplug payload")

    def take(self, datatype: DataType, raw: Any) -> None:
        """Count what the content of a carrier will become.

        Raises:
            BudgetError: more than the limit, with all before.
        """
        if (bits := _ENTRY_BITS[datatype]) and type(raw) is bytes:
            self._left -= raw.count(b"\0") if datatype is DataType.STRING_ARRAY else len(raw) * 8 // bits
            if self._left < 0:
                raise BudgetError("array entries", self._limit, "Sparkplug payload")


class _Codec(NamedTuple):
    carrier: str
    allowed: str
    encode: Callable[[Any], CarrierValue]
    decode: Callable[[Any], ScalarValue]


def _integer(bits: int, *, signed: bool, carrier: str) -> _Codec:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    # Java's bytes have a sign, so Tahu fills the bits above those of an unsigned type, too.
    widths = {1 << width for width in (bits, 32, 64) if width > bits or signed}
    lowest, mask = -(1 << bits - 1), (1 << bits) - 1
    filled = 1 << (64 if carrier == _LONG else 32)

    def encode(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError
        return value if value >= 0 else value + filled

    def decode(raw: Any) -> int:
        if type(raw) is not int:
            raise TypeError("not an integer carrier")
        if raw <= high:
            return raw
        for width in widths:
            if lowest <= raw - width < 0:
                return raw - width if signed else raw & mask
        raise ValueError

    return _Codec(carrier, f"an integer from {low} to {high}", encode, decode)


def _encode_float(value: Any) -> float:
    number = _encode_double(value)
    if math.isfinite(number) and abs(number) >= _FLOAT_LIMIT:
        raise ValueError
    return number


def _encode_double(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is not int:
        raise TypeError
    return float(value)


def _decode_double(raw: Any) -> float:
    if type(raw) is not float:
        raise TypeError("not a floating-point carrier")
    return raw


def _decode_float(raw: Any) -> float:
    return _encode_float(_decode_double(raw))


def _encode_bool(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value


def _decode_bool(raw: Any) -> bool:
    if type(raw) is bool or (type(raw) is int and raw <= 1):  # some peers send Booleans in int_value
        return bool(raw)
    raise TypeError("not a Boolean carrier")


def _encode_text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    if not value.isascii():
        value.encode()
    return value


def _decode_text(raw: Any) -> str:
    if type(raw) is not str:  # protobuf hands out bytes when the text is not UTF-8
        raise TypeError("not a text carrier with valid UTF-8")
    return raw


def _uuid(value: Any) -> str:
    UUID(_decode_text(value))
    return str(value)


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise TypeError("not bytes")
    return value


def _packed(letter: str, allowed: str) -> _Codec:
    """Arrays of fixed-size numbers: packed, little-endian."""
    size = struct.calcsize(f"<{letter}")

    def decode(raw: Any) -> tuple[Any, ...]:
        if len(_bytes(raw)) % size:
            raise ValueError(f"the length is not a multiple of {size}")
        return struct.unpack(f"<{len(raw) // size}{letter}", raw)

    return _Codec(
        "bytes_value",
        f"a list of {allowed}",
        lambda values: struct.pack(f"<{len(values)}{letter}", *values),
        decode,
    )


def _encode_bools(values: Sequence[Any]) -> bytes:
    """A little-endian count of 32 bits, then the bits, most significant bit first."""
    bits = "".join("01"[_encode_bool(value)] for value in values)
    padded = bits.ljust(-len(bits) // 8 * -8, "0")
    return struct.pack("<I", len(bits)) + int(padded or "0", 2).to_bytes(len(padded) // 8, "big")


def _decode_bools(raw: Any) -> tuple[bool, ...]:
    (count,) = struct.unpack_from("<I", _bytes(raw))
    packed = raw[4:]
    if count > len(packed) * 8:
        raise ValueError(f"{count} values announced, {len(packed) * 8} present")
    return tuple(bool(packed[i >> 3] & (0x80 >> (i & 7))) for i in range(count))


def _encode_strings(values: Sequence[Any]) -> bytes:
    if isinstance(values, str) or any("\0" in value for value in values):
        raise ValueError
    return b"".join(value.encode() + b"\0" for value in values)


def _decode_strings(raw: Any) -> tuple[str, ...]:
    texts = _bytes(raw).split(b"\0")
    if texts.pop():
        raise ValueError("the last text does not end with NUL")
    return tuple(text.decode() for text in texts)


_INT, _LONG = "int_value", "long_value"
_TEXT = _Codec("string_value", "text", _encode_text, _decode_text)
_BYTES = _Codec("bytes_value", "bytes", _bytes, _bytes)

_PLAIN: dict[DataType, _Codec] = {
    DataType.INT8: _integer(8, signed=True, carrier=_INT),
    DataType.INT16: _integer(16, signed=True, carrier=_INT),
    DataType.INT32: _integer(32, signed=True, carrier=_INT),
    DataType.INT64: _integer(64, signed=True, carrier=_LONG),
    DataType.UINT8: _integer(8, signed=False, carrier=_INT),
    DataType.UINT16: _integer(16, signed=False, carrier=_INT),
    DataType.UINT32: _integer(32, signed=False, carrier=_INT),
    DataType.UINT64: _integer(64, signed=False, carrier=_LONG),
    DataType.FLOAT: _Codec("float_value", "a number of 32 bits", _encode_float, _decode_float),
    DataType.DOUBLE: _Codec("double_value", "a number", _encode_double, _decode_double),
    DataType.BOOLEAN: _Codec("boolean_value", "true or false", _encode_bool, _decode_bool),
    DataType.STRING: _TEXT,
    DataType.DATE_TIME: _integer(64, signed=False, carrier=_LONG),
    DataType.TEXT: _TEXT,
    DataType.UUID: _Codec("string_value", "a UUID", _uuid, _uuid),
    DataType.BYTES: _BYTES,
    DataType.FILE: _BYTES,
    DataType.INT8_ARRAY: _packed("b", "integers from -128 to 127"),
    DataType.INT16_ARRAY: _packed("h", "integers from -32768 to 32767"),
    DataType.INT32_ARRAY: _packed("i", "integers of 32 bits"),
    DataType.INT64_ARRAY: _packed("q", "integers of 64 bits"),
    DataType.UINT8_ARRAY: _packed("B", "integers from 0 to 255"),
    DataType.UINT16_ARRAY: _packed("H", "integers from 0 to 65535"),
    DataType.UINT32_ARRAY: _packed("I", "unsigned integers of 32 bits"),
    DataType.UINT64_ARRAY: _packed("Q", "unsigned integers of 64 bits"),
    DataType.FLOAT_ARRAY: _packed("f", "numbers of 32 bits"),
    DataType.DOUBLE_ARRAY: _packed("d", "numbers"),
    DataType.BOOLEAN_ARRAY: _Codec("bytes_value", "a list of Booleans", _encode_bools, _decode_bools),
    DataType.STRING_ARRAY: _Codec("bytes_value", "texts without NUL", _encode_strings, _decode_strings),
    DataType.DATE_TIME_ARRAY: _packed("Q", "times in ms since 1970"),
}

# Lists, because a member of an IntEnum is a quick index and a slow dictionary key.
_CODECS = [_PLAIN.get(datatype) for datatype in sorted(DataType)]
UNFIT: Final = (ValueError, TypeError, struct.error)
"""What the functions of `DECODERS` raise."""


def _no_value(_: Any) -> ScalarValue:
    raise TypeError


DECODERS: Final = [_no_value if codec is None else codec.decode for codec in _CODECS]
"""`decode_value` by code, for those who do not need its text."""

# Of arrays; 0 for all else. A text has no size, but a NUL.
_ENTRY_BITS: Final = [0] * DataType.INT8_ARRAY + [8, 16, 32, 64, 8, 16, 32, 64, 32, 64, 1, 8, 64]

_CARRIERS = {
    **{datatype: codec.carrier for datatype, codec in _PLAIN.items()},
    DataType.UNKNOWN: "",
    DataType.DATA_SET: "dataset_value",
    DataType.TEMPLATE: "template_value",
    DataType.PROPERTY_SET: "propertyset_value",
    DataType.PROPERTY_SET_LIST: "propertysets_value",
}
CARRIERS = [_CARRIERS[datatype] for datatype in sorted(DataType)]
"""The protobuf field in which values of each datatype travel, by code."""
