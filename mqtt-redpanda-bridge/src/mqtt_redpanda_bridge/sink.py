"""The Kafka side: a producer that is replaced when it breaks, and topics that exist."""

import asyncio
from types import TracebackType
from typing import Any, Final, Self

from iiot import topic_shape
from iiot.errors import KafkaError
from iiot.kafka import DeliveryHandler, Headers, KafkaSink, TopicSpec, ensure_topics, topic_differences
from iiot.telemetry import get_logger
from mqtt_redpanda_bridge.routes import RouteTable
from mqtt_redpanda_bridge.settings import BridgeSettings

RETRY_DELAY: Final = 1.0
"""Seconds before what Kafka failed is produced again."""
LINGER_MS: Final = 10
"""How long a record waits for others to the same partition: each request costs Kafka and bridge as much as
several records. Twice the producer's default halves the requests for 5 ms of latency."""

log = get_logger(__name__)


def topic_specs(table: RouteTable, settings: BridgeSettings) -> list[TopicSpec]:
    """The topics that the routes write to, each with its dead-letter sibling, and that of the states."""
    names = [topic for route in table.routes for topic in route.topics]
    return topic_shape.topic_specs(names, settings, device_states=settings.device_states)


class Sink:
    """A `KafkaSink` that `renew` replaces. Also makes sure that the topics exist."""

    def __init__(self, settings: BridgeSettings, specs: list[TopicSpec]) -> None:
        self._settings = settings
        self._specs = specs if settings.create_topics else []
        self._producer: KafkaSink | None = None
        self._are_compared = False

    async def __aenter__(self) -> Self:
        """Start a producer."""
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Deliver what can be delivered in a few seconds, and stop."""
        if self._producer is not None:
            await self._producer.__aexit__(kind, exc, trace)

    @property
    def connected(self) -> bool:
        """Whether Kafka was reachable when last heard of."""
        return self._producer is not None and self._producer.connected and self._producer.fatal is None

    def produce(
        self, topic: str, key: bytes, value: bytes, headers: Headers, on_delivery: DeliveryHandler
    ) -> None:
        """See `KafkaSink.produce`."""
        if self._producer is None:
            raise KafkaError("_STATE: the producer is being replaced")
        self._producer.produce(topic, key, value, headers, on_delivery)

    async def mend(self) -> None:
        """Before a retry: create topics that are gone, replace a producer that can never deliver again."""
        await asyncio.sleep(RETRY_DELAY)
        await self.create_topics()
        broken = self._producer
        if broken is not None and broken.fatal is not None:
            log.warning("kafka_producer_replaced", reason=broken.fatal)
            # The reports of all it holds come as errors and join what waits for the retry.
            self._producer = None
            await broken.__aexit__(None, None, None)
            await self._open()

    async def create_topics(self) -> bool:
        """Create missing topics; False when Kafka cannot be asked now."""
        if not self._specs:
            return True
        try:
            created = await ensure_topics(self._settings.kafka_brokers, self._specs)
        except KafkaError as exc:
            log.warning("kafka_topics_unchecked", error=str(exc))
            return False
        if created:
            log.info("kafka_topics_created", topics=created)
        await self._tell_differences([spec for spec in self._specs if spec.name not in created])
        return True

    async def _tell_differences(self, existing: list[TopicSpec]) -> None:
        """Topics with records in them are not changed; whoever changed a setting should know."""
        if self._are_compared:
            return
        try:
            brokers = self._settings.kafka_brokers
            differences = await topic_differences(brokers, existing) if existing else {}
        except KafkaError as exc:
            log.warning("kafka_topics_not_compared", error=str(exc))
            return
        self._are_compared = True
        if differences:
            log.warning("kafka_topics_differ_from_settings", topics=differences)

    async def _open(self) -> None:
        settings = self._settings
        overrides: dict[str, Any] = {
            "compression.type": settings.compression,
            "linger.ms": LINGER_MS,
            # How long records wait for a topic that Kafka does not know; then they fail and `mend` makes it.
            "topic.metadata.propagation.max.ms": 3_000,
        }
        producer = KafkaSink(settings.kafka_brokers, settings.mqtt_client_id, **overrides)
        self._producer = await producer.__aenter__()
