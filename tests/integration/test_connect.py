"""Both LwM2M paths to a real Kafka, on the embedded engine and on Redpanda Connect when it is installed."""

import asyncio
import base64
from contextlib import AsyncExitStack, asynccontextmanager

import orjson
import pytest
from kafka.partitioner.default import murmur2
from prometheus_client import CollectorRegistry

from connect_rig import ENGINES, PATHS, Connect, FakeFeed, Records, running, serve_feed
from iiot import topics
from iiot.budgets import LETTER_PAYLOAD_BYTES
from iiot.kafka import TopicSpec, ensure_topics
from iiot.rest import Access, Api, EventStreams, make_api
from iiot.telemetry import HealthReport, serve
from iiot.topic_shape import TopicSettings, topic_specs
from iiot.topics import LWM2M_HTTP
from lwm2m_server.api.feed import EventFeed
from lwm2m_server.event_source import FeedSource
from lwm2m_server.events import open_log
from lwm2m_server.metrics import Metrics
from lwm2m_server.store import Store
from lwm2m_server.ws import Feed
from support import eventually, free_port
from testbed.engines.native import kafka as kafka_process
from testbed.engines.native import paths
from testbed.engines.native.process import spawn

pytestmark = pytest.mark.parametrize("engine", ENGINES)
PARTITIONS = 3
TOKEN = "a-token-for-this-test"
SOURCES = ["lwm2m-http-source", "lwm2m-websocket-source"]


async def create_topics(brokers):
    await ensure_topics(brokers, topic_specs(PATHS, TopicSettings(topic_partitions=PARTITIONS)))


@pytest.fixture
async def records(kafka):
    await create_topics(kafka)
    found = await asyncio.to_thread(Records, kafka)
    yield found
    found.close()


def all_delivered(records, feed):
    """A probe: every event id is in both topics."""
    wanted = set(range(1, feed.latest + 1))
    return lambda: all(set(records.ids(path)) == wanted for path in PATHS)


def assert_first_deliveries_in_order(records):
    """Repeats apart, each device's events arrive in the order of their ids."""
    for path in PATHS:
        newest = {}
        seen = set()
        for record in records.by_topic[path]:
            number = orjson.loads(record.value)["id"]
            if number not in seen:
                assert number > newest.get(record.key, 0), f"{path}: {record.key} {number}"
                newest[record.key] = number
            seen.add(number)


async def status(connect, source):
    return orjson.loads((await connect.get(f"/connectors/{source}/status"))[1])


async def test_each_event_arrives_once_with_key_headers_and_value_as_it_was(kafka, records, engine, tmp_path):
    feed = FakeFeed()
    feed.add(20)
    async with serve_feed(feed) as port, running(Connect(engine, kafka, port, tmp_path)) as connect:
        await records.until(all_delivered(records, feed), "the events from before the start")
        feed.add(5)
        await records.until(all_delivered(records, feed), "the live events", seconds=5)
        for path in PATHS:
            assert sorted(records.ids(path)) == list(range(1, 26))
            for record in records.by_topic[path]:
                event = orjson.loads(record.value)
                assert event == orjson.loads(feed.texts[event["id"]])
                assert record.key.decode() == event["endpoint"]
                assert dict(record.headers) == {
                    "event_id": str(event["id"]).encode(),
                    "ce_specversion": b"1.0",
                    "ce_id": str(event["id"]).encode(),
                    "ce_source": b"/lwm2m-server/events",
                    "ce_type": b"iot.lwm2m.send",
                    "ce_subject": record.key,
                    "ce_time": b"2026-11-24T06:30:00.123Z",
                    "ce_dataschema": b"urn:iot-testbed:schema:lwm2m-event.v1",
                    "content-type": b"application/json",
                }
                number = (murmur2(record.key) & 0x7FFF_FFFF) % PARTITIONS
                assert record.partition == number, "as the Java clients and the bridge have it"
        assert_first_deliveries_in_order(records)
        await eventually(lambda: connect.cursor.read_text() == "25", "the stored cursor")
        await eventually(lambda: feed.positions == {SOURCES[1]: 25}, "the position kept by the server")


