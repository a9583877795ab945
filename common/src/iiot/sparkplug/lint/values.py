"""Judges plain values by their datatype: the protobuf field, the range, the form of texts and arrays.

Works on what travelled, so that an array is checked without being unpacked.
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from iiot.sparkplug.datatypes import CARRIERS, DataType

# Bits and sign; Booleans are here for the peers that put them into integers.
_INTEGERS: Final = {
    DataType.INT8: (8, True),
    DataType.INT16: (16, True),
    DataType.INT32: (32, True),
    DataType.INT64: (64, True),
    DataType.UINT8: (8, False),
    DataType.UINT16: (16, False),
    DataType.UINT32: (32, False),
    DataType.UINT64: (64, False),
    DataType.BOOLEAN: (1, False),
}
_ITEM_BYTES: Final = {
    DataType.INT8_ARRAY: 1,
    DataType.UINT8_ARRAY: 1,
    DataType.INT16_ARRAY: 2,
    DataType.UINT16_ARRAY: 2,
    DataType.INT32_ARRAY: 4,
    DataType.UINT32_ARRAY: 4,
    DataType.FLOAT_ARRAY: 4,
    DataType.INT64_ARRAY: 8,
    DataType.UINT64_ARRAY: 8,
    DataType.DOUBLE_ARRAY: 8,
    DataType.DATE_TIME_ARRAY: 8,
}
_COUNT_BYTES: Final = 4
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


class Fault(NamedTuple):
    """What is wrong with a value: the rule of metrics that it breaks, and how."""

    key: str
    detail: str


def fault_of(datatype: DataType, carrier: str, raw: Any) -> Fault | None:
    """What is wrong with the content `raw` of the protobuf field `carrier` as a value of this datatype.

    DataSets, Templates and property sets are judged by their field alone.
    """
    if not fits(datatype, carrier):
        return Fault("value-of-other-type", f"a {datatype.label} in {carrier}")
    if type(raw) is int and datatype in _INTEGERS:
        if not _in_range(raw, *_INTEGERS[datatype]):
            return Fault("value-out-of-range", f"{raw} is no {datatype.label}")
        return None
    wrong = _FORMS[datatype](raw) if datatype in _FORMS else None
    return Fault("value-malformed", f"a {datatype.label} {wrong}") if wrong else None


def fits(datatype: DataType, carrier: str) -> bool:
    """Whether values of the datatype may travel in this field; the two integers are not told apart.

    Peers put UInt32 into the longer integer because their language has no unsigned one, and Booleans
    into integers; both are read without doubt.
    """
    own = CARRIERS[datatype]
    integers = ("int_value", "long_value")
    return carrier == own or (carrier in integers and own in (*integers, "boolean_value"))


def _in_range(raw: int, bits: int, signed: bool) -> bool:
    """Negative numbers come in the low bits of their datatype, or with their sign up to bit 32 or 64."""
    if raw < 1 << bits:
        return True
    lowest = 1 << bits - 1
    return signed and ((1 << 32) - lowest <= raw < 1 << 32 or raw >= (1 << 64) - lowest)


def _text(raw: Any) -> str | None:
    return "that is not UTF-8" if isinstance(raw, bytes) else None


def _uuid(raw: Any) -> str | None:
    if isinstance(raw, str) and _UUID.fullmatch(raw):
        return None
    return f"that reads {raw!r:.60}, not 8-4-4-4-12 hexadecimal digits"


def _packed(size: int) -> Callable[[Any], str | None]:
    def check(raw: bytes) -> str | None:
        return f"of {len(raw)} bytes, not a multiple of {size}" if len(raw) % size else None

    return check


def _booleans(raw: bytes) -> str | None:
    if len(raw) < _COUNT_BYTES:
        return f"of {len(raw)} bytes, too short for its count"
    count, room = int.from_bytes(raw[:_COUNT_BYTES], "little"), len(raw) - _COUNT_BYTES
    if room != (count + 7) // 8:
        return f"that announces {count} values in {room} bytes"
    return None


def _strings(raw: bytes) -> str | None:
    if raw and not raw.endswith(b"\0"):
        return "whose last text does not end with NUL"
    try:
        raw.decode()
    except UnicodeDecodeError:
        return "that is not UTF-8"
    return None


_FORMS: Final[dict[DataType, Callable[[Any], str | None]]] = {
    DataType.STRING: _text,
    DataType.TEXT: _text,
    DataType.UUID: _uuid,
    DataType.BOOLEAN_ARRAY: _booleans,
    DataType.STRING_ARRAY: _strings,
    **{datatype: _packed(size) for datatype, size in _ITEM_BYTES.items()},
}
