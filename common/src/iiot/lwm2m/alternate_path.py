"""The alternate path (Core 6.2.1): where a device keeps its objects when that is not `/`.

A device that registers `</lwm2m>;rt="oma.lwm2m"` has its battery level at `/lwm2m/3/0/9`. That holds for
requests, SenML names and links; TLV, LwM2M CBOR and the bootstrap interface have no place for it. Everywhere
else in this project paths are without it.
"""

import re
from typing import Final

from iiot.errors import InvalidValueError
from iiot.lwm2m.path import Path

NONE: Final = "/"
"""The objects are at the root."""
LONGEST: Final = 200
"""Characters; with the longest path behind it, it still fits a URI of 255."""
_ALLOWED: Final = f"/ or a path of at most {LONGEST} characters without numeric segments, such as /lwm2m"
_SHAPE: Final = re.compile(r"(/[A-Za-z0-9._~!$&'()*+=:@%-]+)+", re.ASCII)


def check(text: str) -> str:
    """An alternate path with one slash before each segment and none at its end.

    Raises:
        InvalidValueError: it is none; with a numeric segment nobody could tell it from a path below it.
    """
    segments = text.strip("/").split("/")
    root = "/" + "/".join(segments)
    if root == NONE:
        return NONE
    if len(root) > LONGEST or not _SHAPE.fullmatch(root) or any(segment.isdigit() for segment in segments):
        raise InvalidValueError("alternate path", text[:LONGEST], _ALLOWED)
    return root


def joined(root: str, path: Path) -> str:
    """The path as a device with this root knows it."""
    if root == NONE:
        return str(path)
    return root + str(path) if path.ids else root


def without(text: str, root: str | None) -> str:
    """The text without the root before it, if it is there; None takes any alternate path off."""
    if root == NONE:
        return text
    if root is None:
        segments = text.strip("/").split("/")
        start = next((at for at, segment in enumerate(segments) if segment.isdigit()), len(segments))
        return "/" + "/".join(segments[start:])
    if text == root:
        return NONE
    return text[len(root) :] if text.startswith(root + "/") else text


def required(text: str, root: str | None) -> Path:
    """The path that a request names, which has the root before it.

    Raises:
        InvalidValueError: it has another, or is no path behind it; `field` is `uri`.
    """
    behind = without(text, root)
    if root not in (None, NONE) and behind == text:
        raise InvalidValueError("uri", text, f"a path below {root}")
    return Path.parse(behind)
