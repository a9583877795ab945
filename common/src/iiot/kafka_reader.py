"""Kafka to look at: counts of all topics, the newest records of one. Blocking calls."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush
from threading import RLock
from typing import Final, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from confluent_kafka import KafkaError as ClientError
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from iiot.errors import KafkaError

TIMEOUT: Final = 2.0
"""Seconds for each answer."""
PATIENCE: Final = 10.0
"""Seconds until the next records: a cold Kafka on a busy machine takes some for the first."""
KEPT_BYTES: Final = 32 * 1024 * 1024
"""Values of records that are kept at a time: the largest are a hundred times larger than ordinary ones."""
_EARLIEST: Final = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class Count(NamedTuple):
    """Records now in a topic, and the sum of its end offsets, which only grows."""

    records: int
    ends: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was found."""

    topic: str
    partition: int
    offset: int
    time: datetime
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class TopicReader:
    """Looks at all topics of a cluster without a consumer group; from one thread at a time."""

    def __init__(self, brokers: str, client_id: str) -> None:
        self._brokers = brokers
        # Ending a client that another thread is using would end the process: `close` waits for the answer.
        self._use = RLock()
        common: dict[str, str | int | float | bool] = {
            "bootstrap.servers": brokers,
            "client.id": client_id,
            "log_level": 0,
        }
        self._admin = AdminClient(common)
        self._consumer = Consumer(
            {
                **common,
                "group.id": client_id,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "queued.max.messages.kbytes": 4096,
            }
        )

    def close(self) -> None:
        """End the connections, once whoever looks has its answer."""
        with self._use:
            self._consumer.close()
            # The garbage collector may run in a thread of the client's own, which must not end it.
            self._admin.__exit__(None, None, None)

    def counts(self) -> dict[str, Count]:
        """Every topic that is not Kafka's own.

        Raises:
            KafkaError: no broker answers.
        """
        with self._asking():
            partitions = [
                TopicPartition(name, number)
                for name, topic in self._admin.list_topics(timeout=TIMEOUT).topics.items()
                if not name.startswith("_")
                for number in topic.partitions
            ]
            earliest, latest = self._offsets(partitions, _EARLIEST), self._offsets(partitions, _LATEST)
        counts: dict[str, Count] = {}
        for (name, number), end in latest.items():
            before = counts.get(name, Count(0, 0))
            counts[name] = Count(before.records + end - earliest.get((name, number), end), before.ends + end)
        return counts

    def newest(self, topic: str, limit: int) -> list[Record]:
        """Up to `limit` of the newest records of a topic, the newest first.

        Raises:
            KafkaError: no broker answers.
            KeyError: there is no such topic.
        """
        return self.newest_of((topic,), limit)[:limit]

    def newest_of(self, topics: Iterable[str], limit: int) -> list[Record]:
        """At least `limit` of the newest records of each topic, as far as it has them, the newest first.

        Of large records only as many as `KEPT_BYTES` have room for, the newest again.

        Raises:
            KafkaError: no broker answers.
            KeyError: there is no such topic.
        """
        records = _within_memory(self.each_of(topics, limit))
        records.sort(key=_age, reverse=True)
        return records

    def each_of(self, topics: Iterable[str], limit: int) -> Iterator[Record]:
        """As `newest_of`, one at a time, in no order over partitions, however large they are.

        Raises:
            KafkaError: no broker answers, or records stop to come: a part is never given for the whole.
            KeyError: there is no such topic.
        """
        with self._asking():
            known = self._admin.list_topics(timeout=TIMEOUT).topics
            partitions = [
                TopicPartition(topic, number) for topic in topics for number in known[topic].partitions
            ]
            earliest, latest = self._offsets(partitions, _EARLIEST), self._offsets(partitions, _LATEST)
            starts = {
                key: max(earliest[key], end - limit) for key, end in latest.items() if end > earliest[key]
            }
            self._consumer.assign([TopicPartition(*key, offset) for key, offset in starts.items()])
            yield from self._read(starts, latest)
            self._consumer.unassign()

    def at(self, topic: str, partition: int, offset: int) -> Record | None:
        """The record at an offset; None when it is gone, or not written yet.

        Raises:
            KafkaError: no broker answers.
            KeyError: there is no such topic or partition.
        """
        with self._asking():
            known = self._admin.list_topics(timeout=TIMEOUT).topics[topic]
            where = [TopicPartition(topic, known.partitions[partition].id)]
            key = (topic, partition)
            if not self._offsets(where, _EARLIEST)[key] <= offset < self._offsets(where, _LATEST)[key]:
                return None
            self._consumer.assign([TopicPartition(topic, partition, offset)])
            found = next(self._read({key: offset}, {key: offset + 1}), None)
            self._consumer.unassign()
        return found if found is not None and found.offset == offset else None

    def read_all(self, topic: str) -> Iterator[tuple[bytes, bytes]]:
        """Key and value of every record of a topic, in order per partition; nothing without such a topic.

        Raises:
            KafkaError: no broker answers, or it stops to answer.
        """
        with self._asking():
            known = self._admin.list_topics(topic, timeout=TIMEOUT).topics[topic].partitions
            self._consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in known])
            yield from self._until_ends(set(known))
            self._consumer.unassign()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        with self._use:
            try:
                yield
            except KafkaException as exc:
                raise KafkaError(f"{self._brokers}: {exc.args[0].str()}") from exc

    def _until_ends(self, left: set[int]) -> Iterator[tuple[bytes, bytes]]:
        heard = time.monotonic()
        while left:
            messages = self._consumer.consume(5000, 0.05)
            for message in messages:
                if (record := _record(message)) is not None:
                    yield record.key, record.value
                elif _is_end(message):
                    left.discard(message.partition() or 0)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > TIMEOUT:
                raise KafkaError(f"{self._brokers}: no answer for {TIMEOUT:g} s")

    def _offsets(self, partitions: list[TopicPartition], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        if not partitions:
            return {}
        answers = self._admin.list_offsets(dict.fromkeys(partitions, spec), request_timeout=TIMEOUT)
        return {(where.topic, where.partition): answer.result().offset for where, answer in answers.items()}

    def _read(self, starts: dict[tuple[str, int], int], ends: dict[tuple[str, int], int]) -> Iterator[Record]:
        heard = time.monotonic()
        left = {key for key, start in starts.items() if start < ends[key]}
        while left:
            if time.monotonic() - heard > PATIENCE:
                raise KafkaError(f"{self._brokers}: no records for {PATIENCE:g} s")
            for message in self._consumer.consume(500, 0.05):
                heard = time.monotonic()
                if (record := _record(message)) is not None:
                    key = (record.topic, record.partition)
                    if record.offset >= ends[key] - 1:
                        left.discard(key)
                    yield record
                elif _is_end(message):  # the last offsets of a compacted topic may have no record
                    left.discard((message.topic() or "", message.partition() or 0))


def _age(record: Record) -> tuple[datetime, int, int]:
    return record.time, record.partition, record.offset


def _within_memory(records: Iterable[Record]) -> list[Record]:
    """The newest of them whose values fit `KEPT_BYTES`, at least one; in no order."""
    kept: list[tuple[tuple[datetime, int, int], str, Record]] = []
    size = 0
    for record in records:
        heappush(kept, (_age(record), record.topic, record))
        size += len(record.value)
        while size > KEPT_BYTES and len(kept) > 1:
            size -= len(heappop(kept)[2].value)
    return [record for _, _, record in kept]


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == ClientError._PARTITION_EOF  # noqa: SLF001 - librdkafka's code


def _record(message: Message) -> Record | None:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if message.error() or topic is None or partition is None or offset is None:
        return None
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Record(
        topic,
        partition,
        offset,
        datetime.fromtimestamp(max(message.timestamp()[1], 0) / 1000, UTC).astimezone(),
        _bytes(message.key()),
        _bytes(message.value()),
        tuple((name, _bytes(value)) for name, value in pairs),
    )


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return str(value).encode() if value is not None else b""
