"""The event feed: ids that only grow, visible once they are durable, bounded in memory and on disk."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import orjson

from iiot.errors import InvalidValueError
from iiot.telemetry import get_logger
from lwm2m_server.store import Store, StoredEvent, StoreError

COMMIT_EVERY: Final = 0.01
"""Seconds between commits at least: what arrives meanwhile is committed together."""
RETRY_AFTER: Final = 1.0
STUCK_AFTER: Final = 5.0
"""Seconds that a commit may take before the log counts as stuck."""
MAX_LIMIT: Final = 1000
"""Events in one page at most."""
MAX_CONSUMERS: Final = 100
PAGE_BYTES: Final = 8 << 20
"""A page ends early when its events are this large together."""

log = get_logger("lwm2m_server.events")


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the feed.

    Attributes:
        bodies: the events as JSON, in order of their ids.
        next: the cursor that continues behind them.
        gap: first and last id asked for that are no longer kept, None when nothing is missing.
    """

    bodies: list[bytes]
    next: int
    gap: tuple[int, int] | None = None


@dataclass(slots=True)
class _Batch:
    events: list[StoredEvent] = field(default_factory=list)
    registrations: dict[str, bytes | None] = field(default_factory=dict)
    positions: dict[str, int | None] = field(default_factory=dict)
    documents: dict[tuple[str, str], bytes | None] = field(default_factory=dict)
    callbacks: list[Callable[[], object]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.events or self.positions or self.documents)


