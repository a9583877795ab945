import asyncio
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from iiot.budgets import RECORD_BYTES
from iiot.errors import KafkaError
from iiot.kafka import (
    KafkaSink,
    TopicSpec,
    cloud_event_headers,
    ensure_topics,
    is_refusal,
    is_too_large,
    topic_differences,
)
from support import accepts_connections, eventually, free_port, wait_until
from testbed.engines.native import kafka as kafka_process
from testbed.engines.native import paths
from testbed.engines.native.process import spawn


def records_of(brokers, topic, count):
    """The records of a topic by an independent client, in order of partition and offset."""
    consumer = KafkaConsumer(bootstrap_servers=brokers, consumer_timeout_ms=5000)
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    found = []
    try:
        while len(found) < count or sum(consumer.end_offsets(partitions).values()) > len(found):
            batch = consumer.poll(timeout_ms=5000)
            assert batch, f"{len(found)} of {count} records"
            found += [record for records in batch.values() for record in records]
    finally:
        consumer.close()
    return found


@pytest.fixture
async def topic(kafka, unique):
    name = unique("sink")
    assert await ensure_topics(kafka, [TopicSpec(name, 1)]) == [name]
    return name


class Reports:
    """Delivery reports, and the threads they came in."""

    def __init__(self):
        self.errors, self.threads = [], set()

    def __call__(self, error):
        self.errors.append(error)
        self.threads.add(threading.get_ident())


async def test_records_arrive_as_given_and_reports_in_the_event_loop(kafka, topic):
    reports = Reports()
    headers = cloud_event_headers("1", "/bridge", "iiot.test", "device", 1_800_000_000_123, [("n", 5)])
    async with KafkaSink(kafka, "test") as sink:
        sink.produce(topic, b"device-temp-001", b'{"a":1}', headers, reports)
        assert sink.in_flight == 1
        await eventually(lambda: reports.errors, "the delivery report")
        assert sink.in_flight == 0
        await eventually(lambda: sink.connected, "connected")
    assert reports.errors == [None]
    assert reports.threads == {threading.get_ident()}
    [record] = records_of(kafka, topic, 1)
    assert (record.key, record.value) == (b"device-temp-001", b'{"a":1}')
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"1",
        "ce_source": b"/bridge",
        "ce_type": b"iiot.test",
        "ce_subject": b"device",
        "ce_time": b"2027-01-15T08:00:00.123Z",
        "content-type": b"application/json",
        "n": b"5",
    }


async def test_records_keep_their_order_and_leaving_waits_for_them(kafka, topic):
    reports = Reports()
    async with KafkaSink(kafka, "test") as sink:
        for number in range(5000):
            sink.produce(topic, b"k", b"%d" % number, [], reports)
    assert (sink.in_flight, reports.errors) == (0, [None] * 5000)
    assert [record.value for record in records_of(kafka, topic, 5000)] == [b"%d" % n for n in range(5000)]


async def test_a_record_too_large_for_the_client_is_not_taken(kafka, topic):
    reports = Reports()
    async with KafkaSink(kafka, "test") as sink:
        with pytest.raises(KafkaError) as caught:
            sink.produce(topic, b"k", bytes(RECORD_BYTES), [], reports)
        assert is_refusal(str(caught.value))
        assert sink.in_flight == 0
        sink.produce(topic, b"k", b"next", [], reports)
    assert reports.errors == [None]


async def test_a_record_too_large_for_the_topic_is_refused_in_its_report(kafka, unique):
    name = unique("small")
    await ensure_topics(kafka, [TopicSpec(name, 1, {"max.message.bytes": "1000"})])
    large, small = Reports(), Reports()
    async with KafkaSink(kafka, "test") as sink:
        sink.produce(name, b"k", bytes(5000), [], large)
        await eventually(lambda: large.errors, "the refusal")
        sink.produce(name, b"k", b"small", [], small)
        await eventually(lambda: small.errors, "the delivery")
        assert sink.fatal is None
    assert is_refusal(large.errors[0])
    assert small.errors == [None]


async def test_a_batch_that_is_too_large_is_no_refusal_of_its_small_records(kafka, unique):
    name = unique("small")
    await ensure_topics(kafka, [TopicSpec(name, 1, {"max.message.bytes": "1000"})])
    large, small = Reports(), Reports()
    async with KafkaSink(kafka, "test", flush_timeout=20, **{"linger.ms": 200}) as sink:
        for number in range(100):
            sink.produce(name, b"k", b"%d" % number, [("pad", b"x" * 50)], small)
        sink.produce(name, b"k", bytes(5000), [], large)
    assert small.errors == [None] * 100
    assert [is_too_large(error) for error in large.errors] == [True]
    assert [record.value for record in records_of(kafka, name, 100)] == [b"%d" % n for n in range(100)]


async def test_an_absent_topic_is_no_refusal_of_the_record(kafka, unique):
    reports = Reports()
    async with KafkaSink(kafka, "test", **{"topic.metadata.propagation.max.ms": 100}) as sink:
        sink.produce(unique("absent"), b"k", b"v", [], reports)
        await eventually(lambda: reports.errors, "the report")
    assert reports.errors[0].startswith("UNKNOWN_TOPIC_OR_PART: ")
    assert not is_refusal(reports.errors[0])