async def test_answers_like_a_kafka_connect_worker(kafka, records, engine, tmp_path):
    feed = FakeFeed()
    feed.add(3)
    async with serve_feed(feed) as port, running(Connect(engine, kafka, port, tmp_path)) as connect:
        await records.until(all_delivered(records, feed), "the events")
        assert await connect.get("/connectors") == (200, orjson.dumps(SOURCES).decode())
        for source in SOURCES:
            answer = await status(connect, source)
            assert answer["name"] == source
            assert answer["type"] == "source"
            assert answer["connector"]["state"] == "RUNNING"
            assert [(task["id"], task["state"]) for task in answer["tasks"]] == [(0, "RUNNING")]
        code, text = await connect.get("/connectors/none/status")
        assert code == 404
        assert orjson.loads(text) == {"error_code": 404, "message": "No status found for connector none"}
        for source, topic in zip(SOURCES, PATHS, strict=True):
            info = orjson.loads((await connect.get(f"/connectors/{source}"))[1])
            assert (info["name"], info["type"], info["config"]["topic"]) == (source, "source", topic)
            assert info["tasks"] == [{"connector": source, "task": 0}]
            for query in ("expand=info&expand=status", "expand=status", "expand=info"):
                expanded = orjson.loads((await connect.get(f"/connectors?{query}"))[1])
                assert sorted(expanded) == SOURCES
                assert expanded[source]["info"] == info
                assert expanded[source]["status"]["tasks"][0]["state"] == "RUNNING"
                assert expanded[source]["status"]["name"] == source
        code, text = await connect.get("/connectors/none")
        assert (code, orjson.loads(text)) == (404, {"error_code": 404, "message": "Connector none not found"})
        assert (await connect.get("/ping"))[1] == "pong"
        assert {"version", "built"} <= orjson.loads((await connect.get("/version"))[1]).keys()
        metrics = (await connect.get("/metrics"))[1]
        assert any(line.startswith("output_sent{") for line in metrics.splitlines())


async def test_a_failing_source_says_so_and_recovers(kafka, records, engine, tmp_path):
    feed = FakeFeed()
    feed.add(3)
    port = free_port()
    connect = Connect(engine, kafka, port, tmp_path)
    async with AsyncExitStack() as stack:
        async with serve_feed(feed, port):
            await stack.enter_async_context(running(connect))
            await records.until(all_delivered(records, feed), "the events")
        for source in SOURCES:

            async def has_failed(source=source):
                task = (await status(connect, source))["tasks"][0]
                return task["state"] == "FAILED" and task["trace"]

            await eventually(has_failed, f"{source} is reported", seconds=15)
        async with serve_feed(feed, port):
            feed.add(3)
            await records.until(all_delivered(records, feed), "the events after the restart")
            await eventually(connect.is_ready, "Connect is ready again")


async def test_poison_goes_to_the_dead_letters_and_blocks_nothing(kafka, records, engine, tmp_path):
    feed = FakeFeed()
    feed.add(2)
    poison = [b"17", b"null", b"[1]", b'{"id":6,"type":"send"}', b'{"id":7,"type":"send","endpoint":""}']
    for text in poison:
        feed.add_text(text)
    feed.add(1, blob="x" * 1000)
    feed.add(1, blob="y" * 5_000_000)
    feed.add(2)
    reasons = (
        ["not an event object"] * 3 + ["missing endpoint"] * 2 + ["oversize: 5000163 bytes, at most 4194304"]
    )
    reasons = sorted(reasons)
    async with serve_feed(feed) as port, running(Connect(engine, kafka, port, tmp_path)) as connect:
        await records.until(
            lambda: all(sorted(records.reasons(path)) == reasons for path in PATHS), "the dead letters"
        )
        await records.until(
            lambda: all(sorted(records.ids(path)) == [1, 2, 8, 10, 11] for path in PATHS), "the good events"
        )
        await eventually(lambda: connect.cursor.read_text() == "11", "the cursor behind the poison")
    for path in PATHS:
        for record in records.by_topic[topics.dlq(path)]:
            letter = orjson.loads(record.value)
            payload = base64.b64decode(letter["payload_base64"])
            assert letter["topic"] == path
            assert dict(record.headers)["error"].decode() == letter["reason"]
            assert len(payload) == min(letter["size"], LETTER_PAYLOAD_BYTES)
            headers = dict(record.headers)
            assert headers["ce_type"] == b"iot.dead-letter"
            assert headers["ce_subject"] == record.key
            assert record.key in (*map(str.encode, SOURCES), b"device-temp-000")
            assert {"ce_id", "ce_time", "ce_source", "ce_specversion", "ce_dataschema"} <= headers.keys()
            assert payload in poison or b"yyy" in payload or b'"endpoint":""' in payload


