"""Sets of integers kept as ranges: which numbers of a stream were seen."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

Range = tuple[int, int]
"""First and last number, both included."""

SESSION_GAP: Final = 1_000_000
"""Numbers start at the process's start time in µs and grow by 1 per message, so a jump of a second or more
is a restart of the device, not a run of lost messages."""
MAX_RANGES: Final = 128
"""Ranges kept apart per stream and path; a hole between two of them is a loss or a message still to come."""


class IntervalSet:
    """Numbers seen, in memory that does not grow with their count.

    In order, a stream is one range. Holes split it; when there are more than `max_ranges`, the oldest
    range is settled: it and the hole behind it become counts, and what still comes from there is late.

    Attributes:
        settled: numbers seen in settled ranges.
        given_up: numbers missing in settled holes; restarts of the device are no holes.
        floor: the highest settled number.
    """

    __slots__ = ("_balanced", "_firsts", "_lasts", "_max_ranges", "floor", "given_up", "settled")

    def __init__(self, max_ranges: int = MAX_RANGES) -> None:
        self.settled = 0
        self.given_up = 0
        self.floor = -1
        self._balanced = -1
        self._max_ranges = max_ranges
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def add(self, number: int) -> bool:
        """Add a number; False if it was seen already (or lies in what is settled)."""
        lasts = self._lasts
        if lasts and number == lasts[-1] + 1:  # the hot path: the next one in order
            lasts[-1] = number
            return True
        if number <= self.floor:
            return False
        return self._insert(number)

    def _insert(self, number: int) -> bool:
        firsts, lasts = self._firsts, self._lasts
        at = bisect_right(firsts, number) - 1
        if at >= 0 and number <= lasts[at]:
            return False
        joins_left = at >= 0 and lasts[at] == number - 1
        joins_right = at + 1 < len(firsts) and firsts[at + 1] == number + 1
        if joins_left and joins_right:
            lasts[at] = lasts[at + 1]
            del firsts[at + 1], lasts[at + 1]
        elif joins_left:
            lasts[at] = number
        elif joins_right:
            firsts[at + 1] = number
        else:
            firsts.insert(at + 1, number)
            lasts.insert(at + 1, number)
            if len(firsts) > self._max_ranges:
                self._settle_oldest()
        return True

    def _settle_oldest(self) -> None:
        first, last = self._firsts.pop(0), self._lasts.pop(0)
        self.settled += max(0, last - max(first - 1, self._balanced))
        self.floor = self._firsts[0] - 1
        if self.floor - last < SESSION_GAP:
            self.given_up += max(0, self.floor - max(last, self._balanced))

    def start_anew_behind(self, number: int) -> None:
        """Count from here on only what lies behind `number`; what was seen stays known."""
        self._balanced = max(number, self.floor)
        self.settled = self.given_up = 0

    @property
    def highest(self) -> int:
        """The highest number seen; -1 when none was."""
        return self._lasts[-1] if self._lasts else -1

    @property
    def ranges(self) -> Iterator[Range]:
        """The ranges above `floor`, in order."""
        return zip(self._firsts, self._lasts, strict=True)


def clip(ranges: Iterable[Range], low: int, high: int) -> Iterator[Range]:
    """The parts of `ranges` within low … high."""
    for first, last in ranges:
        if first <= high and last >= low:
            yield max(first, low), min(last, high)


def merge(ranges: Iterable[Range], gap: int = 1) -> list[Range]:
    """Join ranges that overlap or lie less than `gap` apart (1: that touch)."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first - merged[-1][1] <= gap:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def subtract(ranges: Iterable[Range], seen: Iterable[Range]) -> list[Range]:
    """What of `ranges` is not in `seen`; both in order and without overlap."""
    missing: list[Range] = []
    seen = list(seen)
    at = 0
    for first, last in ranges:
        while at < len(seen) and seen[at][1] < first:
            at += 1
        index = at
        while first <= last and index < len(seen) and seen[index][0] <= last:
            if seen[index][0] > first:
                missing.append((first, seen[index][0] - 1))
            first = seen[index][1] + 1
            index += 1
        if first <= last:
            missing.append((first, last))
    return missing


def size(ranges: Iterable[Range]) -> int:
    """How many numbers the ranges hold."""
    return sum(last - first + 1 for first, last in ranges)
