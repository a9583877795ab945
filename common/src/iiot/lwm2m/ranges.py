"""The column "Range or Enumeration" of OMA's object definitions, which is text for people."""

import re
from typing import Final

from iiot.budgets import INTEGER_BITS
from iiot.lwm2m.datatypes import Type
from iiot.lwm2m.definition import Ranges

_NUMBER: Final = r"[+-]?\d{1,20}(?:\.\d{1,20})?"
_SPAN: Final = re.compile(rf"\[?({_NUMBER})\s*(?:\.{{2,}}|\u2026|-|\u2013|:|to)\s*({_NUMBER})\]?")
_SINGLE: Final = re.compile(rf"({_NUMBER})")
_NAMED: Final = re.compile(rf"({_NUMBER})\s*[:=]\s*[^\d\s].*")
_UNIT: Final = re.compile(r"(?<=\d)[\s-]*([A-Za-z%/°²³µ]+\d?)$")
_BITS: Final = {"bit": 1, "byte": 8, "octet": 8}
_SIZED: Final = (Type.STRING, Type.OPAQUE)


def parse_ranges(text: str, kind: Type) -> Ranges:
    """The bounds that a text gives for values of a type, none when it says them in words.

    Understood are `0..255`, `0-64 bytes`, `1..3600 s`, `1,2,3`, `0; 3.8..20.5`, `10 or 26 bytes`,
    `0: off` on a line of its own, `16-bit`. One number alone is the largest: `32 bytes`, `255`.
    """
    if not (kind.is_number or kind in _SIZED):
        return ()
    pieces = [piece.strip() for piece in re.split(r"[,;\n]|\bor\b", text) if piece.strip()]
    if len(pieces) == 1 and _SINGLE.fullmatch(_UNIT.sub("", pieces[0])):
        return _alone(pieces[0], kind)
    found = [_piece(piece) for piece in pieces]
    return tuple(span for span in found if span is not None) if all(found) else ()


def _alone(text: str, kind: Type) -> Ranges:
    unit = _UNIT.search(text)
    name = unit[1].lower().rstrip("s") if unit else ""
    size = _number(_UNIT.sub("", text))
    if size < 0 or name == "instance":
        return ()
    bits = size * _BITS.get(name, 0)
    if not bits:
        return ((0, size),)
    if kind in _SIZED:
        return ((0, -(-bits // 8)),)
    return ((0, 2 ** int(bits) - 1),) if bits <= INTEGER_BITS else ()


def _piece(text: str) -> tuple[int | float, int | float] | None:
    named = _NAMED.fullmatch(text)
    if named:
        return _number(named[1]), _number(named[1])
    text = _UNIT.sub("", text)
    span = _SPAN.fullmatch(text)
    if span:
        low, high = sorted((_number(span[1]), _number(span[2])))
        return low, high
    single = _SINGLE.fullmatch(text)
    return (_number(single[1]), _number(single[1])) if single else None


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)
