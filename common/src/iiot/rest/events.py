"""Events to stream: what a source offers, and one that lives in memory."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import orjson


class Event(NamedTuple):
    """An event: its number, its type, the device it is about, and all of it as JSON."""

    id: int
    type: str
    endpoint: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """A part of the events.

    Attributes:
        events: in order of their ids.
        next: the cursor that continues behind them.
        skipped: events between the cursor asked for and these are no longer kept.
    """

    events: Sequence[Event]
    next: int
    skipped: bool = False


class EventSource(Protocol):
    """Events with ids that only grow.

    Attributes:
        oldest: id of the oldest event kept; `latest + 1` when there is none.
        latest: id of the newest event.
    """

    @property
    def oldest(self) -> int: ...  # noqa: D102
    @property
    def latest(self) -> int: ...  # noqa: D102

    async def read(self, after: int, limit: int) -> Batch:
        """The events behind `after`, at most `limit`."""

    async def changed(self) -> None:
        """Wait until there is a new event."""


class EventRing:
    """The newest events of a service, in memory.

    Args:
        size: events kept.
        clock: µs since 1970. Ids start there, so that they are ahead of those before a restart.
    """

    def __init__(self, size: int, clock: Callable[[], int]) -> None:
        self._size = size
        self._clock = clock
        self._events: list[Event] = []
        self._changed = asyncio.Event()
        self.latest = clock()

    @property
    def oldest(self) -> int:
        """Id of the oldest event kept; `latest + 1` when there is none."""
        return self.latest + 1 - len(self._events)

    def append(self, kind: str, endpoint: str, data: Mapping[str, object]) -> int:
        """Add an event; returns its id."""
        number = self.latest + 1
        moment = datetime.fromtimestamp(self._clock() / 1_000_000, UTC)
        timestamp = moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
        event = {"id": number, "type": kind, "endpoint": endpoint, "timestamp": timestamp, "data": data}
        self._events.append(Event(number, kind, endpoint, orjson.dumps(event)))
        self.latest = number
        if len(self._events) > self._size * 1.25:  # seldom, because it moves the whole list
            del self._events[: -self._size]
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        return number

    async def read(self, after: int, limit: int) -> Batch:
        """The events behind `after`, at most `limit`; a cursor ahead of them all starts at the oldest."""
        first = after + 1 if after <= self.latest else self.oldest
        start = max(first, self.oldest)
        index = start - self.oldest
        events = self._events[index : index + limit]
        return Batch(events, start - 1 + len(events), skipped=start != after + 1)

    async def changed(self) -> None:
        """Wait until there is a new event."""
        await self._changed.wait()