class EventLog:
    """Appends events and hands them out again.

    Attributes:
        latest: id of the newest visible event.
        oldest: id of the oldest event kept; `latest + 1` when there is none.
        on_append: told the type of each event.
        positions: id up to which each consumer has taken the feed, by its name.
    """

    def __init__(self, store: Store, memory_bytes: int) -> None:
        self.latest = store.latest
        self.oldest = store.oldest
        self._failing: str | None = None
        self.on_append: Callable[[str], None] = lambda kind: None
        self.positions = store.positions()
        self._store = store
        self._memory_bytes = memory_bytes
        self._next_id = store.latest + 1
        self._pending = _Batch()
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._closing = False
        self._commit_began: float | None = None
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._reader = ThreadPoolExecutor(1, "store-reader")
        newest = store.newest(1_000_000, memory_bytes)
        # Bodies of consecutive ids, the first of them `_first`: a page is a slice.
        self._bodies = [body for _, body in newest]
        self._first = newest[0][0] if newest else self._next_id
        self._bytes = sum(map(len, self._bodies))

    @property
    def pending(self) -> int:
        """Events appended that are not durable yet."""
        return self._next_id - 1 - self.latest

    @property
    def problem(self) -> str | None:
        """Why events do not become durable now: the last commit failed, or hangs; None when all is well."""
        if self._failing is not None:
            return self._failing
        began = self._commit_began
        seconds = 0.0 if began is None else time.monotonic() - began
        return None if seconds < STUCK_AFTER else f"a commit has not ended for {seconds:.0f} s"

    @property
    def memory_bytes(self) -> int:
        """Size of the events held in memory."""
        return self._bytes

    @property
    def disk_bytes(self) -> int:
        """Size of the events kept on disk."""
        return self._store.bytes

    def append(
        self,
        kind: str,
        endpoint: str,
        data: Mapping[str, object],
        *,
        seq: int | None = None,
        registration: bytes | None = None,
        deregistered: bool = False,
        on_durable: Callable[[], object] | None = None,
    ) -> int:
        """Add an event, and with it the change of a registration.

        Args:
            kind: the event's `type`.
            endpoint: the device.
            data: the event's `data`.
            seq: the message's number in the device's ledger stream.
            registration: the registration's new state, to be stored with the event.
            deregistered: the registration is gone, to be stored with the event.
            on_durable: called when all this is on disk and the event visible.

        Returns:
            The event's id.
        """
        number = self._next_id
        timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
        event = {"id": number, "type": kind, "endpoint": endpoint, "timestamp": timestamp, "data": data}
        # Copied, because what orjson returns holds on to its working buffer: 4 KiB for 200 bytes.
        body = bytes(memoryview(orjson.dumps(event)))
        self._next_id = number + 1
        self._pending.events.append(StoredEvent(number, endpoint, seq, body))
        if registration is not None or deregistered:
            self._pending.registrations[endpoint] = registration
        if on_durable is not None:
            self._pending.callbacks.append(on_durable)
        self._wanted.set()
        self.on_append(kind)
        return number

    def put(
        self, kind: str, name: str, body: bytes | None, on_durable: Callable[[], object] | None = None
    ) -> None:
        """Store a document, or remove it with None: together with the events of the same moment.

        Args:
            kind: what it is, such as `request`.
            name: its name among those of its kind.
            body: what it holds.
            on_durable: called when it is on disk.
        """
        self._pending.documents[kind, name] = body
        if on_durable is not None:
            self._pending.callbacks.append(on_durable)
        self._wanted.set()

    async def stored(self, kind: str, name: str, body: bytes | None) -> None:
        """Store a document, or remove it with None, and wait until that is on disk."""
        durable = asyncio.Event()
        self.put(kind, name, body, durable.set)
        await durable.wait()

    async def bodies(self, ids: Sequence[int]) -> list[bytes]:
        """The events with these ids, as far as they are kept."""
        found = []
        for number in ids:
            if number >= self._first and number <= self.latest:
                found.append(self._bodies[number - self._first])
            elif self.oldest <= number <= self.latest:
                found += (await self.read(number - 1, 1)).bodies
        return found

    async def read(self, after: int | None, limit: int) -> Page:
        """Events behind `after`, oldest first; without it the newest ones.

        Raises:
            StoreError: the disk says no.
        """
        cursor = max(self.oldest - 1, self.latest - limit) if after is None else after
        asked, cursor = cursor, max(min(cursor, self.latest), self.oldest - 1)
        if cursor + 1 >= self._first:
            start = cursor + 1 - self._first
            bodies = self._bodies[start : start + limit]
        else:
            loop = asyncio.get_running_loop()
            rows = await loop.run_in_executor(self._reader, self._store.events, cursor, limit)
            bodies = [body for _, body in rows]
            cursor = rows[0][0] - 1 if rows else cursor  # more may have been dropped meanwhile
        if limit > 1:
            bodies = _fitting(bodies)
        missing = (max(asked, self._store.first) + 1, cursor)
        return Page(bodies, cursor + len(bodies), missing if missing[0] <= missing[1] else None)

    def lag(self, consumer: str) -> int:
        """Events kept that a consumer has not taken."""
        return self.latest - max(self.positions.get(consumer, 0), self.oldest - 1)

    def move(
        self, consumer: str, position: int | None, on_durable: Callable[[], object] | None = None
    ) -> None:
        """Store up to where a consumer has taken the feed; it only moves forward. None forgets the consumer.

        Raises:
            InvalidValueError: there are `MAX_CONSUMERS` already.
        """
        known = self.positions.get(consumer)
        if position is None:
            self.positions.pop(consumer, None)
        elif known is None and len(self.positions) >= MAX_CONSUMERS:
            raise InvalidValueError("consumer", consumer, f"one of the {MAX_CONSUMERS} known")
        else:
            position = self.positions[consumer] = max(position, known or 0)
        if position == known and on_durable is None:
            return
        self._pending.positions[consumer] = position
        if on_durable is not None:
            self._pending.callbacks.append(on_durable)
        self._notify()
        self._wanted.set()

    async def changed(self) -> None:
        """Wait until there is a new event, or a consumer moved."""
        await self._changed.wait()

    async def settled(self) -> None:
        """Wait until everything appended so far is durable."""
        last = self._next_id - 1
        while self.latest < last:
            await self._changed.wait()

    async def run(self) -> None:
        """Make appended events durable and visible, until `close`."""
        loop = asyncio.get_running_loop()
        while not self._closing or self._pending:
            await self._wanted.wait()
            self._wanted.clear()
            started = loop.time()
            batch, self._pending = self._pending, _Batch()
            if batch:
                await self._commit(batch)
            if not self._closing:
                await asyncio.sleep(started + COMMIT_EVERY - loop.time())

    def close(self) -> None:
        """Let `run` commit what is left and return."""
        self._closing = True
        self._wanted.set()

    def shutdown(self) -> None:
        """Stop the threads."""
        self._writer.shutdown()
        self._reader.shutdown()

    async def _commit(self, batch: _Batch) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._commit_began = time.monotonic()
            try:
                await loop.run_in_executor(
                    self._writer,
                    self._store.commit,
                    batch.events,
                    batch.registrations,
                    batch.positions,
                    batch.documents,
                )
                break
            except StoreError as error:
                self._failing = str(error)
                log.warning("events_not_stored", waiting=self.pending, error=self._failing)
            except Exception as error:  # whatever it is, nothing is stored any more, and health must say so
                self._failing = repr(error)
                log.exception("events_not_stored", waiting=self.pending)
            finally:
                self._commit_began = None
            if self._closing:
                return  # their messages were not acknowledged: the broker sends them again
            await asyncio.sleep(RETRY_AFTER)
        self._failing = None
        self._show(batch)

    def _show(self, batch: _Batch) -> None:
        added = [event.body for event in batch.events]
        self._bodies += added
        self._bytes += sum(map(len, added))
        self.latest, self.oldest = self._store.latest, self._store.oldest
        if self._bytes > self._memory_bytes or self._first < self.oldest:
            self._trim()
        self._notify()
        for callback in batch.callbacks:
            try:
                callback()
            except Exception:  # one reply that cannot be made must not end the log
                log.exception("event_callback_failed")

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _trim(self) -> None:
        # A tenth more than needed, because removing at the front moves the whole list.
        count, size = max(0, self.oldest - self._first), 0
        size = sum(map(len, self._bodies[:count]))
        if self._bytes - size > self._memory_bytes:
            while count < len(self._bodies) - 1 and self._bytes - size > self._memory_bytes * 0.9:
                size += len(self._bodies[count])
                count += 1
        del self._bodies[:count]
        self._first += count
        self._bytes -= size


def _fitting(bodies: list[bytes]) -> list[bytes]:
    if sum(map(len, bodies)) <= PAGE_BYTES:
        return bodies
    size = 0
    for count, body in enumerate(bodies):
        size += len(body)
        if size > PAGE_BYTES:
            return bodies[: max(1, count)]
    return bodies


@asynccontextmanager
async def open_log(store: Store, memory_bytes: int) -> AsyncIterator[EventLog]:
    """An event log at work; at the end what was appended is committed, if the disk lets us."""
    events = EventLog(store, memory_bytes)
    task = asyncio.create_task(events.run(), name="event-log")
    try:
        yield events
    finally:
        events.close()
        await task
        events.shutdown()
