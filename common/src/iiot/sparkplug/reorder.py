"""Messages of one edge node in the order of their `seq` (specification 3.0, section 6.4.28)."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from iiot.sparkplug.sequence import MODULO, distance, successor

T = TypeVar("T")


class ReorderBuffer(Generic[T]):
    """Holds messages that came too early until the missing ones arrive.

    Attributes:
        expected: the seq whose turn it is; None while no NBIRTH has set it.
        held: messages that wait, by seq.
    """

    __slots__ = ("expected", "held")

    def __init__(self) -> None:
        self.expected: int | None = None
        self.held: dict[int, T] = {}

    def accept(self, seq: int) -> bool:
        """Return whether it is this seq's turn, and advance if so."""
        if seq != self.expected:
            return False
        self.expected = successor(seq)
        return True

    def hold(self, seq: int, message: T) -> bool:
        """Keep a message that came too early; False when there is no place for it in one round of seq."""
        if seq in self.held or not 0 <= seq < MODULO:
            return False
        self.held[seq] = message
        return True

    def following(self) -> Iterator[T]:
        """Take out the held messages whose turn has come, in order."""
        while self.expected is not None and self.expected in self.held:
            message = self.held.pop(self.expected)
            self.expected = successor(self.expected)
            yield message

    def give_up(self) -> list[T]:
        """Take out everything, in order, and go on after the last; the missing messages are lost."""
        if self.expected is None or not self.held:
            return []
        start = self.expected
        order = sorted(self.held, key=lambda seq: distance(start, seq))
        messages = [self.held[seq] for seq in order]
        self.held.clear()
        self.expected = successor(order[-1])
        return messages

    def restart(self, seq: int, keep: Callable[[T], bool]) -> None:
        """An NBIRTH with this seq came: forget held messages that are not of the new sequence."""
        self.expected = successor(seq)
        self.held = {number: message for number, message in self.held.items() if keep(message)}

    def stop(self) -> None:
        """Wait for an NBIRTH; forget everything."""
        self.expected = None
        self.held.clear()
