"""What the broker takes, Kafka takes; and one key has one partition, whoever writes."""

import asyncio

import pytest
from kafka.partitioner.default import murmur2

from iiot import kafka_reader
from iiot.budgets import BATCH_BYTES, OUTPUT_BYTES, RECORD_BYTES
from iiot.errors import KafkaError
from iiot.kafka import KafkaSink, ensure_topics, is_refusal, is_too_large
from iiot.kafka_reader import TopicReader
from iiot.topic_shape import TopicSettings, topic_specs
from iiot.topics import dlq

KEYS = [
    b"device-temp-001",
    b"device-temp-002",
    "Gerät-µ-ü".encode(),
    "设备".encode(),
    b"a",
    b"ab",
    b"abc",
    b"",
]
PARTITIONS = 6


@pytest.fixture
async def topics(kafka, unique):
    names = [unique("limits"), unique("limits")]
    await ensure_topics(kafka, topic_specs(names, TopicSettings(topic_partitions=PARTITIONS)))
    return names


async def produce(kafka, records):
    """The delivery reports of (topic, key, value)."""
    reports = []
    async with KafkaSink(kafka, "test", flush_timeout=30) as sink:
        for topic, key, value in records:
            sink.produce(topic, key, value, [], reports.append)
    return reports


async def read(kafka, *names):
    def look():
        reader = TopicReader(kafka, "test-limits")
        try:
            return reader.newest_of(names, 100)
        finally:
            reader.close()

    return await asyncio.to_thread(look)


async def test_a_key_has_the_partition_that_java_gives_it_in_every_topic(kafka, topics):
    await produce(kafka, [(topic, key, b"v") for key in KEYS for topic in topics])
    found = await read(kafka, *topics)
    by_key = {key: {(r.topic, r.partition) for r in found if r.key == key} for key in KEYS}
    for key in KEYS:
        number = (murmur2(key) & 0x7FFF_FFFF) % PARTITIONS
        assert by_key[key] == {(topic, number) for topic in topics}, key


async def test_the_largest_record_passes_every_limit_and_is_read_whole(kafka, topics):
    value = bytes(range(256)) * (OUTPUT_BYTES // 256)
    targets = [topics[0], dlq(topics[0])]
    assert await produce(kafka, [(topic, b"key" * 1000, value) for topic in targets]) == [None, None]
    assert [record.value == value for record in await read(kafka, *targets)] == [True, True]


async def test_a_look_at_large_records_keeps_the_newest_within_its_memory(kafka, topics, monkeypatch):
    values = [b"%d" % number + bytes(1_000_000) for number in range(8)]
    await produce(kafka, [(topics[0], b"key", value) for value in values])
    monkeypatch.setattr(kafka_reader, "KEPT_BYTES", 3_500_000)
    found = await read(kafka, topics[0])
    assert [record.value for record in found] == values[:4:-1]


async def test_more_than_that_is_refused_before_it_is_sent(kafka, topics):
    async with KafkaSink(kafka, "test") as sink:
        with pytest.raises(KafkaError) as caught:
            sink.produce(topics[0], b"key", bytes(RECORD_BYTES), [], print)
    assert is_refusal(str(caught.value))
    assert is_too_large(str(caught.value))
    assert BATCH_BYTES > RECORD_BYTES
