"""One source: read a batch, deliver it to Kafka, store the position, and only then read on."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import uuid4

from iiot import dead_letters, schemas, topics
from iiot.errors import KafkaError
from iiot.kafka import KafkaSink, is_refusal, is_too_large, is_topic_missing
from iiot.telemetry import get_logger
from testbed.connect.engine import Commit, Consumer, Message

RETRY_AFTER: Final = 1.0
"""Seconds until a record is offered again that Kafka did not take."""
_REPLACED: Final = ("ce_type", "ce_dataschema", "error")

log = get_logger("testbed.connect")


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record; `tries` counts how often Kafka said that there is no such topic."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, str | bytes | None]]
    tries: int = 0

    @property
    def is_letter(self) -> bool:
        """Whether it goes to a dead-letter topic."""
        return topics.is_dlq(self.topic)


@dataclass(slots=True)
class Counts:
    """What a source has done since the start, in messages (`committed` in batches)."""

    received: int = 0
    sent: int = 0
    refused: int = 0
    committed: int = 0
    dead_letters: int = 0
    lost_letters: int = 0


@dataclass(slots=True)
class Pump:
    """Moves one source's events to Kafka, at least once and in order.

    Attributes:
        name: the source.
        consumer: its input.
        commit: stores the position behind a batch.
        sink: the producer.
        is_header: which metadata become headers.
        counts: what was done.
    """

    name: str
    consumer: Consumer
    commit: Commit
    sink: KafkaSink
    is_header: Callable[[str], bool]
    counts: Counts = field(default_factory=Counts)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping` is set and the batch in work is done. Cancelled, that batch comes again next time.

        Raises:
            KafkaError: the producer can never deliver again; a new process can.
        """
        while not stopping.is_set():
            batch = await asyncio.to_thread(self.consumer.poll)
            if not batch:
                continue
            self.counts.received += len(batch)
            await self._deliver([to_record(message, self.is_header) for message in batch])
            await asyncio.to_thread(self.commit, batch[-1])
            self.counts.committed += 1
            await asyncio.to_thread(self.consumer.acknowledge)

    async def _deliver(self, records: Sequence[Record]) -> None:
        waiting = list(records)
        while waiting:
            errors = await self._offer(waiting)
            if self.sink.fatal:
                raise KafkaError(self.sink.fatal)
            offered = list(zip(waiting, errors, strict=True))
            delivered = [record for record, error in offered if not error]
            self.counts.sent += len(delivered)
            self.counts.dead_letters += sum(record.is_letter for record in delivered)
            if not delivered and not any(is_refusal(error or "") for error in errors):
                await asyncio.sleep(RETRY_AFTER)
            waiting = [
                left for record, error in offered if error for left in self._after_error(record, error)
            ]

    async def _offer(self, records: Sequence[Record]) -> list[str | None]:
        loop = asyncio.get_running_loop()
        reports: list[asyncio.Future[str | None]] = []
        for record in records:
            report: asyncio.Future[str | None] = loop.create_future()
            reports.append(report)
            try:
                self.sink.produce(record.topic, record.key, record.value, record.headers, _resolver(report))
            except KafkaError as exc:
                report.set_result(str(exc))
        return await asyncio.gather(*reports)

    def _after_error(self, record: Record, error: str) -> list[Record]:
        """What to offer next in place of `record`; nothing when it is lost."""
        if not is_refusal(error):
            log.warning("record_not_delivered", source=self.name, topic=record.topic, error=error)
            if not record.is_letter or not is_topic_missing(error):
                return [record]
            waited = replace(record, tries=record.tries + 1)
            return [waited] if waited.tries < dead_letters.TRIES else self._give_up(record, error)
        log.warning("dead_letter", source=self.name, topic=record.topic, error=error)
        if not record.is_letter:
            self.counts.refused += 1
            return [to_dead_letter(record, f"refused by Kafka: {error}")]
        smaller = dead_letters.shrink(record.value) if is_too_large(error) else None
        return [replace(record, value=smaller)] if smaller else self._give_up(record, error)

    def _give_up(self, record: Record, error: str) -> list[Record]:
        self.counts.lost_letters += 1
        reason = dict(record.headers).get("error")
        log.error(
            "dead_letter_not_delivered", source=self.name, topic=record.topic, reason=reason, error=error
        )
        return []


def to_record(message: Message, is_header: Callable[[str], bool]) -> Record:
    """The Kafka record that a message's metadata describe."""
    metadata = message.metadata
    headers: list[tuple[str, str | bytes | None]] = [
        (name, value.encode()) for name, value in sorted(metadata.items()) if is_header(name)
    ]
    return Record(metadata["kafka_topic"], metadata["kafka_key"].encode(), message.payload, headers)


def to_dead_letter(record: Record, reason: str) -> Record:
    """What goes to the dead-letter topic in place of `record`; headers as the processors make them."""
    value = dead_letters.write(record.topic, record.value, reason)
    kept = [header for header in record.headers if header[0] not in _REPLACED]
    headers = [
        *kept,
        ("ce_type", b"iot.dead-letter"),
        ("ce_dataschema", schemas.uri(schemas.DEAD_LETTER).encode()),
        ("error", reason[: dead_letters.REASON_CHARS].encode()),
    ]
    if not any(name == "ce_id" for name, _ in kept):
        headers.append(("ce_id", f"connect-{uuid4()}".encode()))
    return Record(topics.dlq(record.topic), record.key, value, headers)


def _resolver(report: "asyncio.Future[str | None]") -> Callable[[str | None], None]:
    def resolve(error: str | None) -> None:
        if not report.done():  # cancelled when the service stops
            report.set_result(error)

    return resolve
