"""The two counters of an edge node: `seq` of its messages, `bdSeq` of its sessions; both 0..255.

`seq` is one counter per edge node, shared by all its devices; it is 0 in every NBIRTH (specification
3.0, sections 6.4.5 and 6.4.6). `bdSeq` grows by one with every MQTT CONNECT and never by a rebirth.
"""

MODULO = 256


def successor(number: int) -> int:
    """The number that follows: 255 is followed by 0."""
    return (number + 1) % MODULO


def distance(start: int, end: int) -> int:
    """How many steps forward lead from `start` to `end` (0..255)."""
    return (end - start) % MODULO


FAILED_CONNECTS = 16
"""CONNECTs that may have failed between two sessions without a trace; each took a bdSeq."""


def follows(before: int, bd_seq: int) -> bool:
    """Whether a session with `bd_seq` can come after one with `before` of the same edge node.

    An edge node that keeps no bdSeq over restarts begins with 0 again.
    """
    return bd_seq == 0 or 0 < distance(before, bd_seq) <= FAILED_CONNECTS


class Counter:
    """A counter 0..255 that hands out its numbers in order.

    Attributes:
        upcoming: the number that the next `take` returns.
    """

    __slots__ = ("upcoming",)

    def __init__(self, upcoming: int = 0) -> None:
        self.upcoming = upcoming % MODULO

    def take(self) -> int:
        """Return the number that is due, and advance."""
        number = self.upcoming
        self.upcoming = successor(number)
        return number

    def reset(self) -> None:
        """Start again at 0."""
        self.upcoming = 0
