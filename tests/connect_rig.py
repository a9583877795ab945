"""What tests of the Connect paths need: an event feed with faults, the engine, a reader of Kafka."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import WSMsgType, web
from kafka import KafkaConsumer, TopicPartition

from iiot import topics
from schema_check import check_record
from support import eventually, free_port
from testbed.connect.engine import find_program

ROOT = Path(__file__).parent.parent
PATHS = (topics.LWM2M_HTTP, topics.LWM2M_WEBSOCKET)
ENGINES = ["embedded", *(["redpanda-connect"] if find_program() else [])]

WINDOW = 1000


@dataclass
class FakeFeed:
    """Stands in for the LwM2M server: events with ids 1, 2, …; `texts` may hold what is no event at all."""

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
                        "data": {
                            "seq": 1_795_000_000_000_000 + number,
                            "values": {"/3303/0/5700": 23.5},
                            **data,
                        },
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


FEED = web.AppKey("FEED", FakeFeed)


async def _events(request: web.Request) -> web.Response:
    feed = request.app[FEED]
    feed.polls += 1
    if feed.refuse_every and feed.polls % feed.refuse_every == 0:
        raise web.HTTPServiceUnavailable
    if int(request.query["after"]) > 2**53 - 1:
        raise web.HTTPBadRequest
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


async def _send_events(feed: FakeFeed, name: str, socket: web.WebSocketResponse) -> None:
    sent = feed.positions.get(name, 0)
    while True:
        room = WINDOW - (sent - feed.positions.get(name, 0))
        for number, text in feed.after(sent, room):
            await socket.send_str(text.decode())
            sent = number
        await feed.changed.wait()


@asynccontextmanager
async def serve_feed(feed: FakeFeed, port: int = 0) -> AsyncIterator[int]:
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


class Connect:
    """The configuration run by an engine, as a process of its own."""

    def __init__(self, engine: str, kafka: str, feed_port: int, directory: Path, **variables: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.cursor = directory / "cursor" / "lwm2m-http-source"
        self._log = directory / "connect.log"
        self._process: asyncio.subprocess.Process | None = None
        self._environment = {
            **os.environ,
            "CONNECT_ENGINE": engine,
            "KAFKA_BROKERS": kafka,
            "LWM2M_SERVER_URL": f"http://127.0.0.1:{feed_port}",
            "CURSOR_DIR": str(self.cursor.parent),
            "HTTP_PORT": str(self.port),
            "PYTHONPATH": os.pathsep.join(sys.path),
            **variables,
        }

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "testbed.connect", str(ROOT / "redpanda-connect-config.yaml"),
                env=self._environment, stdout=log, stderr=log,
            )  # fmt: skip

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> int:
        if self._process.returncode is None:
            self._process.terminate()
        return await self._process.wait()

    def log(self) -> str:
        return self._log.read_text()

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
            return response.status, await response.text()

    async def is_ready(self) -> bool:
        return (await self.get("/ready"))[0] == 200


@asynccontextmanager
async def running(connect: Connect) -> AsyncIterator[Connect]:
    """Started and ready; stopped at the end; its log is in the error when a test fails."""
    await connect.start()
    try:
        await eventually(connect.is_ready, "Connect is ready", seconds=30)
        yield connect
    except BaseException as exc:
        exc.add_note(connect.log()[-4000:])
        raise
    finally:
        await connect.stop()


class Records:
    """What arrives in the paths' topics and their dead-letter siblings, from now on or from the beginning."""

    def __init__(self, kafka: str, *, from_start: bool = False, paths: Sequence[str] = PATHS) -> None:
        self.by_topic: dict[str, list[Any]] = {
            name: [] for path in paths for name in (path, topics.dlq(path))
        }
        self._consumer = KafkaConsumer(
            bootstrap_servers=kafka, auto_offset_reset="earliest" if from_start else "latest"
        )
        partitions = [
            TopicPartition(name, number)
            for name in self.by_topic
            for number in self._consumer.partitions_for_topic(name)
        ]
        self._consumer.assign(partitions)
        for partition in partitions:
            self._consumer.position(partition)

    def close(self) -> None:
        self._consumer.close()

    def ids(self, topic: str) -> list[int]:
        return [orjson.loads(record.value)["id"] for record in self.by_topic[topic]]

    def reasons(self, path: str) -> list[str]:
        return [orjson.loads(record.value)["reason"] for record in self.by_topic[topics.dlq(path)]]

    async def until(self, done: Callable[[], bool], what: str, seconds: float = 30) -> None:
        def look() -> bool:
            for batch in self._consumer.poll(timeout_ms=100).values():
                for record in batch:
                    check_record(record)
                self.by_topic[batch[0].topic] += batch
            return done()

        await eventually(lambda: asyncio.to_thread(look), what, seconds)
