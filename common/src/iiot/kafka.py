"""Producing to Kafka from asyncio, creating topics, and CloudEvents headers."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

from confluent_kafka import KafkaError as ClientError
from confluent_kafka import KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient, AlterConfigOpType  # type: ignore[attr-defined]
from confluent_kafka.admin._config import ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from iiot.budgets import QUEUE_BYTES, RECORD_BYTES
from iiot.errors import KafkaError
from iiot.telemetry import get_logger

POLL_BUSY: Final = 0.002
"""Seconds between looks for delivery reports while messages are in flight."""
POLL_IDLE: Final = 0.25
FLUSH_TIMEOUT: Final = 4.0
"""Seconds that closing waits for what is in flight; SIGTERM is to be handled within 5 s."""
ADMIN_TIMEOUT: Final = 30.0

PARTITIONER: Final = "murmur2_random"
"""That of the Java clients and of Redpanda Connect: a key has the same partition number in the topics of all
writers, as long as the topics have the same number of partitions. A record without key goes anywhere."""

_SIZE_LIMIT: Final = "max.message.bytes"
_TOO_LARGE: Final = ("MSG_SIZE_TOO_LARGE", "INVALID_MSG_SIZE", "RECORD_LIST_TOO_LARGE")
_REFUSALS: Final = (
    *_TOO_LARGE, "INVALID_RECORD", "_BAD_MSG", "_INVALID_ARG", "TOPIC_EXCEPTION", "POLICY_VIOLATION",
    "INVALID_TIMESTAMP", "UNSUPPORTED_FOR_MESSAGE_FORMAT",
)  # fmt: skip
_TOPIC_MISSING: Final = ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "TOPIC_AUTHORIZATION_FAILED")

Headers = list[tuple[str, str | bytes | None]]
DeliveryHandler = Callable[[str | None], None]

log = get_logger(__name__)


class KafkaSink:
    """An idempotent producer whose delivery reports arrive in the event loop.

    A message is retried until Kafka takes it or refuses it for good, in order per partition: an
    outage of any length delays delivery reports and loses nothing. A topic may take less than a batch
    of records: those of a batch that is too large are sent again one by one, behind what came after
    them, so that none is refused for the size of another.

    Attributes:
        in_flight: messages handed over whose delivery report has not come.
        connected: whether a broker was reachable when last heard of.
        fatal: why this producer can never deliver again, or None.
    """

    def __init__(
        self, brokers: str, client_id: str, *, flush_timeout: float = FLUSH_TIMEOUT, **overrides: object
    ) -> None:
        self.in_flight = 0
        self.connected = False
        self.fatal: str | None = None
        self._flush_timeout = flush_timeout
        self._poll_timer: asyncio.TimerHandle | None = None
        self._configuration: dict[str, Any] = {
            "bootstrap.servers": brokers,
            "client.id": client_id,
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": 0,
            "linger.ms": 5,
            "partitioner": PARTITIONER,
            "message.max.bytes": RECORD_BYTES,
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": QUEUE_BYTES // 1024,
            "reconnect.backoff.max.ms": 2_000,
            "statistics.interval.ms": 1_000,
            "stats_cb": self._on_statistics,
            "error_cb": self._on_error,
            "log_level": 2,
            **overrides,
        }
        self._producer = Producer(self._configuration)
        self._one_by_one: Producer | None = None

    async def __aenter__(self) -> Self:
        """Start looking for delivery reports."""
        self._poll()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Deliver what is in flight, within `flush_timeout` seconds, and stop."""
        if self._poll_timer is not None:
            self._poll_timer.cancel()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._flush_timeout
        while self._look() or (self.in_flight and loop.time() < deadline):  # noqa: ASYNC110 - no event
            await asyncio.sleep(POLL_BUSY)
        if self.in_flight:
            log.warning("kafka_flush_incomplete", undelivered=self.in_flight)

    def produce(
        self, topic: str, key: bytes, value: bytes, headers: Headers, on_delivery: DeliveryHandler
    ) -> None:
        """Hand a message over; `on_delivery` is called later, in the event loop, with None or the error.

        Errors read `NAME: text`; `is_refusal` tells those that no retry can mend.

        Raises:
            KafkaError: larger than Kafka takes, or the local queue is full; the message is not taken.
        """

        def report(error: ClientError | None, _: object) -> None:
            self.in_flight -= 1
            on_delivery(None if error is None else _describe(error))

        def judge(error: ClientError | None, record: object) -> None:
            if error is None or not is_too_large(error.name()):
                report(error, record)
                return
            try:
                self._alone().produce(topic, value, key, headers=headers, on_delivery=report)
            except (KafkaException, BufferError):
                report(error, record)

        try:
            self._producer.produce(topic, value, key, headers=headers, on_delivery=judge)
        except KafkaException as exc:
            raise KafkaError(_describe(exc.args[0])) from exc
        except BufferError as exc:
            raise KafkaError(f"_QUEUE_FULL: {exc}") from exc
        self.in_flight += 1
        if self.in_flight == 1 and self._poll_timer is not None:
            self._poll_timer.cancel()
            self._poll_timer = asyncio.get_running_loop().call_later(POLL_BUSY, self._poll)

    def _alone(self) -> Producer:
        """A producer whose batches are single records, so that a refusal blames one."""
        if self._one_by_one is None:
            self._one_by_one = Producer({**self._configuration, "batch.num.messages": 1, "linger.ms": 0})
        return self._one_by_one

    def _look(self) -> int:
        """Call the handlers of what was delivered or refused; how many there were."""
        others = 0 if self._one_by_one is None else self._one_by_one.poll(0)
        return self._producer.poll(0) + others

    def _poll(self) -> None:
        self._look()
        delay = POLL_BUSY if self.in_flight else POLL_IDLE
        self._poll_timer = asyncio.get_running_loop().call_later(delay, self._poll)

    def _on_statistics(self, text: str) -> None:
        # Every broker known to the client reports its connection's state.
        self.connected = '"state":"UP"' in text

    def _on_error(self, error: ClientError) -> None:
        if error.fatal():
            self.fatal = error.str()
            log.error("kafka_producer_fatal", error=error.str())
        elif error.code() == ClientError._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own code
            if self.connected:
                log.warning("kafka_unreachable", error=error.str())
            self.connected = False


