"""/ws/events: the event feed as a WebSocket, one event per text message.

Each connection reads the log at its own pace, so nothing piles up for a slow one; it is closed, with the
reason, when it no longer takes anything or when what it has not seen is no longer kept. It never skips.
"""

import asyncio
from contextlib import suppress
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from iiot.telemetry import problem
from lwm2m_server.api import query_int
from lwm2m_server.events import EventLog
from lwm2m_server.metrics import Metrics

MAX_CLIENTS: Final = 200
PAGE: Final = 500
SEND_TIMEOUT: Final = 20.0
"""Seconds in which a client must take a page of events."""
PING_EVERY: Final = 20.0


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

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Send events behind `after`, or from now on, until the client goes."""
        after = query_int(request, "after", 0, self._events.latest)
        if self.clients >= MAX_CLIENTS:
            raise problem(503, f"{MAX_CLIENTS} WebSocket clients are connected already")
        socket = web.WebSocketResponse(heartbeat=PING_EVERY, compress=False, max_msg_size=4096)
        await socket.prepare(request)
        self.clients += 1
        sender = asyncio.create_task(self._send(socket, self._events.latest if after is None else after))
        closer = asyncio.create_task(self._stopping.wait())
        reader = asyncio.create_task(_read(socket))
        reason = "client"
        try:
            await asyncio.wait({sender, closer, reader}, return_when=asyncio.FIRST_COMPLETED)
            if sender.done():
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

    async def _send(self, socket: web.WebSocketResponse, cursor: int) -> str:
        while True:
            page = await self._events.read(cursor, PAGE)
            if page.gap is not None:
                text = f"events {page.gap[0]} to {page.gap[1]} are no longer kept"
                await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=text.encode())
                return "gap"
            try:
                async with asyncio.timeout(SEND_TIMEOUT):
                    for body in page.bodies:
                        await socket.send_frame(body, WSMsgType.TEXT)
            except TimeoutError:
                text = f"too slow: event {cursor + 1} and later not taken within {SEND_TIMEOUT:g} s"
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await socket.close(
                            code=WSCloseCode.POLICY_VIOLATION, message=text.encode(), drain=False
                        )
                return "slow"
            except ConnectionError:
                return "client"
            cursor = page.next
            await self._events.wait_beyond(cursor)


async def _read(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass  # clients have nothing to say; reading answers pings and notices that they left
