"""Server-sent events for the page: batches several times a second, only while the page is there."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final

import orjson
from aiohttp import web

from console.decode import Decoder
from console.devices import Devices
from console.tap import Raw, Tap
from console.upstream import UnavailableError, Upstreams
from iiot.in_order import LARGE_BYTES
from iiot.sparkplug.compression import most_bytes
from iiot.telemetry import problem

TICK: Final = 0.25
"""s between two batches."""
KEEP_ALIVE: Final = 10.0
SEND_TIMEOUT: Final = 20.0
PAGE: Final = 1000
TEACHING: Final = 2.0
"""s to wait for the names and datatypes that the Sparkplug host knows; messages are shown without, too."""
SPARKPLUG_EVENTS: Final = (
    *("node_born", "node_died", "node_stale", "device_born", "device_died", "device_stale"),
    *("node_forgotten", "rebirth_requested", "written"),
)
BATCH: Final = 20
"""Messages of one event; each may make `decode.SHOWN_BYTES` of JSON."""
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
    told, skipped = None, 0
    with tap.watch(device) as watch:
        with suppress(TimeoutError):
            async with asyncio.timeout(TEACHING):
                await devices.teach(decoder, device, authorization)
        while True:
            if tap.state != told:
                told = tap.state
                yield "state", {"connected": told.connected, "detail": told.detail}
            taken = watch.take()
            if watch.skipped > skipped:
                yield "skipped", {"count": watch.skipped - skipped}
                skipped = watch.skipped
            for batch in batches(taken) or [[]]:
                yield "messages", await _decoded(decoder, batch) or None
            await asyncio.sleep(TICK)


def batches(messages: Iterable[Raw]) -> list[list[Raw]]:
    """Messages in groups whose JSON fits into memory."""
    found: list[list[Raw]] = []
    size = 0
    for raw in messages:
        size += most_bytes(raw.payload)
        if not found or size > LARGE_BYTES or len(found[-1]) >= BATCH:
            found.append([])
            size = most_bytes(raw.payload)
        found[-1].append(raw)
    return found


async def _decoded(decoder: Decoder, batch: Sequence[Raw]) -> list[dict[str, Any]]:
    def work() -> list[dict[str, Any]]:
        decoded = [decoder.decode(raw.topic, raw.payload, raw.at) for raw in batch]
        return [message for message in decoded if message is not None]

    is_large = any(most_bytes(raw.payload) > LARGE_BYTES for raw in batch)
    return await asyncio.to_thread(work) if is_large else work()


async def events(upstreams: Upstreams, endpoint: str | None, authorization: str | None) -> _Batches:
    """What happens, of both protocols: `events`, `gap`, and `state` when a part goes or comes."""
    sources = (lwm2m_events(upstreams, authorization), sparkplug_events(upstreams, authorization))
    async with aclosing(_merged(sources)) as merged:
        async for name, data in merged:
            if name == "events" and data is not None and endpoint is not None:
                mine = [event for event in data["events"] if event.get("endpoint") == endpoint]
                yield name, {**data, "events": mine} if mine else None
            else:
                yield name, data


async def _merged(sources: Sequence[_Batches]) -> _Batches:
    queue: asyncio.Queue[tuple[str, Any]] = asyncio.Queue(maxsize=64)

    async def pump(source: _Batches) -> None:
        async for item in source:
            await queue.put(item)

    pumps = [asyncio.create_task(pump(source)) for source in sources]
    try:
        while True:
            yield await queue.get()
            for task in pumps:
                if task.done():
                    task.result()
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for source in sources:
            await source.aclose()


async def lwm2m_events(upstreams: Upstreams, authorization: str | None) -> _Batches:
    """The LwM2M server's event feed: the newest first page, then all that follows.

    Too many to show are not fetched one by one: the feed's newest page is shown and a `gap` tells.
    """
    part = "lwm2m-server"
    after: int | None = None
    reachable = None
    while True:
        query = f"?limit={PAGE if after is not None else 100}" + ("" if after is None else f"&after={after}")
        try:
            page = await upstreams.json(part, f"/api/events{query}", authorization=authorization)
            found, after, latest = page["events"], page["next"], page["latest"]
        except (UnavailableError, KeyError, TypeError) as exc:
            if reachable is not False:
                yield _state(part, str(exc))
            reachable = False
            await asyncio.sleep(4 * TICK)
            yield "events", None
            continue
        if reachable is not True:
            reachable = True
            yield _state(part)
        if latest - after > 5 * PAGE:
            yield "gap", {"part": part, "count": latest - after}
            after = None
        yield "events", {"part": part, "events": found} if found else None
        await asyncio.sleep(2 * TICK)


async def sparkplug_events(upstreams: Upstreams, authorization: str | None) -> _Batches:
    """Births, deaths, rebirth requests and writes that the Sparkplug host tells of."""
    part = "sparkplug-host"
    # From the oldest that it keeps: births are rare, and most came before this page.
    path = "/api/events/stream?after=1&" + "&".join(f"type={kind}" for kind in SPARKPLUG_EVENTS)
    reachable = None
    while True:
        try:
            async with aclosing(upstreams.lines(part, path, authorization=authorization)) as lines:
                async for line in lines:
                    if reachable is not True:
                        reachable = True
                        yield _state(part)
                    event = orjson.loads(line[6:]) if line.startswith(b"data: ") else {}
                    if "endpoint" in event:
                        yield "events", {"part": part, "events": [event]}
        except (UnavailableError, orjson.JSONDecodeError) as exc:
            if reachable is not False:
                yield _state(part, str(exc))
            reachable = False
        await asyncio.sleep(4 * TICK)


def _state(part: str, problem_text: str = "") -> tuple[str, dict[str, Any]]:
    return "state", {"part": part, "connected": not problem_text, "detail": problem_text}
