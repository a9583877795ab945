"""A stand-in for the LwM2M server's event feed, with the faults that the Connect paths must survive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import WSMsgType, web

WINDOW = 1000


@dataclass
class Feed:
    """Events with ids 1, 2, …; `texts` may hold anything, also what is no event at all."""

    texts: dict[int, bytes] = field(default_factory=dict)
    latest: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    polls: int = 0
    refuse_every: int = 0
    sockets: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, count: int = 1, **data: Any) -> None:
        for _ in range(count):
            number = self.latest + 1
            self.add_text(
                orjson.dumps(
                    {
                        "id": number,
                        "type": "send",
                        "endpoint": f"device-temp-{number % 3:03d}",
                        "timestamp": "2026-11-24T06:30:00.123Z",
                        "data": {"seq": 1_795_000_000_000_000 + number, "values": {"/3303/0/5700": 23.5}, **data},
                    }
                )
            )

    def add_text(self, text: bytes) -> None:
        self.latest += 1
        self.texts[self.latest] = text
        self.notify()

    def notify(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def forget_up_to(self, last: int) -> None:
        self.texts = {number: text for number, text in self.texts.items() if number > last}

    def lose_everything(self, latest: int) -> None:
        self.texts, self.latest = {}, latest
        self.positions.clear()

    def after(self, position: int, limit: int) -> list[tuple[int, bytes]]:
        return [(n, self.texts[n]) for n in sorted(self.texts) if n > position][:limit]

    def page(self, position: int, limit: int) -> bytes:
        events = self.after(position, limit)
        head = {
            "next": events[-1][0] if events else position,
            "oldest": min(self.texts, default=None),
            "latest": self.latest,
        }
        return b'{"events":[' + b",".join(text for _, text in events) + b"]," + orjson.dumps(head)[1:]


FEED = web.AppKey("FEED", Feed)


async def _events(request: web.Request) -> web.Response:
    feed = request.app[FEED]
    feed.polls += 1
    if feed.refuse_every and feed.polls % feed.refuse_every == 0:
        raise web.HTTPServiceUnavailable
    body = feed.page(int(request.query["after"]), int(request.query["limit"]))
    return web.Response(body=body, content_type="application/json")


async def _store_position(request: web.Request) -> web.Response:
    feed, name = request.app[FEED], request.match_info["name"]
    position = (await request.json())["position"]
    feed.positions[name] = max(position, feed.positions.get(name, 0))
    feed.notify()
    return web.json_response({"consumer": name, "position": position, "lag": feed.latest - position})


async def _socket(request: web.Request) -> web.WebSocketResponse:
    feed, name = request.app[FEED], request.query["consumer"]
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    feed.sockets += 1
    sender = asyncio.create_task(_send_events(feed, name, socket))
    try:
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
    finally:
        sender.cancel()
    return socket


async def _send_events(feed: Feed, name: str, socket: web.WebSocketResponse) -> None:
    sent = feed.positions.get(name, 0)
    while True:
        room = WINDOW - (sent - feed.positions.get(name, 0))
        for number, text in feed.after(sent, room):
            await socket.send_str(text.decode())
            sent = number
        await feed.changed.wait()


@asynccontextmanager
async def serve_feed(feed: Feed, port: int = 0) -> AsyncIterator[int]:
    """Serve the feed; yields the port, to be given again for a restart."""
    app = web.Application()
    app[FEED] = feed
    app.router.add_get("/api/events", _events)
    app.router.add_put("/api/events/consumers/{name}", _store_position)
    app.router.add_get("/ws/events", _socket)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
