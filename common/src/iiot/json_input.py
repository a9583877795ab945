"""JSON that a peer wrote: read within the budgets, and with each name once in an object.

`orjson` alone reads 1,024 levels, at which ordinary code fails, and keeps the last of two members of one name
(RFC 8259 section 4 leaves open which one counts).
"""

import json
import re
from typing import Any, Final

import orjson

from iiot.budgets import ELEMENTS, NESTING, BudgetError
from iiot.errors import DecodeError, shown

_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, also one without an end, which is tried only once: not again from each quote in it."""
_BLOCK: Final = 250
_ELEMENTS: Final = re.compile(rb'(?:(?:[^",\[{]++|"(?:[^"\\]++|\\.)*+")*+[,\[{]){%d}' % _BLOCK, re.DOTALL)
"""So many values: each but the first follows a comma or a bracket that opens. Nothing is made of them."""
_OTHER: Final = bytes(set(range(256)) - set(b"[]{}"))
_SAME: Final = bytes.maketrans(b"{}", b"[]")
_OPENING: Final = (b"[", b"{")


def loads(payload: bytes) -> Any:
    """The value that `payload` holds.

    Raises:
        BudgetError: more values or deeper levels than the budgets allow.
        DecodeError: not JSON, or a name stands twice in an object.
    """
    # Commas and brackets bound values and levels; only of a message with many of them those in strings are
    # told apart.
    opened = _opened(payload)
    if payload.count(b",") + opened >= ELEMENTS:
        _check_elements(payload)
    if opened > NESTING:
        _check_levels(payload, "JSON")
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"not JSON: {error}") from error
    if payload.count(b":") != _members(value):
        _check_names(payload)
    return value


def _check_elements(payload: bytes) -> None:
    count = at = 0
    while (block := _ELEMENTS.match(payload, at)) is not None:
        at, count = block.end(), count + _BLOCK
        if count >= ELEMENTS:
            raise BudgetError("elements", ELEMENTS, "JSON")


def check_nesting(text: bytes, what: str) -> None:
    """Refuse JSON of more than `NESTING` levels, told from its bytes.

    Args:
        text: valid JSON.
        what: names it in the error.

    Raises:
        BudgetError: deeper.
    """
    if _opened(text) > NESTING:
        _check_levels(text, what)


def _opened(text: bytes) -> int:
    return sum(map(text.count, _OPENING))


def _check_levels(text: bytes, what: str) -> None:
    bare = _STRING.sub(b"", text)
    if _opened(bare) <= NESTING:
        return
    brackets = bare.translate(_SAME, _OTHER)
    for _ in range(NESTING):  # each round takes the innermost level away
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    raise BudgetError("levels of JSON", NESTING, what)


def _members(value: object) -> int:
    """Members of all objects in a value; each has a colon, and so may strings."""
    if type(value) is dict:
        inner = sum(_members(entry) for entry in value.values() if type(entry) is dict or type(entry) is list)
        return len(value) + inner
    if type(value) is list:
        return sum(_members(entry) for entry in value if type(entry) is dict or type(entry) is list)
    return 0


def _check_names(payload: bytes) -> None:
    def named_once(members: list[tuple[str, Any]]) -> None:
        names: set[str] = set()
        for name, _ in members:
            if name in names:
                raise DecodeError(f"not JSON with each name once: {shown(name)} stands twice in an object")
            names.add(name)

    # Numbers stay text: nothing is made of what only its names are looked at.
    json.loads(payload, object_pairs_hook=named_once, parse_int=str, parse_float=str)
