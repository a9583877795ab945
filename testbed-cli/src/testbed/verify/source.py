"""Every record of the telemetry topics from now on, without a consumer group."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Self

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaException, TopicPartition
from confluent_kafka import KafkaError as ClientError

from iiot.errors import KafkaError

BATCH: Final = 2_000
ANSWER_TIMEOUT: Final = 5.0
"""Seconds for metadata and offsets."""


class Record(NamedTuple):
    """A record's topic, value, and the time at which Kafka stored it (UTC ms; None if it does not say)."""

    topic: str
    value: bytes
    stored_ms: int | None


class RecordSource:
    """Follows all partitions of some topics from their end at the time of `open`. Blocking calls."""

    def __init__(self, brokers: str, topics: Sequence[str]) -> None:
        self._brokers = brokers
        self._topics = topics
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "client.id": "testbed-verify",
                # The client wants a name; without subscribe and commit no group comes into being.
                "group.id": "testbed-verify",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": 16_384,
                "fetch.wait.max.ms": 100,
                "log_level": 2,
            }
        )

    def __enter__(self) -> Self:
        """Fix the start of the window.

        Raises:
            KafkaError: no broker answers, or a topic does not exist.
        """
        try:
            self._consumer.assign(list(self._end_offsets()))
        except KafkaException as exc:
            self._consumer.close()
            raise KafkaError(f"Kafka at {self._brokers} does not answer: {exc.args[0].str()}") from exc
        except KafkaError:
            self._consumer.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Leave; nothing is committed."""
        self._consumer.close()

    def read(self, timeout: float) -> Iterator[Record]:
        """The records that arrived, at most `BATCH`; none after `timeout` seconds without any.

        While no broker answers, nothing comes; the client connects again by itself.
        """
        for message in self._consumer.consume(BATCH, timeout):
            topic, value = message.topic(), message.value()
            if message.error() is None and topic is not None and isinstance(value, bytes):
                kind, time_ms = message.timestamp()
                yield Record(topic, value, None if kind == TIMESTAMP_NOT_AVAILABLE else time_ms)

    def is_answering(self) -> bool:
        """Whether Kafka answers now; waits at most a second."""
        try:
            self._consumer.list_topics(self._topics[0], timeout=1.0)
        except KafkaException:
            return False
        return True

    def _end_offsets(self) -> Iterator[TopicPartition]:
        # Offsets are asked for, not left at "end": that would be where the first fetch happens to arrive.
        known = self._consumer.list_topics(timeout=ANSWER_TIMEOUT).topics
        for topic in self._topics:
            found = known.get(topic)
            if found is None or (found.error and found.error.code() == ClientError.UNKNOWN_TOPIC_OR_PART):
                raise KafkaError(f"Kafka at {self._brokers} has no topic {topic}")
            for partition in found.partitions:
                where = TopicPartition(topic, partition)
                _, where.offset = self._consumer.get_watermark_offsets(where, timeout=ANSWER_TIMEOUT)
                yield where
