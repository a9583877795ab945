"""One source: read a batch, deliver it to Kafka, store the position, and only then read on."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from iiot import topics
from iiot.errors import KafkaError
from iiot.kafka import KafkaSink, is_refusal
from iiot.telemetry import get_logger
from testbed.connect.engine import Commit, Consumer, Message

RETRY_AFTER: Final = 1.0
"""Seconds until a record is offered again that Kafka did not take."""
DEAD_LETTER_BYTES: Final = 64 * 1024

log = get_logger("testbed.connect")


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, str | bytes | None]]


@dataclass(slots=True)
class Counts:
    """What a source has done since the start, in messages (`committed` in batches)."""

    received: int = 0
    sent: int = 0
    refused: int = 0
    committed: int = 0
    dead_letters: int = 0


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
            again = [self._after_error(record, error) for record, error in offered if error]
            delivered = [record for record, error in offered if not error]
            self.counts.sent += len(delivered)
            self.counts.dead_letters += sum(record.topic.endswith(topics.dlq("")) for record in delivered)
            if again == waiting:
                await asyncio.sleep(RETRY_AFTER)
            waiting = again

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

    def _after_error(self, record: Record, error: str) -> Record:
        if not is_refusal(error) or record.topic.endswith(topics.dlq("")):
            log.warning("record_not_delivered", source=self.name, topic=record.topic, error=error)
            return record
        self.counts.refused += 1
        log.warning("dead_letter", source=self.name, topic=record.topic, error=error)
        return to_dead_letter(record, f"refused by Kafka: {error}")


def to_record(message: Message, is_header: Callable[[str], bool]) -> Record:
    """The Kafka record that a message's metadata describe."""
    metadata = message.metadata
    headers: list[tuple[str, str | bytes | None]] = [
        (name, value.encode()) for name, value in sorted(metadata.items()) if is_header(name)
    ]
    return Record(metadata["kafka_topic"], metadata["kafka_key"].encode(), message.payload, headers)


def to_dead_letter(record: Record, reason: str) -> Record:
    """What goes to the dead-letter topic in place of `record`."""
    value = {
        "topic": record.topic,
        "reason": reason,
        "size": len(record.value),
        "payload_base64": base64.b64encode(record.value[:DEAD_LETTER_BYTES]).decode(),
    }
    headers = [*record.headers, ("error", reason.encode())]
    return Record(topics.dlq(record.topic), record.key, orjson.dumps(value), headers)


def _resolver(report: "asyncio.Future[str | None]") -> Callable[[str | None], None]:
    def resolve(error: str | None) -> None:
        if not report.done():  # cancelled when the service stops
            report.set_result(error)

    return resolve