async def test_the_largest_events_arrive_whole(kafka, records, engine, tmp_path):
    feed = FakeFeed()
    feed.add(12, blob="x" * 1_000_000)
    feed.add(2, blob="y" * 4_100_000)
    feed.add(3)
    async with serve_feed(feed) as port, running(Connect(engine, kafka, port, tmp_path)):
        await records.until(all_delivered(records, feed), "every event", seconds=60)
    for path in PATHS:
        values = {event["id"]: event for event in map(orjson.loads, feed.texts.values())}
        assert all(values[e["id"]] == e for e in (orjson.loads(r.value) for r in records.by_topic[path]))
        assert records.reasons(path) == []


def other_names(unique):
    """Variables that give both paths topics and consumers of a test's own; and the topics."""
    paths = [unique("http"), unique("websocket")]
    names = {"LWM2M_HTTP_TOPIC": paths[0], "LWM2M_WEBSOCKET_TOPIC": paths[1]}
    return paths, names | {"LWM2M_HTTP_CONSUMER": paths[0], "LWM2M_WEBSOCKET_CONSUMER": paths[1]}


async def test_a_dead_letter_topic_that_takes_little_holds_nothing_up(kafka, engine, tmp_path, unique):
    paths, names = other_names(unique)
    little, less = {"max.message.bytes": "100000"}, {"max.message.bytes": "3000"}
    specs = [TopicSpec(path, 1, little) for path in paths]
    await ensure_topics(kafka, specs + [TopicSpec(topics.dlq(path), 1, less) for path in paths])
    records = await asyncio.to_thread(lambda: Records(kafka, paths=paths))
    feed = FakeFeed()
    feed.add(2)
    feed.add_text(b'{"id":3,"type":"send","pad":"' + b"p" * 50_000 + b'"}')  # a letter of the processors
    async with serve_feed(feed) as port, running(Connect(engine, kafka, port, tmp_path, **names)) as connect:

        def letters(path):
            return [orjson.loads(record.value) for record in records.by_topic[topics.dlq(path)]]

        def has_letter(size):
            return lambda: all(any(letter["size"] >= size for letter in letters(path)) for path in paths)

        await records.until(has_letter(50_000), "the letters of the processors")
        assert [len(letters(path)) for path in paths] == [1, 1], "letters of records that Kafka took"
        feed.add(1, blob="x" * 200_000)  # refused by Kafka
        await records.until(has_letter(200_000), "the letters of what Kafka refused")
        feed.add(2)
        await records.until(lambda: all({5, 6} <= set(records.ids(p)) for p in paths), "what comes after")
        assert orjson.loads((await connect.get("/connectors"))[1]) == paths
        await eventually(lambda: feed.positions == {paths[1]: 6}, "the position under the given name")
        cursor = connect.cursor.with_name(paths[0])
        await eventually(lambda: cursor.read_text() == "6", "the cursor under the given name")
    records.close()
    for path in paths:
        # Redpanda Connect cannot tell which record of a refused batch it was: there may be letters for all.
        assert {one["reason"][:16] for one in letters(path)} == {"missing endpoint", "refused by Kafka"}
        large = [one for one in letters(path) if one["size"] >= 50_000]
        assert all(one["size"] > len(one["payload_base64"]) for one in large)


