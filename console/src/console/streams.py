"""Server-sent events for the page: batches several times a second, only while the page is there."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any, Final

import orjson
from aiohttp import web

from console.decode import Decoder
from console.devices import Devices
from console.tap import Tap
from console.upstream import UnavailableError, Upstreams
from iiot.telemetry import problem

TICK: Final = 0.25
"""s between two batches."""
KEEP_ALIVE: Final = 10.0
SEND_TIMEOUT: Final = 20.0
PAGE: Final = 1000
_HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
_Batches = AsyncGenerator[tuple[str, Any], None]


class Streams:
    """Serves streams to at most `limit` pages.

    Attributes:
        open: streams open now.
    """

    def __init__(self, limit: int, stopping: asyncio.Event) -> None:
        self.open = 0
        self._limit = limit
        self._stopping = stopping

    async def serve(self, request: web.Request, batches: _Batches) -> web.StreamResponse:
        """Send what `batches` yields, `(event name, data)`, until the page goes or the console stops."""
        if self.open >= self._limit:
            raise problem(503, f"{self._limit} live views are open already (MAX_LOOKERS)")
        response = web.StreamResponse(headers=_HEADERS)
        self.open += 1
        try:
            await response.prepare(request)
            await self._send(request, response, batches)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self.open -= 1
            await batches.aclose()
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse, batches: _Batches) -> None:
        silent_since = time.monotonic()
        async for name, data in batches:
            if self._stopping.is_set() or request.transport is None or request.transport.is_closing():
                return
            now = time.monotonic()
            if data is None and now - silent_since < KEEP_ALIVE:
                continue
            silent_since = now
            text = b": alive\n\n" if data is None else frame(name, data)
            async with asyncio.timeout(SEND_TIMEOUT):
                await response.write(text)


def frame(name: str, data: Any) -> bytes:
    """An event in the format of text/event-stream; JSON has no line breaks."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))


async def device_messages(tap: Tap, devices: Devices, device: str, authorization: str | None) -> _Batches:
    """A device's MQTT messages, decoded: `messages`, `skipped`, and `state` when the broker goes or comes."""
    decoder = Decoder()
    await devices.teach(decoder, device, authorization)
    told, skipped = None, 0
    with tap.watch(device) as watch:
        while True:
            if tap.state != told:
                told = tap.state
                yield "state", {"connected": told.connected, "detail": told.detail}
            decoded = [decoder.decode(raw.topic, raw.payload, raw.at) for raw in watch.take()]
            messages = [message for message in decoded if message is not None]
            if watch.skipped > skipped:
                yield "skipped", {"count": watch.skipped - skipped}
                skipped = watch.skipped
            yield "messages", messages or None
            await asyncio.sleep(TICK)


async def lwm2m_events(upstreams: Upstreams, endpoint: str | None, authorization: str | None) -> _Batches:
    """The LwM2M server's event feed: the newest first page, then all that follows.

    Too many to show are not fetched one by one: the feed's newest page is shown and a `gap` tells.
    """
    after: int | None = None
    reachable = None
    while True:
        query = f"?limit={PAGE if after is not None else 100}" + ("" if after is None else f"&after={after}")
        try:
            page = await upstreams.json("lwm2m-server", f"/api/events{query}", authorization=authorization)
            events, after, latest = page["events"], page["next"], page["latest"]
        except (UnavailableError, KeyError, TypeError) as exc:
            if reachable is not False:
                yield "state", {"connected": False, "detail": str(exc)}
            reachable = False
            yield "events", None
            await asyncio.sleep(4 * TICK)
            continue
        if reachable is not True:
            reachable = True
            yield "state", {"connected": True, "detail": "connected"}
        if latest - after > 5 * PAGE:
            yield "gap", {"count": latest - after}
            after = None
        wanted = [e for e in events if endpoint is None or e.get("endpoint") == endpoint]
        yield "events", wanted or None
        await asyncio.sleep(2 * TICK)
