"""HTTP load generator: `python -m testbed.bench.http_load` sends GET requests and times the answers.

It writes bytes made ahead and looks at little more than status and length of an answer, so that it takes
less than any server under test. Options come as JSON on standard input. It prints `begin` after the
warm-up, `end` after the measured span, then the result as JSON.
"""

import asyncio
import sys
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from time import perf_counter_ns
from typing import cast

import orjson
import uvloop

TICK = 0.001
ANSWER_TURNS = 10_000
"""Looks, a tick apart, at whether the last answers are there."""
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class HttpLoad:
    """What to ask for.

    Attributes:
        port: of a server on this host.
        paths: asked for in turn.
        connections: kept open; each has one request on its way at most.
        rate: requests per second, timed from when each was due; 0: each connection asks again at once.
        expected: what each body holds; another counts as failed.
        follow: each page of a feed is asked for behind the one before, as `{path}&after={next}`.
        warmup: seconds before measuring.
        seconds: to measure.
    """

    port: int
    paths: Sequence[str]
    connections: int
    rate: float
    expected: str
    follow: bool
    warmup: float
    seconds: float


@dataclass(frozen=True, slots=True)
class HttpResult:
    """What came back in the measured span; times in ms.

    Attributes:
        answers: with status 200 and the expected body.
        failed: others, over the whole run.
        unanswered: requests that were never answered, over the whole run.
        events: events in the pages, when following a feed.
        bytes: size of the bodies.
    """

    seconds: float
    answers: int
    failed: int
    unanswered: int
    events: int
    bytes: int
    p50: float | None
    p99: float | None
    max: float | None


def main() -> None:
    """Send until the time is over."""
    load = HttpLoad(**orjson.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(run(load))))


class _Tally:
    """What all connections count together."""

    def __init__(self, expected: str) -> None:
        self.expected = expected.encode()
        self.latencies = array("q")
        self.failed = self.events = self.bytes = 0
        self.stopped = False

    def reset(self) -> None:
        self.latencies = array("q")
        self.events = self.bytes = 0


class _Client(asyncio.Protocol):
    def __init__(self, paths: Iterator[str], tally: _Tally, free: "deque[_Client] | None") -> None:
        self.due = 0
        self._paths = paths
        self._tally = tally
        self._free = free
        self._after: int | None = None
        self._buffer = b""
        self._chunks: list[bytes] = []
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        if self._free is not None:
            self._free.append(self)

    def send(self, due: int) -> None:
        """Ask for the next path; the time counts from `due`, in ns."""
        self.due = due
        path = next(self._paths)
        if self._after is not None:
            path = f"{path}&after={self._after}"
        self._transport.write(b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % path.encode())

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._chunks.append(data)
            self._missing -= len(data)
        else:
            data = self._buffer + data
            end = data.find(_HEAD_END)
            if end < 0:
                self._buffer = data
                return
            self._buffer = b""
            self._is_good = data.startswith(b"HTTP/1.1 200")
            self._chunks = [data[end + len(_HEAD_END) :]]
            self._missing = _content_length(data[:end]) - len(self._chunks[0])
        if not self._missing:
            self._answered()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._free is not None and self in self._free:
            self._free.remove(self)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _answered(self) -> None:
        now, tally = perf_counter_ns(), self._tally
        body = b"".join(self._chunks)
        if self._is_good and tally.expected in body:
            tally.latencies.append(now - self.due)
            tally.bytes += len(body)
            if self._after is not None:
                self._turn_page(body)
        else:
            tally.failed += 1
        self.due = 0
        if self._free is not None:
            self._free.append(self)
        elif not tally.stopped:
            self.send(now)

    def start_at(self, after: int) -> None:
        """Follow a feed from behind this id on."""
        self._begin = self._after = after

    def _turn_page(self, body: bytes) -> None:
        following, latest = _number(body, b'"next":'), _number(body, b'"latest":')
        self._tally.events += following - (self._after or 0)
        self._after = self._begin if following >= latest else following


async def run(load: HttpLoad) -> HttpResult:
    """Send until the time is over, and say so."""
    loop, tally = asyncio.get_running_loop(), _Tally(load.expected)
    free: deque[_Client] | None = deque() if load.rate else None
    paths = cycle(load.paths)
    clients = []
    for _ in range(load.connections):
        _, client = await loop.create_connection(lambda: _Client(paths, tally, free), "127.0.0.1", load.port)
        clients.append(client)
    if load.follow:
        oldest = await _oldest(load.port)
        for client in clients:
            client.start_at(oldest - 1)
    offer = asyncio.create_task(_offer(load.rate, free)) if free is not None else None
    if offer is None:
        for client in clients:
            client.send(perf_counter_ns())
    await asyncio.sleep(load.warmup)
    _say("begin")
    tally.reset()
    started = perf_counter_ns()
    await asyncio.sleep(load.seconds)
    seconds = (perf_counter_ns() - started) / 1e9
    times, events, size = sorted(tally.latencies), tally.events, tally.bytes
    _say("end")
    tally.stopped = True
    if offer is not None:
        offer.cancel()
    waiting = await _unanswered(clients)
    for client in clients:
        client.close()
    return HttpResult(
        round(seconds, 3), len(times), tally.failed, waiting, events, size,
        _quantile(times, 0.5), _quantile(times, 0.99), _quantile(times, 1),
    )  # fmt: skip


async def _offer(rate: float, free: deque[_Client]) -> None:
    """Hand out requests as they become due; those that find no free connection wait, and their time runs."""
    period, due = 1e9 / rate, float(perf_counter_ns())
    while True:
        now = perf_counter_ns()
        while due <= now and free:
            free.popleft().send(int(due))
            due += period
        await asyncio.sleep(TICK)


async def _unanswered(clients: Sequence[_Client]) -> int:
    waiting = 0
    for _ in range(ANSWER_TURNS):
        waiting = sum(bool(client.due) for client in clients)
        if not waiting:
            break
        await asyncio.sleep(TICK)
    return waiting


async def _oldest(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/events?limit=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return int(orjson.loads(answer.partition(_HEAD_END)[2])["oldest"])


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].partition(b"\r\n")[0]) if at >= 0 else 0


def _number(body: bytes, key: bytes) -> int:
    """The number behind the last `key`."""
    at = body.rindex(key) + len(key)
    return int(body[at : at + 20].partition(b",")[0].rstrip(b"}"))


def _quantile(times: Sequence[int], q: float) -> float | None:
    return round(times[min(len(times) - 1, int(len(times) * q))] / 1e6, 3) if times else None


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
