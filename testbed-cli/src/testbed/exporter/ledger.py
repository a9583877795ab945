"""Keeps the books between the simulators' counts and the records in Kafka, and exports them."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from iiot.errors import KafkaError
from iiot.http_client import open_session
from iiot.telemetry import get_logger
from testbed.exporter.settings import ExporterSettings
from testbed.verify.books import Books
from testbed.verify.follow import Follower
from testbed.verify.histogram import Histogram
from testbed.verify.ledger import PathTotals
from testbed.verify.paths import PATH_OF_TOPIC
from testbed.verify.source import RecordSource

ASK_EVERY: Final = 5.0
"""s between questions to the simulators."""
LATENCY_BOUNDS: Final = (
    2,
    5,
    10,
    25,
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    30_000,
    60_000,
    300_000,
)
"""ms."""

log = get_logger(__name__)


class LedgerFigures(Collector):
    """The books as metrics.

    Attributes:
        up: whether Kafka and all simulators answer, so that the books are complete.
    """

    def __init__(self, books: Books) -> None:
        self.up = False
        self._books = books

    def collect(self) -> Iterator[Metric]:
        """All figures, by path."""
        paths = self._books.verdict().paths
        yield GaugeMetricFamily("ledger_up", "1 while records and the devices' counts are followed", self.up)
        yield GaugeMetricFamily("ledger_devices", "Devices that count their messages", self._books.devices)
        outstanding = GaugeMetricFamily(
            "ledger_outstanding_messages",
            "Messages sent by a device and not in Kafka yet: on their way, queued, or lost soon",
            labels=["path"],
        )
        latency = HistogramMetricFamily(
            "ledger_latency_seconds", "From the device's time stamp to the record in Kafka", labels=["path"]
        )
        for path, totals in paths.items():
            outstanding.add_metric([path], totals.lost - totals.given_up)
            latency.add_metric([path], _buckets(totals.latency), totals.latency.total / 1000)
        yield outstanding
        yield from _counters(paths)
        yield latency


def _counters(paths: dict[str, PathTotals]) -> Iterator[Metric]:
    for name, field, text in (
        ("sent", "sent", "Messages that devices sent since the books were opened"),
        ("delivered", "delivered", "Messages that are in Kafka"),
        ("lost", "given_up", "Messages that were not in Kafka in time"),
        ("duplicated", "duplicated", "Records whose message was in Kafka already"),
        ("reordered", "reordered", "Records that came after a later one of their device"),
    ):
        family = CounterMetricFamily(f"ledger_{name}_messages", text, labels=["path"])
        for path, totals in paths.items():
            family.add_metric([path], getattr(totals, field))
        yield family


async def keep(
    settings: ExporterSettings, books: Books, figures: LedgerFigures, stopping: asyncio.Event
) -> None:
    """Follow records and counts until `stopping` is set."""
    while not stopping.is_set():
        source = RecordSource(settings.kafka_brokers, list(PATH_OF_TOPIC))
        try:
            await asyncio.to_thread(source.__enter__)
        except KafkaError as exc:
            log.warning("ledger_waits", error=str(exc))
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), ASK_EVERY)
            continue
        try:
            async with open_session() as session:
                follower = Follower(source, session, settings.simulators, books)
                await _follow(follower, figures, stopping)
        finally:
            source.__exit__()


async def _follow(follower: Follower, figures: LedgerFigures, stopping: asyncio.Event) -> None:
    next_question = 0.0
    while not stopping.is_set():
        await follower.read()
        if time.monotonic() >= next_question:
            next_question = time.monotonic() + ASK_EVERY
            problems = (await follower.ask()).problems
            if problems and figures.up:
                log.warning("ledger_incomplete", problems=problems)
            figures.up = not problems


def _buckets(latency: Histogram) -> list[tuple[str, float]]:
    bounds = [*(str(bound / 1000) for bound in LATENCY_BOUNDS), "+Inf"]
    return list(zip(bounds, [*latency.up_to(LATENCY_BOUNDS), latency.count], strict=True))
