"""Profile ID (Core 6.2.1): what a device sends in place of an object list that its server knows already."""

import re
from typing import Final

from iiot.errors import InvalidValueError

_ONE: Final = re.compile(r"[0-9]{1,3}:[0-9a-f]+|(oma|v):[A-Za-z0-9-]+", re.ASCII)
_ALLOWED: Final = "6:1234abcd (RFC 6920 suite and hash), oma:name or v:name, several separated by commas"


def check(text: str | None) -> str | None:
    """A value of `pid`, with or without the quotes that several have around them, or None.

    Raises:
        InvalidValueError: something else.
    """
    if text is None:
        return None
    bare = text.removeprefix('"').removesuffix('"')
    if len(bare) > 255 or not all(_ONE.fullmatch(one) for one in split(bare)):
        raise InvalidValueError("pid", text, _ALLOWED)
    return bare


def split(text: str) -> tuple[str, ...]:
    """The Profile IDs of a `pid`."""
    return tuple(text.split(","))
