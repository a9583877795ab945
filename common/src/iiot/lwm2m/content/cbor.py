"""CBOR (RFC 8949): one item exactly, and the values LwM2M allows in it; content format 60 is such a value."""

import math
from datetime import datetime
from decimal import Decimal
from typing import Any

import cbor2

from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m.message import ObjectLink, Value

_SENTINEL_VALUE = 0x4C774D324D
_SENTINEL = cbor2.dumps(_SENTINEL_VALUE)


def load(payload: bytes) -> Any:
    """The one item that `payload` is.

    Raises:
        DecodeError: not CBOR, cut short, or more than one item.
    """
    # The library ignores what follows an item; as the first of two it must end where the second begins.
    try:
        both = cbor2.loads(b"\x82" + payload + _SENTINEL)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise DecodeError(f"not CBOR: {error}") from error
    if len(both) != 2 or both[1] != _SENTINEL_VALUE:
        raise DecodeError("not CBOR: not exactly one item")
    return both[0]


def scalar(item: object) -> Value:
    """An item as a value; a time (tags 0 and 1) is its seconds, a decimal fraction (tag 4) a number.

    Raises:
        DecodeError: an array, map, null, or something else that no resource holds.
    """
    if isinstance(item, bool | int | float | str | bytes):
        return item
    if isinstance(item, Decimal):
        return number(item)
    if isinstance(item, datetime):
        return int(item.timestamp())
    raise DecodeError(f"no value of a resource: {type(item).__name__}")


def number(item: object) -> int | float:
    """A number in any of CBOR's forms; whole ones as int.

    Raises:
        DecodeError: not a finite number.
    """
    if isinstance(item, Decimal):
        item = float(item)
        item = int(item) if item.is_integer() else item
    if isinstance(item, int | float) and not isinstance(item, bool) and math.isfinite(item):
        return item
    raise DecodeError(f"not a number: {item!r}"[:80])


def plain(value: Value, field: str) -> bool | int | float | str | bytes:
    """A value as CBOR says it: object links are text.

    Raises:
        InvalidValueError: an integer of more than 64 bits, or a number that is not finite.
    """
    if isinstance(value, ObjectLink):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidValueError(field, value, "a finite number")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise InvalidValueError(field, value, "a 64-bit integer")
    return value


def encode(value: Value, field: str = "value", *, is_time: bool = False) -> bytes:
    """A value as CBOR; a time is tagged as seconds since 1970 (tag 1), as others expect it.

    Raises:
        InvalidValueError: see `plain`.
    """
    item = plain(value, field)
    return cbor2.dumps(cbor2.CBORTag(1, item) if is_time else item)
