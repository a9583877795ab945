"""Follows Kafka, the devices' counts and one REST answer during a run, second by second."""

import asyncio
import time
from collections import Counter as Count
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

import aiohttp

from iiot.http_client import open_session
from testbed.experiments.places import Places
from testbed.experiments.samples import Phases, Sample
from testbed.verify.devices import SimulatorsError, read_counters
from testbed.verify.histogram import Histogram
from testbed.verify.ledger import Counter, Ledger, Verdict
from testbed.verify.paths import PATH_OF_TOPIC, read_record
from testbed.verify.source import RecordSource

SECOND: Final = 1.0
MANY: Final = 2_000
"""Streams above which the devices are asked every 5 s only."""
REST_PATIENCE: Final = 5.0
REST_EVERY: Final = 0.2

Counted = Callable[[], Iterable[Counter]]


class Recorder:
    """The measuring side of a run.

    Args:
        places: where the parts are.
        own: counts of the run's own devices.
        on_sample: told each second.

    Attributes:
        samples: all seconds so far.
        phases: latencies by phase.
        problems: what makes the result less than certain.
    """

    def __init__(self, places: Places, own: Counted, on_sample: Callable[[Sample], None]) -> None:
        self.samples: list[Sample] = []
        self.phases = Phases()
        self.problems: set[str] = set()
        self._places = places
        self._own = own
        self._on_sample = on_sample
        self._ledger = Ledger([])
        self._source = RecordSource(places.kafka_brokers, list(PATH_OF_TOPIC))
        self._second = Histogram()
        self._records: Count[str] = Count()
        self._slowest: float | None = None
        self._sent: int | None = None
        self._answers: list[Counter] = []
        self._ending = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Measure inside an `async with` block.

        Raises:
            KafkaError: no broker answers.
            SimulatorsError: no simulator can be asked.
        """
        await asyncio.to_thread(self._source.__enter__)
        following = None
        try:
            async with open_session() as session:
                start = await read_counters(session, self._places.simulators)
                if start.problems:
                    raise SimulatorsError("; ".join(start.problems))
                self._answers = start.counters
                self._ledger = Ledger(start.counters)
                following = asyncio.create_task(self._follow(), name="records")
                others = [
                    asyncio.create_task(self._tick(), name="samples"),
                    asyncio.create_task(self._ask(session), name="counts"),
                    asyncio.create_task(self._probe(session), name="rest"),
                ]
                try:
                    yield
                finally:
                    for task in others:
                        task.cancel()
                    await asyncio.gather(*others, return_exceptions=True)
        finally:
            self._ending = True
            if following is not None:
                await following  # never cancelled: its thread would go on using a closed consumer
            self._source.__exit__()

    def begin(self, phase: str) -> int:
        """A phase begins; returns when, UTC ms."""
        self.phases.began[phase] = _now()
        return self.phases.began[phase]

    def end(self) -> None:
        """The last phase is over."""
        self.phases.ended = _now()

    async def settle(self, patience: float) -> Verdict:
        """Close the books: wait until all has arrived, or nothing more came for `patience` seconds."""
        async with open_session() as session:
            with suppress(SimulatorsError):
                answers = await read_counters(session, self._places.simulators)
                self.problems.update(answers.problems)
                self._answers = answers.counters
        self._ledger.close([*self._answers, *self._own()], time.time_ns() // 1000)
        delivered, progressed = self._ledger.delivered, time.monotonic()
        while (verdict := self._ledger.verdict()).lost:
            if self._ledger.delivered != delivered:
                delivered, progressed = self._ledger.delivered, time.monotonic()
            elif time.monotonic() - progressed > patience:
                break
            await asyncio.sleep(0.5)
        return verdict

    async def _follow(self) -> None:
        while not self._ending:
            # A thread waits for Kafka; everything else belongs to the event loop.
            for record in await asyncio.to_thread(lambda: list(self._source.read(0.1))):
                entry = read_record(record.topic, record.value)
                self._records[PATH_OF_TOPIC[record.topic].name] += 1
                if entry is None:
                    continue
                self._ledger.observe(record.topic, entry, record.stored_ms)
                if record.stored_ms is not None and entry.sent_ms is not None:
                    self._second.add(record.stored_ms - entry.sent_ms)
                    self.phases.note(PATH_OF_TOPIC[record.topic].name, entry.sent_ms, record.stored_ms)

    async def _tick(self) -> None:
        due = began = time.monotonic()
        while True:
            due += SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            # Measured, not assumed: a busy machine makes seconds longer.
            elapsed = max(time.monotonic() - began, 0.001)
            began = time.monotonic()
            self._take(elapsed)

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        while True:
            with suppress(SimulatorsError):
                found = await read_counters(session, self._places.simulators)
                self._answers = found.counters or self._answers
            self._ledger.count([*self._answers, *self._own()])
            await asyncio.sleep(SECOND if len(self._answers) < MANY else 5 * SECOND)

    def _take(self, elapsed: float) -> None:
        counters = [*self._answers, *self._own()]
        sent = sum(counter.last - counter.first + 1 for counter in counters)
        grown = None if self._sent is None or sent < self._sent else (sent - self._sent) / elapsed
        self._sent = sent
        sample = Sample(
            at=_now(),
            phase=self.phases.current,
            records=round(self._records.total() / elapsed, 1),
            sent=None if grown is None else round(grown, 1),
            p50=self._second.quantile(0.5),
            p99=self._second.quantile(0.99),
            outstanding=self._ledger.verdict(max_missing=0).lost,
            rest_ms=None if self._slowest is None else round(self._slowest, 2),
            paths={name: round(count / elapsed, 1) for name, count in self._records.items()},
        )
        self._records, self._second, self._slowest = Count(), Histogram(), None
        self.samples.append(sample)
        self._on_sample(sample)

    async def _probe(self, session: aiohttp.ClientSession) -> None:
        url = f"{self._places.lwm2m_server_url}/api/events?limit=1"
        patience = aiohttp.ClientTimeout(total=REST_PATIENCE)
        while True:
            began = time.monotonic()
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with session.get(url, timeout=patience) as answer:
                    await answer.read()
                took = (time.monotonic() - began) * 1000
                self._slowest = max(self._slowest or 0.0, took)
                self.phases.rest[self.phases.current].add(round(took * 1000))
            await asyncio.sleep(REST_EVERY)


def _now() -> int:
    return time.time_ns() // 1_000_000
