"""Events to stream: what a source offers, and one that lives in memory."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import NamedTuple, Protocol

import orjson

from iiot.budgets import EVENT_BYTES


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
        most_bytes: of their bodies; the newest event is kept, however large.
    """

    def __init__(self, size: int, clock: Callable[[], int], most_bytes: int = EVENT_BYTES) -> None:
        self._size = size
        self._most_bytes = most_bytes
        self._bytes = 0
        self._clock = clock
        self._events: list[Event] = []
        self._parts: list[tuple[EventRing, Callable[[str], bool]]] = []
        self._changed = asyncio.Event()
        self.latest = self._lost = clock()

    @property
    def oldest(self) -> int:
        """Id of the oldest event kept; `latest + 1` when there is none."""
        return self._events[0].id if self._events else self.latest + 1

    def part(self, wanted: Callable[[str], bool]) -> "EventRing":
        """A ring, as large as this, of those events whose type is `wanted`: others do not push them out.

        Ids are the same in both, so a client may go from one to the other.
        """
        ring = EventRing(self._size, self._clock, self._most_bytes)
        ring.latest = ring._lost = self.latest
        self._parts.append((ring, wanted))
        return ring

    def append(self, kind: str, endpoint: str, data: Mapping[str, object]) -> int:
        """Add an event; returns its id."""
        number = self.latest + 1
        moment = datetime.fromtimestamp(self._clock() / 1_000_000, UTC)
        timestamp = moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
        body = {"id": number, "type": kind, "endpoint": endpoint, "timestamp": timestamp, "data": data}
        event = Event(number, kind, endpoint, orjson.dumps(body))
        self.note(event, keep=True)
        for ring, wanted in self._parts:
            ring.note(event, keep=wanted(kind))
        return number

    def note(self, event: Event, *, keep: bool) -> None:
        """Take in an event that has its id already; without `keep` only the id counts."""
        self.latest = event.id
        if not keep:
            return
        self._events.append(event)
        self._bytes += len(event.body)
        # Seldom, because it moves the whole list.
        if len(self._events) > self._size * 1.25 or self._bytes > self._most_bytes * 1.25:
            self._shrink()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _shrink(self) -> None:
        surplus = max(0, len(self._events) - self._size)
        self._bytes -= sum(len(event.body) for event in self._events[:surplus])
        while self._bytes > self._most_bytes and surplus < len(self._events) - 1:
            self._bytes -= len(self._events[surplus].body)
            surplus += 1
        if surplus:
            self._lost = self._events[surplus - 1].id
            del self._events[:surplus]

    async def read(self, after: int, limit: int) -> Batch:
        """The events behind `after`, at most `limit`; a cursor ahead of them all starts at the oldest."""
        ahead = after > self.latest
        start = 0 if ahead else bisect_right(self._events, after, key=attrgetter("id"))
        events = self._events[start : start + limit]
        whole = start + len(events) == len(self._events)
        return Batch(events, self.latest if whole else events[-1].id, skipped=ahead or after < self._lost)

    async def changed(self) -> None:
        """Wait until there is a new event."""
        await self._changed.wait()