async def test_a_dead_letter_that_nobody_takes_is_counted_and_given_up(kafka, engine, tmp_path, unique):
    paths, names = other_names(unique)
    tiny = {"max.message.bytes": "100"}
    specs = [TopicSpec(path, 1) for path in paths] + [TopicSpec(topics.dlq(path), 1, tiny) for path in paths]
    await ensure_topics(kafka, specs)
    records = await asyncio.to_thread(lambda: Records(kafka, paths=paths))
    feed = FakeFeed()
    feed.add_text(b'{"id":1,"type":"send"}')
    feed.add(2)
    async with serve_feed(feed) as port, running(Connect(engine, kafka, port, tmp_path, **names)) as connect:
        await records.until(lambda: all({2, 3} == set(records.ids(p)) for p in paths), "what comes after")
        cursor = connect.cursor.with_name(paths[0])
        await eventually(lambda: cursor.read_text() == "3", "the cursor")
        lines = (await connect.get("/metrics"))[1].splitlines()
        lost = [line for line in lines if line.startswith("connect_lost_letters_total{")]
        assert sum(float(line.split()[-1]) for line in lost) >= 2
    records.close()


async def test_a_topic_that_is_away_holds_its_records_and_loses_none(kafka, engine, tmp_path, unique):
    paths, names = other_names(unique)
    await ensure_topics(kafka, [TopicSpec(topics.dlq(path), 1) for path in paths])
    feed = FakeFeed()
    feed.add(5)
    async with serve_feed(feed) as port, running(Connect(engine, kafka, port, tmp_path, **names)) as connect:
        await eventually(lambda: "UNKNOWN_TOPIC" in connect.log(), "the topic is missed", seconds=60)
        await ensure_topics(kafka, [TopicSpec(path, 1) for path in paths])
        records = await asyncio.to_thread(lambda: Records(kafka, paths=paths, from_start=True))
        wanted = {1, 2, 3, 4, 5}
        await records.until(lambda: all(set(records.ids(p)) == wanted for p in paths), "every event", 60)
        await eventually(lambda: connect.cursor.with_name(paths[0]).read_text() == "5", "the cursor")
        assert [records.reasons(path) for path in paths] == [[], []]
        records.close()


async def test_a_cursor_that_no_feed_can_have_starts_over(kafka, records, engine, tmp_path):
    feed = FakeFeed()
    feed.add(3)
    (tmp_path / "cursor").mkdir()
    (tmp_path / "cursor" / SOURCES[0]).write_text("9999999999999999")
    async with serve_feed(feed) as port, running(Connect(engine, kafka, port, tmp_path)) as connect:
        await records.until(all_delivered(records, feed), "the events")
        await eventually(lambda: connect.cursor.read_text() == "3", "the cursor")
        task = (await status(connect, SOURCES[0]))["tasks"][0]
        assert task["state"] == "RUNNING", task
    (letter,) = records.by_topic[topics.dlq(LWM2M_HTTP)]
    reason = "reset: event 9007199254740991 is not there yet, the newest is 3; starting over"
    assert orjson.loads(letter.value)["reason"] == reason
    assert letter.key == SOURCES[0].encode()
    assert dict(letter.headers)["ce_type"] == b"iot.dead-letter"


async def test_kill_and_refusals_lose_nothing(kafka, records, engine, tmp_path):
    feed = FakeFeed(refuse_every=4)
    async with serve_feed(feed) as port:
        connect = Connect(engine, kafka, port, tmp_path)
        async with running(connect):
            for _ in range(3):
                feed.add(150)
                await records.until(
                    lambda: all(len(set(records.ids(path))) > feed.latest - 100 for path in PATHS),
                    "events before the kill",
                )
                feed.add(50)
                await connect.kill()
                feed.add(50)
                await connect.start()
            await records.until(all_delivered(records, feed), "every event")
    assert_first_deliveries_in_order(records)


async def test_the_lwm2m_server_s_own_feed_is_resumed_on_both_paths(kafka, records, engine, tmp_path):
    with Store(tmp_path / "events.db", 100_000, 10_000_000) as store:
        async with open_log(store, 1_000_000) as events, serve_log(events) as port:

            def all_arrived():
                wanted = set(range(store.first + 1, events.latest + 1))
                return events.pending == 0 and all(set(records.ids(path)) == wanted for path in PATHS)

            connect = Connect(engine, kafka, port, tmp_path, API_TOKEN=TOKEN)
            async with running(connect):
                for seq in range(1500):
                    events.append("send", f"device-{seq % 3}", {"seq": seq})
                await records.until(all_arrived, "the first events")
                await connect.kill()
                for seq in range(1500, 3000):
                    events.append("send", f"device-{seq % 3}", {"seq": seq})
                await connect.start()
                await records.until(all_arrived, "the events from while it was away")
                await eventually(lambda: [events.lag(source) for source in SOURCES] == [0, 0], "no lag")
    assert_first_deliveries_in_order(records)


