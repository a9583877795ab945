"""The event feed as a source of server-sent events."""

import orjson

from iiot.rest import Batch, Event
from lwm2m_server.events import EventLog


class FeedSource:
    """Reads the event log for `EventStreams`; each client has its own cursor, so nothing piles up."""

    def __init__(self, events: EventLog) -> None:
        self._events = events

    @property
    def oldest(self) -> int:
        """Id of the oldest event kept; `latest + 1` when there is none."""
        return self._events.oldest

    @property
    def latest(self) -> int:
        """Id of the newest visible event."""
        return self._events.latest

    async def read(self, after: int, limit: int) -> Batch:
        """The events behind `after`; a cursor of another database starts at the oldest.

        Raises:
            StoreError: the disk says no.
        """
        events = self._events
        page = await events.read(after if after <= events.latest else events.oldest - 1, limit)
        first = page.next - len(page.bodies)
        found = [_event(number, body) for number, body in enumerate(page.bodies, first + 1)]
        return Batch(found, page.next, skipped=first != after)

    async def changed(self) -> None:
        """Wait until there may be a new event."""
        await self._events.changed()


def _event(number: int, body: bytes) -> Event:
    fields = orjson.loads(body)
    return Event(number, fields["type"], fields["endpoint"], body)
