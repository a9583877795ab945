"""How records are read, against a client of Kafka that gives what a test says."""

import pytest
from confluent_kafka import KafkaError as ClientError

from iiot import kafka_reader
from iiot.errors import KafkaError
from iiot.kafka_reader import TopicReader


class Message:
    """A record, or the end of its partition."""

    def __init__(self, offset, code=None):
        self._offset, self._code = offset, code

    def topic(self):
        return "t"

    def partition(self):
        return 0

    def offset(self):
        return self._offset

    def error(self):
        return None if self._code is None else ClientError(self._code)

    def timestamp(self):
        return (1, 1_700_000_000_000)

    def headers(self):
        return []

    def key(self):
        return b"k"

    value = key


class Client:
    def __init__(self, *batches):
        self._batches = list(batches)

    def consume(self, *_):
        return self._batches.pop(0) if self._batches else []


def read(monkeypatch, *batches):
    monkeypatch.setattr(kafka_reader, "PATIENCE", 0.05)
    reader = TopicReader.__new__(TopicReader)
    reader._consumer, reader._brokers = Client(*batches), "kafka:9092"
    return [record.offset for record in reader._read({("t", 0): 3}, {("t", 0): 6})]


def test_reading_ends_with_the_last_record(monkeypatch):
    assert read(monkeypatch, [Message(3), Message(4)], [], [Message(5), Message(6)]) == [3, 4, 5, 6]


def test_records_that_stop_to_come_are_no_end(monkeypatch):
    with pytest.raises(KafkaError, match="kafka:9092: no records for"):
        read(monkeypatch, [Message(3)])


def test_a_partition_whose_last_records_are_gone_ends(monkeypatch):
    assert read(monkeypatch, [Message(3)], [Message(6, ClientError._PARTITION_EOF)]) == [3]
