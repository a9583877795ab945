"""CBOR (RFC 8949): one item exactly, and the values LwM2M allows in it; content format 60 is such a value.

What no resource can hold (an integer beyond 64 bits, a time beyond the calendar, a tag of another trade) is
never made: in its place stands an `Unusable`, so that whoever reads the message refuses one value, not all.
"""

import math
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, DecimalException
from typing import Any, Final

import cbor2

from iiot.budgets import ELEMENTS, INTEGER_BITS, NESTING, BudgetError
from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m.message import ObjectLink, Value

_SENTINEL_VALUE = 0x4C774D324D
_SENTINEL = cbor2.dumps(_SENTINEL_VALUE)
_EXPONENT: Final = 400
"""Of a decimal fraction: no double has a larger one."""
_BIGGEST_EXPONENT: Final = 1100
_LONGEST_DATE: Final = 64
_INTEGER: Final = f"an integer of at most {INTEGER_BITS} bits"


class Unusable:
    """Stands for an item that no resource can hold.

    Attributes:
        what: describes the item.
        allowed: what would be right.
    """

    __slots__ = ("allowed", "what")

    def __init__(self, what: str, allowed: str) -> None:
        self.what, self.allowed = what, allowed

    def __repr__(self) -> str:
        return self.what


def load(payload: bytes) -> Any:
    """The one item that `payload` is.

    Raises:
        BudgetError: too many items, or nested too deep.
        DecodeError: not CBOR, cut short, a key that stands twice in a map, or more than one item.
    """
    if len(payload) > ELEMENTS:
        _count(payload)
    # The library ignores what follows an item; as the first of two it must end where the second begins.
    try:
        both = cbor2.loads(
            b"\x82" + payload + _SENTINEL,
            semantic_decoders=_TAGS,
            tag_hook=_other_tag,
            max_depth=NESTING + 1,
            allow_duplicate_keys=False,
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        if "nesting depth" in str(error):
            raise BudgetError("levels", NESTING, "CBOR") from error
        raise DecodeError(f"not CBOR: {error}") from error
    if len(both) != 2 or both[1] != _SENTINEL_VALUE:
        raise DecodeError("not CBOR: not exactly one item")
    return both[0]


def scalar(item: object, field: str) -> Value:
    """An item as a value; a time (tags 0 and 1) is its seconds, a decimal fraction (tag 4) a number.

    Raises:
        InvalidValueError: something that no resource holds, such as an array, null, a number that is not
            finite or beyond 64 bits; names `field`.
    """
    if isinstance(item, bool | str | bytes):
        return item
    if isinstance(item, int | float | Unusable):
        return number(item, field)
    raise InvalidValueError(field, item, "a string, number, boolean or bytes")


def number(item: object, field: str) -> int | float:
    """A finite number.

    Raises:
        InvalidValueError: something else, or an integer beyond 64 bits; names `field`.
    """
    if isinstance(item, Unusable):
        raise InvalidValueError(field, item.what, item.allowed)
    if isinstance(item, float) and math.isfinite(item):
        return item
    if isinstance(item, int) and not isinstance(item, bool) and -(2**63) <= item < 2**64:
        return item
    raise InvalidValueError(field, item, "a finite number of at most 64 bits")


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


def _count(payload: bytes) -> None:
    """Count items by their heads, without making them; what is not CBOR is left to the decoder."""
    at, count, end = 0, 0, len(payload)
    sizes = _SIZES
    while at < end:
        count += 1
        if count > ELEMENTS:
            raise BudgetError("elements", ELEMENTS, "CBOR")
        size = sizes[payload[at]]
        if size < 0:  # a string whose length stands in the next bytes
            size = 1 - size + int.from_bytes(payload[at + 1 : at + 1 - size])
        at += size


def _size(head: int) -> int:
    kind, info = head >> 5, head & 31
    behind = 1 << (info - 24) if 24 <= info <= 27 else 0
    if kind in (2, 3):
        return -behind if behind else 1 + (info if info < 24 else 0)
    return 1 + behind


_SIZES: Final = [_size(head) for head in range(256)]
"""Bytes of an item by its first one, without what containers and tags hold; negative: bytes of a length."""


def _bignum(sign: int) -> Callable[[object, bool], object]:
    def decode(item: object, _: bool) -> object:
        digits = item.lstrip(b"\0") if isinstance(item, bytes) else b"\0" * 9
        if len(digits) * 8 > INTEGER_BITS:
            return Unusable(f"an integer of {len(digits) * 8} bits", _INTEGER)
        found = int.from_bytes(digits)
        return found if sign > 0 else -1 - found

    return decode


def _fraction(item: object, _: bool) -> object:
    match item:
        case [int(exponent), int(mantissa)] if abs(exponent) <= _EXPONENT:
            try:
                found = Decimal(mantissa).scaleb(exponent)
            except DecimalException:
                return Unusable("a decimal fraction", "a finite number")
            whole = int(found) if exponent <= 0 or abs(found) < 2**64 else None
            return whole if whole is not None and whole == found else float(found)
    return Unusable("a decimal fraction", f"[exponent, mantissa], an exponent within {_EXPONENT}")


def _bigfloat(item: object, _: bool) -> object:
    match item:
        case [int(exponent), int(mantissa)] if abs(exponent) <= _BIGGEST_EXPONENT:
            try:
                return math.ldexp(mantissa, exponent)
            except OverflowError:
                return Unusable("a bigfloat", "a finite number")
    return Unusable("a bigfloat", f"[exponent, mantissa], an exponent within {_BIGGEST_EXPONENT}")


def _date(item: object, _: bool) -> object:
    if isinstance(item, str) and len(item) <= _LONGEST_DATE:
        try:
            moment = datetime.fromisoformat(item)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return int(moment.timestamp())
    return Unusable("a date", "RFC 3339 text with a time zone")


def _epoch(item: object, _: bool) -> object:
    if isinstance(item, float) and math.isfinite(item) and abs(item) < 2**53:
        return int(item)
    if isinstance(item, int) and not isinstance(item, bool) and abs(item) < 2**53:
        return item
    return Unusable("a time", "seconds since 1970")


def _foreign(item: object, _: bool) -> object:
    return Unusable("a value with a tag", "a value without tags, or with 0 to 5")


def _other_tag(tag: cbor2.CBORTag, _: bool) -> object:
    return Unusable(f"a value with tag {tag.tag}", "a value without tags, or with 0 to 5")


_SELF_DESCRIBED: Final = 55799
_BUILT_IN: Final = (25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000)
"""Tags that the library would make objects of: references, regular expressions, addresses, ..."""
_TAGS: Final[dict[int, Callable[[Any, bool], Any]]] = {
    0: _date,
    1: _epoch,
    2: _bignum(1),
    3: _bignum(-1),
    4: _fraction,
    5: _bigfloat,
    _SELF_DESCRIBED: lambda item, _: item,
    **dict.fromkeys(_BUILT_IN, _foreign),
}
