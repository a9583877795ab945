"""What a definition says of an object and its resources, and which values are legal."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from iiot.errors import InvalidValueError, SettingsError
from iiot.lwm2m.datatypes import Type, coerce
from iiot.lwm2m.message import Value

Ranges = tuple[tuple[int | float, int | float], ...]
"""Lowest and highest value of each range; a single value is both."""


VERSION: Final = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}")
"""An object's version (Core 7.2.2)."""


class DefinitionError(SettingsError):
    """Definition files are wrong; each problem is `file:line: what: field: got value, allowed: what`."""


@dataclass(frozen=True, slots=True)
class Resource:
    """Definition of a resource.

    Attributes:
        ranges: bound a number (in `unit`), or the bytes of a string (in UTF-8) or opaque value.
    """

    id: int
    name: str
    type: Type
    operations: str = ""
    ranges: Ranges = ()
    unit: str | None = None
    mandatory: bool = False
    multiple: bool = False

    @property
    def range(self) -> tuple[int | float, int | float] | None:
        """The lowest and the highest bound, None where there is none."""
        if not self.ranges:
            return None
        return min(low for low, _ in self.ranges), max(high for _, high in self.ranges)

    @property
    def readable(self) -> bool:
        """A server may read and observe it."""
        return "R" in self.operations

    @property
    def writable(self) -> bool:
        """A server may write it."""
        return "W" in self.operations

    @property
    def executable(self) -> bool:
        """A server may execute it."""
        return "E" in self.operations

    def check(self, value: object, field: str = "value") -> Value:
        """The value in this resource's type.

        Raises:
            InvalidValueError: wrong type or out of range; names `field`.
        """
        result = coerce(self.type, value, field)
        if not self.ranges or isinstance(result, bool):
            return result
        if isinstance(result, int | float):
            size: int | float = result
        elif isinstance(result, str | bytes):
            size = len(result.encode(errors="replace") if isinstance(result, str) else result)
        else:
            return result
        if not any(low <= size <= high for low, high in self.ranges):
            raise InvalidValueError(field, value, self._allowed)
        return result

    @property
    def _allowed(self) -> str:
        told = ranges_text(self.ranges, " to ")
        if self.type is Type.STRING:
            return f"a string of {told} bytes in UTF-8"
        return f"{told} bytes" if self.type is Type.OPAQUE else told


@dataclass(frozen=True, slots=True)
class Object:
    """Definition of an object and its resources by id."""

    id: int
    name: str
    version: str
    multiple: bool
    mandatory: bool
    resources: Mapping[int, Resource]


def ranges_text(ranges: Ranges, between: str) -> str:
    """Ranges as a person, or OMA's `RangeEnumeration`, writes them: `0..100`, `1, 2, 5`."""
    return ", ".join(
        _plain(low) if low == high else f"{_plain(low)}{between}{_plain(high)}" for low, high in ranges
    )


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.16g}"
