"""Judges the `seq` of one edge node: gaps, steps back, two publishers at once."""

from dataclasses import dataclass
from enum import Enum, auto

from iiot.sparkplug.lint.events import Publish
from iiot.sparkplug.sequence import distance, successor

_CLOSE = 32
"""How many missing messages still look like a gap of one publisher."""
_STEADY = 3


class Order(Enum):
    """How a seq stands to those before it."""

    IN_TURN = auto()
    LATE = auto()
    GAP = auto()
    WRONG = auto()
    SECOND_PUBLISHER = auto()


@dataclass(slots=True, eq=False)
class Gap:
    """Numbers that were passed over by `event`; empty once all came after all."""

    missing: set[int]
    event: Publish
    verb: str
    detail: str


class SequenceWatch:
    """Follows seq from the first one seen. A number that comes late is no violation: brokers may reorder."""

    __slots__ = ("_expected", "_other", "_own_since_other", "_steady", "gaps")

    def __init__(self) -> None:
        self.gaps: list[Gap] = []
        self._expected: int | None = None
        self._other: int | None = None
        self._own_since_other = 0
        self._steady = 0

    def restart(self, seq: int) -> None:
        """An NBIRTH with this seq."""
        self._expected = successor(seq)
        self._other = None

    def stop(self) -> None:
        """Nothing is known of what comes next."""
        self._expected = None

    def accept(self, seq: int, verb: str, event: Publish) -> tuple[Order, str]:
        """Judge the next message; the text says what is wrong."""
        expected = self._expected
        if expected is None or seq == expected:
            self._own_since_other += 1
            self._expected = successor(seq)
            return Order.IN_TURN, ""
        if self._fill(seq):
            return Order.LATE, ""
        if seq == self._other:
            return self._follow_other(seq)
        ahead = distance(expected, seq)
        detail = f"seq {seq} where {expected} was due"
        if ahead <= _CLOSE:
            missing = {(expected + step) % 256 for step in range(ahead)}
            self.gaps.append(Gap(missing, event, verb, f"{detail}; {ahead} missing"))
            self._expected = successor(seq)
            return Order.GAP, detail
        self._other, self._own_since_other, self._steady = successor(seq), 0, 0
        return Order.WRONG, detail

    def _follow_other(self, seq: int) -> tuple[Order, str]:
        self._other = successor(seq)
        if not self._own_since_other:
            self._expected, self._other = successor(seq), None
            return Order.IN_TURN, ""
        self._steady, self._own_since_other = self._steady + 1, 0
        if self._steady >= _STEADY:
            return Order.SECOND_PUBLISHER, f"two sequences at once, at {self._expected} and {seq}"
        return Order.WRONG, f"seq {seq} where {self._expected} was due"

    def _fill(self, seq: int) -> bool:
        for gap in self.gaps:
            if seq in gap.missing:
                gap.missing.discard(seq)
                return True
        return False