async def test_a_full_queue_takes_nothing_more(kafka, topic):
    reports = Reports()
    async with KafkaSink(kafka, "test", **{"queue.buffering.max.messages": 10, "linger.ms": 200}) as sink:
        for _ in range(10):
            sink.produce(topic, b"k", b"v", [], reports)
        with pytest.raises(KafkaError, match=r"^_QUEUE_FULL: ") as caught:
            sink.produce(topic, b"k", b"v", [], reports)
        assert not is_refusal(str(caught.value))
        assert sink.in_flight == 10
    assert reports.errors == [None] * 10


class Node:
    """A Kafka node that a test may kill and start again."""

    def __init__(self, directory):
        self.port = free_port()
        jars = kafka_process.libraries(paths.cache())
        self._command = kafka_process.prepare(directory, jars, port=self.port, controller_port=free_port())
        self._log = directory / "log.txt"
        self._process = None

    def start(self):
        self._process = spawn(self._command, self._log, self._log.parent)
        wait_until(lambda: accepts_connections(self.port), "Kafka listens", seconds=60)

    def kill(self):
        if self._process:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@contextmanager
def node(directory):
    started = Node(directory)
    started.start()
    try:
        yield started
    finally:
        started.kill()


async def test_an_outage_delays_and_loses_nothing(tmp_path):
    with node(tmp_path) as broker:
        brokers = f"127.0.0.1:{broker.port}"
        await ensure_topics(brokers, [TopicSpec("outage", 1)])
        reports = Reports()
        async with KafkaSink(brokers, "test") as sink:
            sink.produce("outage", b"k", b"0", [], reports)
            await eventually(lambda: reports.errors, "the first delivery")
            broker.kill()
            for number in range(1, 1001):
                sink.produce("outage", b"k", b"%d" % number, [], reports)
            await eventually(lambda: not sink.connected, "the outage noticed")
            assert sink.in_flight == 1000
            await asyncio.to_thread(broker.start)
            await eventually(lambda: sink.in_flight == 0, "everything delivered", seconds=30)
            await eventually(lambda: sink.connected, "connected again")
        assert reports.errors == [None] * 1001
        found = [int(record.value) for record in records_of(brokers, "outage", 1001)]
        assert found == list(range(1001))


async def test_leaving_during_an_outage_ends_in_time():
    reports = Reports()
    async with KafkaSink(f"127.0.0.1:{free_port()}", "test", flush_timeout=0.3) as sink:
        sink.produce("t", b"k", b"v", [], reports)
        started = time.monotonic()
    assert 0.3 <= time.monotonic() - started < 2
    assert (sink.in_flight, reports.errors) == (1, [])


def client_threads():
    """Threads of admin clients that tell answers; other clients have none, and connect again as they like."""
    found = set()
    for name in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):  # ended meanwhile
            if name.read_text() == "rdk:bg\n":
                found.add(name.parent.name)
    return found


class TestTopics:
    async def test_only_missing_ones_are_created(self, kafka, topic, unique):
        name = unique("made")
        specs = [TopicSpec(topic, 1), TopicSpec(name, 3, {"retention.ms": "3600000"})]
        assert await ensure_topics(kafka, specs) == [name]
        assert await ensure_topics(kafka, specs) == []
        admin = KafkaAdminClient(bootstrap_servers=kafka)
        try:
            [found] = admin.describe_topics([name])
            assert len(found["partitions"]) == 3
        finally:
            admin.close()

    async def test_existing_ones_are_compared_with_what_is_wanted(self, kafka, unique):
        same, other = unique("same"), unique("other")
        config = {"retention.ms": "3600000", "compression.type": "producer"}
        await ensure_topics(kafka, [TopicSpec(same, 1, config), TopicSpec(other, 3, config)])
        wanted = [TopicSpec(same, 1, config), TopicSpec(other, 6, {**config, "retention.ms": "7200000"})]
        assert await topic_differences(kafka, wanted) == {
            other: ["partitions: 3, not 6", "retention.ms: 3600000, not 7200000"]
        }

    async def test_a_refusal_names_the_topic(self, kafka, unique):
        name = unique("bad")
        with pytest.raises(KafkaError, match=f"cannot create topic {name}: .*retention"):
            await ensure_topics(kafka, [TopicSpec(name, 1, {"retention.ms": "soon"})])

    @pytest.mark.parametrize("ask", [ensure_topics, topic_differences])
    async def test_nobody_there(self, ask, monkeypatch):
        monkeypatch.setattr("iiot.kafka.ADMIN_TIMEOUT", 0.5)
        before = client_threads()
        with pytest.raises(KafkaError, match=r"127\.0\.0\.1:.*") as refusal:
            await ask(f"127.0.0.1:{free_port()}", [TopicSpec("t", 1)])
        assert client_threads() <= before, f"{refusal} keeps a client whose threads may end it: abort()"