async def test_events_that_are_gone_become_visible_and_the_flow_goes_on(kafka, records, engine, tmp_path):
    feed = FakeFeed()
    feed.add(30)
    async with serve_feed(feed) as port:
        connect = Connect(engine, kafka, port, tmp_path)
        async with running(connect):
            await records.until(all_delivered(records, feed), "the first events")
            await eventually(lambda: connect.cursor.read_text() == "30", "the cursor")
        feed.add(30)
        feed.forget_up_to(45)
        async with running(connect):
            gap = "gap: behind event 30 none is kept before 46"
            await records.until(lambda: records.reasons(LWM2M_HTTP) == [gap], "the gap")
            await records.until(lambda: max(records.ids(LWM2M_HTTP)) == 60, "the events behind the gap")
            await eventually(lambda: connect.cursor.read_text() == "60", "the cursor behind the gap")
            feed.lose_everything(latest=0)
            feed.add(3)
            await records.until(lambda: len(records.reasons(LWM2M_HTTP)) == 2, "the reset")
            assert records.reasons(LWM2M_HTTP)[1].startswith("reset: event 60 is not there yet")
            await eventually(lambda: connect.cursor.read_text() == "3", "the cursor in the new feed")
            assert gap in connect.log()


async def test_a_kafka_outage_holds_the_cursors_and_loses_nothing(engine, tmp_path):
    feed = FakeFeed()
    async with own_kafka(tmp_path / "kafka") as (brokers, start, kill):
        await create_topics(brokers)
        async with serve_feed(feed) as port, running(Connect(engine, brokers, port, tmp_path)) as connect:
            feed.add(100)
            await eventually(lambda: connect.cursor.read_text() == "100", "the cursor")
            await eventually(lambda: feed.positions == {SOURCES[1]: 100}, "the position")
            kill()
            feed.add(2500)
            await asyncio.sleep(2)
            assert connect.cursor.read_text() == "100"
            assert feed.positions == {SOURCES[1]: 100}
            start()
            await eventually(lambda: connect.cursor.read_text() == "2600", "the cursor", seconds=60)
            await eventually(lambda: feed.positions == {SOURCES[1]: 2600}, "the position", seconds=60)
            records = await asyncio.to_thread(lambda: Records(brokers, from_start=True))
            await records.until(all_delivered(records, feed), "every event")
            records.close()
    assert_first_deliveries_in_order(records)


async def test_stops_within_five_seconds_while_kafka_is_away(engine, tmp_path):
    feed = FakeFeed()
    feed.add(10)
    async with serve_feed(feed) as port:
        connect = Connect(engine, f"127.0.0.1:{free_port()}", port, tmp_path)
        await connect.start()
        try:
            await eventually(lambda: feed.polls >= 1 and feed.sockets >= 1, "both sources read", seconds=20)
            async with asyncio.timeout(5):
                await connect.stop()
        finally:
            await connect.kill()
        assert not connect.cursor.exists()
        assert feed.positions == {}


@asynccontextmanager
async def serve_log(events):
    """The LwM2M server's HTTP side without its devices, closed to everyone without the token."""
    stopping = asyncio.Event()
    feed = Feed(events, Metrics(CollectorRegistry()), stopping)
    routes = EventFeed(events, feed, EventStreams(FeedSource(events), stopping)).routes()
    access = Access(TOKEN, reads_open=False)
    app = make_api(CollectorRegistry(), lambda: HealthReport(healthy=True), Api("Feed", "", routes), access)
    async with serve(app, "127.0.0.1", 0) as port:
        yield port


@asynccontextmanager
async def own_kafka(directory):
    directory.mkdir()
    port = free_port()
    jars = kafka_process.libraries(paths.cache())
    command = kafka_process.prepare(directory, jars, port=port, controller_port=free_port())
    processes = []

    def start():
        processes.append(spawn(command, directory / "log.txt", directory))

    def kill():
        processes[-1].kill()
        processes[-1].wait(10)

    start()
    try:
        yield f"127.0.0.1:{port}", start, kill
    finally:
        kill()
