"""Plain text, content format 0: the value of one resource or resource instance (Core 7.4.1)."""

import base64
import re
from decimal import Decimal

from iiot.lwm2m.datatypes import Type, coerce
from iiot.lwm2m.message import Value

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")


def encode(value: Value) -> str:
    """A value as text: booleans as 0 and 1, floats without exponent, opaque as base64, links as `o:i`."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return _plain(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def decode(text: str, kind: Type, field: str = "value") -> Value:
    """The value of type `kind` that `text` stands for; an exponent, `true` and `false` are tolerated.

    Raises:
        InvalidValueError: the text is no such value; names `field`.
    """
    return coerce(kind, _parsed(text, kind), field)


def _parsed(text: str, kind: Type) -> object:
    stripped = text.strip()
    if kind is Type.BOOLEAN:
        return {"0": False, "1": True, "false": False, "true": True}.get(stripped.lower(), text)
    if kind in (Type.INTEGER, Type.UNSIGNED) and _INTEGER.fullmatch(stripped):
        return int(stripped)
    if kind is Type.FLOAT and len(stripped) <= 400 and _NUMBER.fullmatch(stripped):
        return float(stripped)
    if kind is Type.TIME and _INTEGER.fullmatch(stripped):
        return int(stripped)
    return text


def _plain(value: float) -> str:
    # The shortest digits that give the same float back, written out.
    return format(Decimal(repr(value)), "f")
