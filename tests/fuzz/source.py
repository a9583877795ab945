"""Choices made from bytes: what a fuzzer mutates becomes decisions of a generator of frames."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

LARGEST = 1024 * 1024
"""Bytes of one MQTT packet; frames are cut there, as the broker lets nothing larger through."""
INTEGERS = (
    *(0, 1, -1, 127, 128, 255, 256, -129, 2**15, 2**16, 2**31 - 1, 2**31, 2**32, 2**53 + 1),
    *(2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**31) - 1, -(2**63), -(2**63) - 1, 10**30, 10**400, -(10**5000)),
)
FLOATS = ("NaN", "Infinity", "-Infinity", "1e300", "-0.0", "5e-324", "1e999", "1e-999", "0.1")
TEXTS = (
    *(
        "",
        "\0",
        "é",
        "\u202e",
        "a\nb",
        "{}",
        "%s",
        "/",
        "+",
        "#",
        "../..",
        "\ud800",
        "0" * 5000,
        "x" * 70_000,
    ),
    *("null", "true", "1e5", "{0.__class__}", "'", '"', "\\", "\u2028", "e\u0301", "💥"),
)
COUNTS = (0, 1, 2, 3, 17, 65, 300, 5_000, 20_001, 70_000, 600_000)
"""How often something is repeated: around the budgets, and far beyond."""


class Source:
    """Takes decisions from `data`, from its start; when it is used up, every decision is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def number(self, below: int) -> int:
        """A number from 0 to `below` - 1."""
        size = 1 if below <= 256 else 2
        part = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(part, "big") % below

    def pick(self, choices: Sequence[T]) -> T:
        """One of some."""
        return choices[self.number(len(choices))]

    def chance(self, one_in: int) -> bool:
        """Whether something rare happens. Never when the data is used up, so that frames end."""
        return bool(self) and self.number(one_in) == 1

    def some(self, at_most: int, make: Callable[[], T]) -> list[T]:
        """Up to `at_most` of what `make` returns."""
        return [make() for _ in range(self.number(at_most + 1))]

    def some_bytes(self, at_most: int) -> bytes:
        """The next bytes as they are."""
        size = self.number(at_most + 1)
        part = self._data[self._at : self._at + size]
        self._at += size
        return part

    def rest(self) -> bytes:
        """All that is left."""
        part, self._at = self._data[self._at :], len(self._data)
        return part

    def integer(self) -> int:
        """An ordinary number, or one at or beyond a limit."""
        return self.pick(INTEGERS) if self.chance(3) else self.number(65536)

    def text(self) -> str:
        """An ordinary text, or one that is easily handled wrongly."""
        return self.pick(TEXTS) if self.chance(3) else self.some_bytes(8).decode("latin-1")

    def repeated(self, part: bytes) -> bytes:
        """A part as often as fits into a packet, at most."""
        return part * min(self.pick(COUNTS), LARGEST // max(1, len(part)))


def damaged(source: Source, frame: bytes) -> bytes:
    """The frame, now and then with its end missing or one byte changed."""
    if frame and source.chance(8):
        return frame[: source.number(min(len(frame), 65536))]
    if frame and source.chance(8):
        at = source.number(min(len(frame), 65536))
        return frame[:at] + bytes([source.number(256)]) + frame[at + 1 :]
    return frame[:LARGEST]
