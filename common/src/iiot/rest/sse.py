"""Server-sent events (WHATWG HTML, section 9.2): `text/event-stream` with resuming, filters and bounds.

Each client reads the source at its own pace, so nothing piles up for a slow one; it is cut off when it
takes nothing for `SEND_TIMEOUT`. What is no longer kept is never skipped silently: a `gap` event tells.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Annotated, Any, Final

import orjson
from aiohttp import web
from pydantic import BaseModel, Field

from iiot.errors import InvalidValueError
from iiot.rest.events import Batch, Event, EventSource
from iiot.rest.parameters import PARAMETERS
from iiot.telemetry import get_logger, problem

MAX_CLIENTS: Final = 200
PAGE: Final = 200
"""Events read at once."""
KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a comment is sent, so that proxies and clients know the connection lives."""
SEND_TIMEOUT: Final = 20.0
"""Seconds in which a client must take what is sent."""
RETRY: Final = 2000
"""Milliseconds after which a client that lost the connection comes back."""
MAX_ID: Final = 2**53 - 1

_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Selection(BaseModel):
    """Where a client starts, and which events it wants."""

    model_config = PARAMETERS

    after: Annotated[int, Field(ge=0, le=MAX_ID)] | None = None
    """Start behind the event with this id instead of now; the header `Last-Event-ID` wins over it."""

    def wants(self, event: Event) -> bool:
        """Whether the event is sent."""
        raise NotImplementedError


class StreamParameters(Selection):
    """Which events a client wants."""

    endpoint: Annotated[list[str], Field(max_length=100)] = []
    """Only events of this device; may be repeated."""
    type: Annotated[list[str], Field(max_length=100)] = []
    """Only events of this type; may be repeated."""

    def wants(self, event: Event) -> bool:
        """Whether the filters let the event pass."""
        return (not self.endpoint or event.endpoint in self.endpoint) and (
            not self.type or event.type in self.type
        )


class EventStreams:
    """Serves the streams of one source.

    Attributes:
        clients: connections open now.
    """

    def __init__(self, source: EventSource, stopping: asyncio.Event) -> None:
        self.clients = 0
        self._source = source
        self._stopping = stopping

    async def stream_events(self, request: web.Request, wanted: Selection) -> web.StreamResponse:
        """Send events until the client goes or the service stops.

        Raises:
            InvalidValueError: `Last-Event-ID` is no id of ours.
        """
        cursor = self._start(request, wanted)
        if self.clients >= MAX_CLIENTS:
            error = problem(503, f"{MAX_CLIENTS} event streams are open already")
            error.headers["Retry-After"] = "5"
            raise error
        response = web.StreamResponse(headers=_HEADERS)
        self.clients += 1
        try:
            await response.prepare(request)
            if request.method != "HEAD":
                await self._until_stopped(self._send(request, response, wanted, cursor))
        finally:
            self.clients -= 1
        return response

    def _start(self, request: web.Request, wanted: Selection) -> int:
        text = request.headers.get("Last-Event-ID")
        if text is None:
            return self._source.latest if wanted.after is None else wanted.after
        if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= MAX_ID):
            raise InvalidValueError("Last-Event-ID", text[:100], "the id of an event")
        return int(text)

    async def _until_stopped(self, sending: Coroutine[Any, Any, None]) -> None:
        sender = asyncio.create_task(sending)
        closer = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({sender, closer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sender, closer):
                task.cancel()
            failure, _ = await asyncio.gather(sender, closer, return_exceptions=True)
            if isinstance(failure, Exception):
                get_logger("iiot.http").warning("event_stream_failed", error=repr(failure))

    async def _send(
        self, request: web.Request, response: web.StreamResponse, wanted: Selection, cursor: int
    ) -> None:
        source, text = self._source, b"retry: %d\n\n" % RETRY
        try:
            while True:
                async with asyncio.timeout(SEND_TIMEOUT):
                    await response.write(text)
                text = b""
                while not text:
                    if cursor == source.latest and not await self._changes():
                        # The id keeps the client's place where filters let nothing pass.
                        text = b": keep-alive\nid: %d\n\n" % cursor
                        break
                    batch = await source.read(cursor, PAGE)
                    text = frames(cursor, batch, filter(wanted.wants, batch.events))
                    cursor = batch.next
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            return

    async def _changes(self) -> bool:
        try:
            async with asyncio.timeout(KEEP_ALIVE):
                await self._source.changed()
        except TimeoutError:
            return False
        return True


def frames(cursor: int, batch: Batch, events: Iterable[Event]) -> bytes:
    """Events of a batch as the client reads them, led by a notice when some are missing."""
    texts = [b"id: %d\nevent: %s\ndata: %s\n\n" % (e.id, e.type.encode(), e.body) for e in events]
    if batch.skipped:
        first = batch.events[0].id - 1 if batch.events else batch.next
        notice = orjson.dumps({"type": "gap", "after": cursor, "continues": first})
        texts.insert(0, b"id: %d\nevent: gap\ndata: %s\n\n" % (first, notice))
    return b"".join(texts)
