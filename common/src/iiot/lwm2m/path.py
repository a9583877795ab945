"""Paths of the LwM2M resource tree: object, object instance, resource, resource instance (Core 7.3)."""

import re
from dataclasses import dataclass
from functools import lru_cache

from iiot.errors import InvalidValueError

MAX_ID = 65535
"""Reserved as an instance id: "no instance" in object links and in Create (Core 7.3)."""

_LONGEST = 64
"""Characters of a path's text, which is remembered; four ids have 24, the rest is for zeros and blanks."""
_IDS = re.compile(r"[0-9]{1,5}(?:/[0-9]{1,5})*")
_LEVELS = ("object", "instance", "resource", "resource instance")
_ALLOWED = "/object[/instance[/resource[/resource instance]]] with ids 0..65535, instance ids 0..65534"


@dataclass(frozen=True, slots=True, order=True)
class Path:
    """A node of the tree, as the ids from its object down to itself; no ids at all is the root `/`."""

    ids: tuple[int, ...] = ()

    @classmethod
    def of(cls, *ids: int) -> "Path":
        """A path from trusted ids, as in `Path.of(3303, 0, 5700)`.

        Raises:
            InvalidValueError: there are more than four ids, or one is out of range.
        """
        return _of(ids)

    @classmethod
    def parse(cls, text: str) -> "Path":
        """Read `/3/0/0`; a trailing slash and a missing leading one are tolerated.

        Raises:
            InvalidValueError: the text names no node of the tree.
        """
        return _parse(text)

    @property
    def is_open(self) -> bool:
        """True in a Create: the device is to choose the instance."""
        return self.ids[1:2] == (MAX_ID,)

    def __str__(self) -> str:
        return _text(self.ids)

    def __truediv__(self, child: int) -> "Path":
        return Path.of(*self.ids, child)

    @property
    def level(self) -> str:
        """`root`, `object`, `instance`, `resource` or `resource instance`."""
        return _LEVELS[len(self.ids) - 1] if self.ids else "root"

    @property
    def object_id(self) -> int | None:
        """The object's id, None for the root."""
        return self.ids[0] if self.ids else None

    @property
    def instance_id(self) -> int | None:
        """The object instance's id, None above that level."""
        return self.ids[1] if len(self.ids) > 1 else None

    @property
    def resource_id(self) -> int | None:
        """The resource's id, None above that level."""
        return self.ids[2] if len(self.ids) > 2 else None

    @property
    def resource_instance_id(self) -> int | None:
        """The resource instance's id, None above that level."""
        return self.ids[3] if len(self.ids) > 3 else None

    @property
    def is_value(self) -> bool:
        """True for a resource or a resource instance: only these hold a value."""
        return len(self.ids) >= 3

    @property
    def parent(self) -> "Path":
        """The node one level up; the root is its own parent."""
        return Path(self.ids[:-1])

    def contains(self, other: "Path") -> bool:
        """True when `other` is this node or lies below it."""
        return other.ids[: len(self.ids)] == self.ids


ROOT = Path()


def content_path(ids: tuple[int, ...]) -> Path:
    """A path from ids in a payload, where instance id 65535 says that the client chooses one (Create).

    Raises:
        InvalidValueError: too many ids, or one out of range.
    """
    open_instance = len(ids) > 1 and ids[1] == MAX_ID
    if not _legal((ids[0], 0, *ids[2:]) if open_instance else ids):
        raise InvalidValueError("path", _text(ids), _ALLOWED)
    return Path(ids)


def parse_content(text: str) -> Path:
    """A path in a payload, see `content_path`; otherwise like `Path.parse`.

    Raises:
        InvalidValueError: the text names no node of the tree.
    """
    ids = _ids(text)
    return content_path(ids) if len(ids) > 1 and ids[1] == MAX_ID else _parse(text)


# A fleet has few different paths and names them in every message: making them once also keeps them once.
@lru_cache(maxsize=16384)
def _of(ids: tuple[int, ...]) -> Path:
    if not _legal(ids):
        raise InvalidValueError("path", _text(ids), _ALLOWED)
    return Path(ids)


@lru_cache(maxsize=16384)
def _text(ids: tuple[int, ...]) -> str:
    return "/" + "/".join(map(str, ids))


def _legal(ids: tuple[int, ...]) -> bool:
    return not ids or (len(ids) <= 4 and min(ids) >= 0 and max(ids) <= MAX_ID and MAX_ID not in ids[1::2])


@lru_cache(maxsize=16384)
def _parse(text: str) -> Path:
    ids = _ids(text)
    if not _legal(ids):
        raise InvalidValueError("path", text, _ALLOWED)
    return Path(ids)


@lru_cache(maxsize=16384)
def _ids(text: str) -> tuple[int, ...]:
    if len(text) > _LONGEST:
        raise InvalidValueError("path", text, _ALLOWED)
    body = text.strip().strip("/")
    if not body:
        if text.strip() != "/":
            raise InvalidValueError("path", text, _ALLOWED)
        return ()
    if not _IDS.fullmatch(body):
        raise InvalidValueError("path", text, _ALLOWED)
    return tuple(map(int, body.split("/")))
