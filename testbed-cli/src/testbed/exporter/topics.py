"""What Kafka holds: records per topic, asked for without a consumer."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from iiot.errors import KafkaError
from iiot.kafka_reader import Count, TopicReader
from iiot.telemetry import get_logger
from iiot.topics import DEVICE_STATE, TELEMETRY, dlq

WATCHED: Final = frozenset({*TELEMETRY, *map(dlq, TELEMETRY), DEVICE_STATE})
"""Other topics are nobody's business here, and their number has no bound."""

log = get_logger(__name__)


class TopicFigures(Collector):
    """The last answer of Kafka."""

    def __init__(self) -> None:
        self.up = False
        self._seconds = 0.0
        self._counts: dict[str, Count] = {}

    def take(self, counts: Mapping[str, Count], seconds: float) -> None:
        """Note an answer that took so long."""
        self.up = True
        self._seconds = seconds
        self._counts = {topic: count for topic, count in counts.items() if topic in WATCHED}

    def failed(self) -> None:
        """Note that Kafka does not answer."""
        self.up = False

    def collect(self) -> Iterator[Metric]:
        """All figures; of a Kafka that is away only that it is."""
        yield GaugeMetricFamily("kafka_up", "1 while Kafka tells the offsets of its topics", self.up)
        if not self.up:
            return
        yield GaugeMetricFamily("kafka_answer_seconds", "Time to tell all offsets", self._seconds)
        appended = CounterMetricFamily(
            "kafka_topic_appended", "Records ever written to a topic (sum of end offsets)", labels=["topic"]
        )
        retained = GaugeMetricFamily(
            "kafka_topic_retained_records", "Records that a topic holds now", labels=["topic"]
        )
        for topic, count in sorted(self._counts.items()):
            appended.add_metric([topic], count.ends)
            retained.add_metric([topic], count.records)
        yield appended
        yield retained


async def watch(brokers: str, figures: TopicFigures, interval: float) -> None:
    """Ask Kafka every `interval` seconds, for ever."""
    reader = TopicReader(brokers, "testbed-exporter")
    try:
        while True:
            started = time.monotonic()
            try:
                counts = await asyncio.to_thread(reader.counts)
            except KafkaError as exc:
                if figures.up:
                    log.warning("kafka_does_not_answer", error=str(exc))
                figures.failed()
            else:
                figures.take(counts, time.monotonic() - started)
            await asyncio.sleep(max(0.1, interval - (time.monotonic() - started)))
    finally:
        reader.close()
