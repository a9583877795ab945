"""The data types of LwM2M values (Core appendix C) and what may stand for them in JSON."""

import base64
import binascii
import math
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum

from iiot.errors import InvalidValueError
from iiot.lwm2m.message import ObjectLink, Value

_LONGEST_TIME = 40
CALENDAR = range(-62_135_596_800, 253_402_300_800)
"""Seconds since 1970 in the years 1 to 9999: other times have no date."""
INT_MIN, INT_MAX, UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1


class Type(StrEnum):
    """A resource's data type; `none` is that of an executable resource."""

    STRING = "string"
    INTEGER = "integer"
    UNSIGNED = "unsigned"
    FLOAT = "float"
    BOOLEAN = "boolean"
    OPAQUE = "opaque"
    TIME = "time"
    OBJLNK = "objlnk"
    CORELNK = "corelnk"
    NONE = "none"

    @property
    def is_number(self) -> bool:
        """True where a range, a threshold or a step makes sense."""
        return self in (Type.INTEGER, Type.UNSIGNED, Type.FLOAT, Type.TIME)


def coerce(kind: Type, value: object, field: str) -> Value:
    """The value as its type wants it, from anything that stands for it without loss.

    Accepted beside the exact type: an integer for a float, an integral float for an integer, 0 and 1
    for a boolean, base64 or base64url text for opaque, ISO 8601 text for a time, `o:i` for an object link.

    Raises:
        InvalidValueError: the value cannot be one of that type; names `field`.
    """
    result = _COERCE[kind](value)
    if result is None:
        raise InvalidValueError(field, value, _ALLOWED[kind])
    return result


def _string(value: object) -> Value | None:
    return value if isinstance(value, str) else None


def _integer(value: object, low: int = INT_MIN, high: int = INT_MAX) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    return None


def _unsigned(value: object) -> Value | None:
    return _integer(value, 0, UINT_MAX)


def _float(value: object) -> Value | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _boolean(value: object) -> Value | None:
    if isinstance(value, bool):
        return value
    return bool(value) if isinstance(value, int) and value in (0, 1) else None


def _opaque(value: object) -> Value | None:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        return None
    text = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _time(value: object) -> Value | None:
    if isinstance(value, str):
        if len(value) > _LONGEST_TIME:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    return _integer(value)


def _objlnk(value: object) -> Value | None:
    if isinstance(value, ObjectLink):
        return value
    parts = value.split(":") if isinstance(value, str) else []
    if len(parts) == 2 and all(
        p.isascii() and p.isdigit() and len(p) <= 5 and int(p) <= 65535 for p in parts
    ):
        return ObjectLink(int(parts[0]), int(parts[1]))
    return None


_COERCE: dict[Type, Callable[[object], Value | None]] = {
    Type.STRING: _string,
    Type.INTEGER: _integer,
    Type.UNSIGNED: _unsigned,
    Type.FLOAT: _float,
    Type.BOOLEAN: _boolean,
    Type.OPAQUE: _opaque,
    Type.TIME: _time,
    Type.OBJLNK: _objlnk,
    Type.CORELNK: _string,
    Type.NONE: lambda _value: None,
}

_ALLOWED = {
    Type.STRING: "a string",
    Type.INTEGER: "a 64-bit integer",
    Type.UNSIGNED: "an unsigned 64-bit integer",
    Type.FLOAT: "a finite number",
    Type.BOOLEAN: "a boolean",
    Type.OPAQUE: "bytes, in JSON as base64 text",
    Type.TIME: "seconds since 1970, UTC, or ISO 8601 text",
    Type.OBJLNK: "an object link, object:instance, each 0..65535",
    Type.CORELNK: "CoRE links as text",
    Type.NONE: "nothing: this resource is executable and holds no value",
}