def is_refusal(error: str) -> bool:
    """Whether an error of `KafkaSink.produce` or a delivery report is for good: no retry can mend it."""
    return error.startswith(_REFUSALS)


def is_too_large(error: str) -> bool:
    """Whether a smaller record could be taken."""
    return error.startswith(_TOO_LARGE)


def is_topic_missing(error: str) -> bool:
    """Whether Kafka answers, but has no such topic or keeps it from us, which somebody may mend."""
    return error.startswith(_TOPIC_MISSING)


def _describe(error: ClientError) -> str:
    return f"{error.name()}: {error.str()}"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic to create: partitions and topic-level configuration such as `retention.ms`."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


async def ensure_topics(brokers: str, specs: Sequence[TopicSpec], *, replication: int = 1) -> list[str]:
    """Create the topics that do not exist yet and return their names.

    Raises:
        KafkaError: unreachable within `ADMIN_TIMEOUT` seconds, or a topic was refused.
    """
    topics = [
        NewTopic(s.name, num_partitions=s.partitions, replication_factor=replication, config=s.config)
        for s in specs
    ]
    created: list[str] = []
    with _admin(brokers) as admin:
        for name, future in admin.create_topics(topics, operation_timeout=ADMIN_TIMEOUT).items():
            try:
                async with asyncio.timeout(ADMIN_TIMEOUT):
                    await asyncio.wrap_future(future)
                created.append(name)
            except KafkaException as exc:
                if exc.args[0].code() != ClientError.TOPIC_ALREADY_EXISTS:
                    raise KafkaError(f"cannot create topic {name}: {exc.args[0].str()}") from exc
            except TimeoutError as exc:
                raise KafkaError(f"{brokers}: no answer within {ADMIN_TIMEOUT:g} s") from exc
    return created


