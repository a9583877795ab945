import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from iiot.rest import Access, Answer, Api, EventRing, EventStreams, Route, StreamParameters, make_api, sse
from iiot.telemetry import HealthReport, serve
from support import eventually

START = 1_795_000_000_000_000


@pytest.fixture
def ring():
    return EventRing(4, lambda: START)


@pytest.fixture
def stopping():
    return asyncio.Event()


@pytest.fixture
def streams(ring, stopping):
    return EventStreams(ring, stopping)


@pytest.fixture
async def open_stream(streams, stopping):
    route = Route(
        "GET", "/events", streams.stream_events, "Events", {200: Answer("Events", str, "text/event-stream")},
        StreamParameters, streams=True,
    )  # fmt: skip
    app = make_api(
        CollectorRegistry(), lambda: HealthReport(healthy=True), Api("Events", "", (route,)), Access()
    )

    @asynccontextmanager
    async def start(query="", **headers):
        async with client.get(f"/events{query}", headers=headers) as response:
            yield response

    async with (
        serve(app, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        yield start
        stopping.set()


async def block(response):
    """The fields of the next block, as lists since names repeat."""
    fields = {}
    async with asyncio.timeout(5):
        while True:
            line = (await response.content.readline()).decode()
            if not line.strip():
                return fields
            name, _, value = line.rstrip("\n").partition(":")
            fields[name] = value.strip()


async def test_events_come_with_id_type_and_data(open_stream, ring):
    async with open_stream() as response:
        assert response.content_type == "text/event-stream"
        assert await block(response) == {"retry": "2000"}
        number = ring.append("born", "device-1", {"text": "a\nb"})
        event = await block(response)
    assert (event["id"], event["event"]) == (str(number), "born")
    assert json.loads(event["data"]) == {
        "id": number, "type": "born", "endpoint": "device-1", "timestamp": "2026-11-18T11:06:40.000Z",
        "data": {"text": "a\nb"},
    }  # fmt: skip


async def test_filters_by_endpoint_and_type(open_stream, ring):
    async with open_stream("?endpoint=a&endpoint=b&type=died") as response:
        await block(response)
        for kind, endpoint in (("born", "a"), ("died", "c"), ("died", "b")):
            ring.append(kind, endpoint, {})
        event = json.loads((await block(response))["data"])
    assert (event["type"], event["endpoint"]) == ("died", "b")


async def test_a_client_resumes_behind_the_last_event_it_saw(open_stream, ring):
    first = ring.append("born", "a", {})
    second = ring.append("born", "b", {})
    async with open_stream("?after=0", **{"Last-Event-ID": str(first)}) as response:
        await block(response)
        assert (await block(response))["id"] == str(second)


async def test_what_is_gone_is_told(open_stream, ring):
    numbers = [ring.append("born", "a", {}) for _ in range(7)]
    async with open_stream(f"?after={numbers[0]}") as response:
        await block(response)
        gap = await block(response)
        assert gap["event"] == "gap"
        assert json.loads(gap["data"]) == {"type": "gap", "after": numbers[0], "continues": ring.oldest - 1}
        assert (await block(response))["id"] == str(ring.oldest)


async def test_an_id_of_another_run_starts_at_the_oldest(open_stream, ring):
    number = ring.append("born", "a", {})
    async with open_stream(f"?after={number + 10}") as response:
        await block(response)
        assert (await block(response))["event"] == "gap"
        assert (await block(response))["id"] == str(number)


@pytest.mark.parametrize("value", ["x", "-1", "٣", "9" * 30])
async def test_a_wrong_id_is_refused(open_stream, value):
    async with open_stream(**{"Last-Event-ID": value}) as response:
        assert response.status == 400
        assert json.loads(await response.text())["field"] == "Last-Event-ID"


async def test_silence_is_broken_by_comments_that_keep_the_place(open_stream, ring, monkeypatch):
    monkeypatch.setattr(sse, "KEEP_ALIVE", 0.05)
    async with open_stream("?type=died") as response:
        await block(response)
        number = ring.append("born", "a", {})
        kept = await eventually(lambda: _keeps(response, number), "the comment carries the newest id")
    assert kept[""] == "keep-alive"


async def _keeps(response, number):
    fields = await block(response)
    return fields if fields.get("id") == str(number) else None


async def test_streams_are_bounded(open_stream, streams, monkeypatch):
    monkeypatch.setattr(sse, "MAX_CLIENTS", 1)
    async with open_stream() as first:
        await block(first)
        async with open_stream() as second:
            assert (second.status, second.headers["Retry-After"]) == (503, "5")
    assert streams.clients == 1 or streams.clients == 0


async def test_a_client_that_takes_nothing_is_cut_off(open_stream, streams, ring, monkeypatch):
    monkeypatch.setattr(sse, "SEND_TIMEOUT", 0.2)
    async with open_stream() as response:
        await block(response)
        response.connection.transport.pause_reading()
        large = {"text": "x" * 1_000_000}

        def gone():
            ring.append("born", "a", large)
            return streams.clients == 0

        await eventually(gone, "the stream ends", interval=0.05)


async def test_a_stopping_service_ends_streams(open_stream, streams, stopping):
    async with open_stream() as response:
        await block(response)
        stopping.set()
        assert await asyncio.wait_for(response.content.read(), 5) == b""
    assert streams.clients == 0


async def test_the_ring_is_bounded_and_its_ids_grow(ring):
    numbers = [ring.append("born", "a", {}) for _ in range(100)]
    assert numbers == list(range(START + 1, START + 101))
    assert ring.latest == numbers[-1]
    batch = await ring.read(0, 1000)
    assert batch.skipped
    assert 4 <= len(batch.events) <= 5
    assert batch.next == ring.latest
    assert [event.id for event in (await ring.read(ring.latest - 2, 1)).events] == [ring.latest - 1]


async def test_a_part_of_a_ring_keeps_its_events_when_others_are_many(ring):
    life = ring.part(lambda kind: kind != "values")
    born = ring.append("born", "a", {})
    for _ in range(50):
        ring.append("values", "a", {})
    died = ring.append("died", "a", {})
    after = ring.append("values", "a", {})

    batch = await life.read(START, 10)
    assert ([event.id for event in batch.events], batch.next, batch.skipped) == ([born, died], after, False)
    assert (await ring.read(START, 10)).skipped
    assert (life.oldest, life.latest) == (born, ring.latest)
    assert [event.id for event in (await life.read(born, 1)).events] == [died]
    assert (await life.read(after, 10)).events == []
    for _ in range(6):
        ring.append("born", "b", {})
    gap = await life.read(born, 10)
    assert gap.skipped
    assert sse.frames(born, gap, gap.events).startswith(b"id: %d\nevent: gap" % (gap.events[0].id - 1))


async def test_large_events_push_out_old_ones_before_they_fill_the_memory():
    ring = EventRing(1_000, lambda: 0, most_bytes=10_000)
    life = ring.part(lambda kind: kind != "values")
    born = ring.append("node_born", "n", {})
    for _ in range(100):
        newest = ring.append("values", "n", {"values": "x" * 1_000})
    kept = (await ring.read(0, 1_000)).events
    assert sum(len(event.body) for event in kept) < 12_500
    assert (kept[-1].id, (await ring.read(0, 1_000)).skipped) == (newest, True)
    assert [event.id for event in (await life.read(0, 1_000)).events] == [born]
    huge = ring.append("values", "n", {"values": "x" * 50_000})
    assert [event.id for event in (await ring.read(0, 1_000)).events] == [huge]
    assert not (await ring.read(newest, 1_000)).skipped
