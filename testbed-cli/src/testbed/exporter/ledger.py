"""Keeps the books between the simulators' counts and the records in Kafka, and exports them."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

import aiohttp
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from iiot.errors import KafkaError
from iiot.telemetry import get_logger
from testbed.exporter.books import LATENCY_BOUNDS, Books, PathBook
from testbed.exporter.settings import ExporterSettings
from testbed.verify.devices import SimulatorsError, read_counters
from testbed.verify.paths import PATH_OF_TOPIC, read_record
from testbed.verify.source import BATCH, Record, RecordSource

ASK_EVERY: Final = 5.0
"""s between questions to the simulators."""
READ_FOR: Final = 0.25
"""s that a read waits for records."""
BEHIND: Final = 10_000
"""ms of age at which the last record of a full batch says that reading does not keep up."""
_COUNTED: Final = (
    ("sent", "Messages of balanced windows that devices counted"),
    ("delivered", "Messages of balanced windows that are in Kafka"),
    ("lost", "Messages that were not in Kafka in time"),
    ("duplicated", "Records whose message was in Kafka already"),
    ("reordered", "Records that came after a later one of their device"),
)

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
        books = self._books
        yield GaugeMetricFamily("ledger_up", "1 while records and the devices' counts are followed", self.up)
        yield GaugeMetricFamily("ledger_devices", "Devices that count their messages", books.devices)
        outstanding = GaugeMetricFamily(
            "ledger_outstanding_messages",
            "Messages counted by a device and not in Kafka yet: on their way, queued, or lost",
            labels=["path"],
        )
        for path, count in books.outstanding.items():
            outstanding.add_metric([path], count)
        yield outstanding
        for name, text in _COUNTED:
            family = CounterMetricFamily(f"ledger_{name}_messages", text, labels=["path"])
            for path, book in books.paths.items():
                family.add_metric([path], getattr(book, name))
            yield family
        latency = HistogramMetricFamily(
            "ledger_latency_seconds", "From the device's time stamp to the record in Kafka", labels=["path"]
        )
        for path, book in books.paths.items():
            latency.add_metric([path], _buckets(book), book.latency_sum / 1000)
        yield latency


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
            await asyncio.sleep(ASK_EVERY)
            continue
        try:
            async with aiohttp.ClientSession() as session:
                await _follow(settings, source, session, books, figures, stopping)
        finally:
            source.__exit__()


async def _follow(
    settings: ExporterSettings,
    source: RecordSource,
    session: aiohttp.ClientSession,
    books: Books,
    figures: LedgerFigures,
    stopping: asyncio.Event,
) -> None:
    next_question = 0.0
    while not stopping.is_set():
        # A thread waits for Kafka; the books are kept by the event loop alone.
        records = await asyncio.to_thread(lambda: list(source.read(READ_FOR)))
        books.behind = _is_behind(records)
        for record in records:
            entry = read_record(record.topic, record.value)
            if entry is not None:
                books.observe(record.topic, entry, record.stored_ms)
        if time.monotonic() >= next_question:
            next_question = time.monotonic() + ASK_EVERY
            figures.up = await _ask(settings.simulators, session, books) and not books.behind


def _is_behind(records: Sequence[Record]) -> bool:
    if len(records) < BATCH:
        return False
    stored_ms = records[-1].stored_ms
    return stored_ms is not None and time.time_ns() // 1_000_000 - stored_ms > BEHIND


async def _ask(simulators: str, session: aiohttp.ClientSession, books: Books) -> bool:
    try:
        answers = await read_counters(session, simulators)
    except SimulatorsError as exc:
        log.warning("no_simulator", error=str(exc))
        books.balance(time.monotonic())
        return False
    books.count(answers.counters, time.monotonic(), time.time_ns() // 1000)
    return not answers.problems


def _buckets(book: PathBook) -> list[tuple[str, float]]:
    bounds = [*(str(bound / 1000) for bound in LATENCY_BOUNDS), "+Inf"]
    return list(zip(bounds, accumulate(book.latency_counts), strict=True))
