"""The ledger: numbers on messages, by which loss is proven."""

from collections.abc import Iterable
from typing import Literal

StreamName = Literal["sparkplug", "lwm2m"]


class Stream:
    """Numbers of one stream of one device.

    The first is the µs since 1970 at which the process started, or behind all that were given out before, so
    that no number comes twice over restarts.
    """

    __slots__ = ("device", "first", "last", "name")

    def __init__(self, device: str, name: StreamName, first: int) -> None:
        self.device = device
        self.name = name
        self.first = first
        self.last = first - 1

    def next(self) -> int:
        """The number of the next message."""
        self.last += 1
        return self.last

    @property
    def sent(self) -> int:
        """How many messages carried a number."""
        return self.last - self.first + 1


def as_json(fleet: str, streams: Iterable[Stream]) -> dict[str, object]:
    """What `/api/ledger` answers; streams that sent nothing are left out."""
    return {
        "fleet": fleet,
        "streams": [
            {"device": s.device, "stream": s.name, "first": s.first, "last": s.last, "sent": s.sent}
            for s in streams
            if s.sent
        ],
    }
