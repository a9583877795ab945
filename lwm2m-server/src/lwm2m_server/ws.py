"""/ws/events: the event feed as a WebSocket, one event per text message.

Each connection reads the log at its own pace, so nothing piles up for a slow one; it is closed, with the
reason, when it no longer takes anything. What is no longer kept is never skipped silently: a message
`{"type":"gap",...}` stands for it. A named consumer starts behind its stored position, and gets at most
`WINDOW` events beyond what it has stored (`PUT /api/events/consumers/{name}`), so that it may be slow.
"""

import asyncio
from contextlib import suppress
from typing import Annotated, Final

import orjson
from aiohttp import WSCloseCode, WSMsgType, web
from pydantic import BaseModel, Field

from iiot.rest import PARAMETERS
from iiot.telemetry import problem
from lwm2m_server.events import EventLog
from lwm2m_server.metrics import Metrics

MAX_CLIENTS: Final = 200
PAGE: Final = 500
WINDOW: Final = 1000
"""Events sent ahead of what a named consumer has stored."""
SEND_TIMEOUT: Final = 20.0
"""Seconds in which a client must take a page of events."""
PING_EVERY: Final = 20.0


class Live(BaseModel):
    """Where a connection starts."""

    model_config = PARAMETERS

    after: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None
    """Start behind this id instead of now."""
    consumer: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    """Start behind the position of this consumer, and stay at most 1000 events ahead of it."""


class Feed:
    """Serves the WebSocket connections.

    Attributes:
        clients: connections open now.
    """

    def __init__(self, events: EventLog, metrics: Metrics, stopping: asyncio.Event) -> None:
        self.clients = 0
        self._events = events
        self._metrics = metrics
        self._stopping = stopping

    async def handle(self, request: web.Request, wanted: Live) -> web.WebSocketResponse:
        """Send events behind `after`, the consumer's position, or from now on, until the client goes."""
        after, consumer = wanted.after, wanted.consumer
        if self.clients >= MAX_CLIENTS:
            raise problem(503, f"{MAX_CLIENTS} WebSocket clients are connected already")
        socket = web.WebSocketResponse(heartbeat=PING_EVERY, compress=False, max_msg_size=4096)
        await socket.prepare(request)
        self.clients += 1
        sender = asyncio.create_task(self._send(socket, self._start(after, consumer), consumer))
        closer = asyncio.create_task(self._stopping.wait())
        reader = asyncio.create_task(_read(socket))
        reason = "client"
        try:
            await asyncio.wait({sender, closer, reader}, return_when=asyncio.FIRST_COMPLETED)
            if sender.done() and not isinstance(sender.exception(), ConnectionError):
                reason = sender.result()
            elif closer.done():
                reason = "stopping"
                await socket.close(code=WSCloseCode.GOING_AWAY, message=b"server is stopping")
        finally:
            self.clients -= 1
            self._metrics.ws_closed(reason)
            for task in (sender, closer, reader):
                task.cancel()
            await asyncio.gather(sender, closer, reader, return_exceptions=True)
        return socket

    def _start(self, after: int | None, consumer: str | None) -> int:
        if after is not None:
            return after
        if consumer is None:
            return self._events.latest
        return self._events.positions.get(consumer, self._events.oldest - 1)

    async def _send(self, socket: web.WebSocketResponse, cursor: int, consumer: str | None) -> str:
        events, taken = self._events, cursor
        while True:
            room = PAGE
            if consumer is not None:
                taken = max(taken, events.positions.get(consumer, 0))
                room = min(PAGE, WINDOW - (cursor - taken))
            if room <= 0 or events.latest == cursor:
                await events.changed()
                continue
            page = await events.read(cursor, room)
            texts, first = page.bodies, page.next - len(page.bodies)
            if first != cursor:
                texts, taken = [_notice(cursor, events), *texts], first
            if not await _deliver(socket, texts):
                return "slow"
            cursor = page.next


async def _deliver(socket: web.WebSocketResponse, texts: list[bytes]) -> bool:
    try:
        async with asyncio.timeout(SEND_TIMEOUT):
            for text in texts:
                await socket.send_frame(text, WSMsgType.TEXT)
    except TimeoutError:
        reason = f"too slow: {len(texts)} events not taken within {SEND_TIMEOUT:g} s"
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=reason.encode(), drain=False)
        return False
    return True


def _notice(after: int, events: EventLog) -> bytes:
    kind = "gap" if after <= events.latest else "reset"
    return orjson.dumps({"type": kind, "after": after, "oldest": events.oldest, "latest": events.latest})


async def _read(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass  # clients have nothing to say; reading answers pings and notices that they left