async def raise_size_limits(brokers: str, specs: Sequence[TopicSpec]) -> list[str]:
    """Let existing topics take records as large as their specs say; returns the names of those changed.

    What they have is not touched by that, and a limit that is higher stays.

    Raises:
        KafkaError: Kafka did not answer within `ADMIN_TIMEOUT` seconds, or refused.
    """
    wanted = {spec.name: spec.config[_SIZE_LIMIT] for spec in specs if _SIZE_LIMIT in spec.config}
    if not wanted:
        return []
    try:
        with _admin(brokers) as admin:
            async with asyncio.timeout(ADMIN_TIMEOUT):
                found = await _size_limits(admin, list(wanted))
                low = [name for name, limit in wanted.items() if int(found[name]) < int(limit)]
                changes = [_setting(name, _SIZE_LIMIT, wanted[name]) for name in low]
                for future in admin.incremental_alter_configs(changes).values() if changes else ():
                    await asyncio.wrap_future(future)
    except (KafkaException, TimeoutError) as exc:
        raise KafkaError(f"{brokers}: size limits of topics cannot be raised: {exc}") from exc
    return low


async def _size_limits(admin: AdminClient, names: list[str]) -> dict[str, str]:
    """The size limit of each topic; waits for those that were made a moment ago."""
    asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    while True:
        try:
            return {
                one.name: (await asyncio.wrap_future(future))[_SIZE_LIMIT].value
                for one, future in admin.describe_configs(asked).items()
            }
        except KafkaException as exc:
            if exc.args[0].code() != ClientError.UNKNOWN_TOPIC_OR_PART:
                raise
            await asyncio.sleep(0.2)


def _setting(topic: str, name: str, value: str) -> ConfigResource:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    return ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])


async def topic_differences(brokers: str, specs: Sequence[TopicSpec]) -> dict[str, list[str]]:
    """What existing topics have other than their specs say, in words; none for those that are as specified.

    Raises:
        KafkaError: Kafka did not tell within `ADMIN_TIMEOUT` seconds.
    """
    names = [spec.name for spec in specs]
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    try:
        with _admin(brokers) as admin:
            async with asyncio.timeout(ADMIN_TIMEOUT):
                asked = admin.describe_configs(resources)
                configs = {one.name: await asyncio.wrap_future(future) for one, future in asked.items()}
                described = admin.describe_topics(TopicCollection(names))
                topics = {name: await asyncio.wrap_future(future) for name, future in described.items()}
    except (KafkaException, TimeoutError) as exc:
        raise KafkaError(f"{brokers}: topics cannot be described: {exc}") from exc
    differences: dict[str, list[str]] = {}
    for spec in specs:
        found = {"partitions": str(len(topics[spec.name].partitions))}
        found |= {key: entry.value for key, entry in configs[spec.name].items()}
        wanted = {"partitions": str(spec.partitions), **spec.config}
        other = [
            f"{key}: {found.get(key)}, not {value}"
            for key, value in wanted.items()
            if found.get(key) != value
        ]
        if other:
            differences[spec.name] = other
    return differences


def _admin(brokers: str) -> AdminClient:
    """A client to use in `with`, which ends it here and now.

    Left to the garbage collector, it could be ended by a thread of its own, which librdkafka answers with
    abort(): so nothing that blocks in another thread may use it either.
    """
    return AdminClient({"bootstrap.servers": brokers, "log_level": 2})


def cloud_event_headers(
    event_id: str,
    source: str,
    event_type: str,
    subject: str,
    time_ms: int,
    extra: Iterable[tuple[str, Any]] = (),
) -> Headers:
    """CloudEvents 1.0 attributes as Kafka headers (Kafka protocol binding, binary mode §3.2).

    Args:
        event_id: unique together with `source`.
        source: where the event happened, a URI reference.
        event_type: reverse-DNS kind of event.
        subject: what it is about, here the device id.
        time_ms: when it happened, UTC ms.
        extra: further headers.
    """
    moment = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", event_type.encode()),
        ("ce_subject", subject.encode()),
        ("ce_time", moment.replace("+00:00", "Z").encode()),
        ("content-type", b"application/json"),
        *((name, str(value).encode()) for name, value in extra),
    ]
