"""One measured window: from the devices' counters, through Kafka, to the verdict."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import aiohttp

from iiot.errors import IiotError
from iiot.http_client import open_session
from testbed.verify.devices import Answers, SimulatorsError, read_counters
from testbed.verify.history import History, Sample
from testbed.verify.ledger import Ledger, Verdict
from testbed.verify.paths import PATH_OF_TOPIC, read_record
from testbed.verify.source import RecordSource
from testbed.verify.stop import Stop

ASK_EVERY: Final = 2.0
"""Seconds between questions to the simulators during the window; a restart shows between two of them."""
ASK_AGAIN_FOR: Final = 10.0
"""Seconds for which simulators that do not answer are asked again, at both ends of the window."""
BALANCE_EVERY: Final = 0.5


class NothingSentError(IiotError):
    """No device sent anything in the window, so nothing was proven."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        brokers: Kafka's `host:port` list.
        simulators: `host:port` list; a name stands for all its addresses.
        seconds: length of the window.
        patience: seconds without any new arrival after which what is missing counts as lost.
    """

    brokers: str
    simulators: str
    seconds: float
    patience: float


class Progress(NamedTuple):
    """Where a run stands: seconds into its phase, and deliveries seen so far."""

    phase: Literal["measuring", "waiting"]
    elapsed: float
    delivered: int


ProgressHandler = Callable[[Progress], None]


class Result(NamedTuple):
    """The verdict, the length of the window in seconds, what made it less than certain, and its course."""

    verdict: Verdict
    seconds: float
    problems: list[str]
    course: Sequence[Sample] = ()


def vanished_note(verdict: Verdict) -> list[str]:
    """A line about devices that did not answer at the end, if there are any."""
    count = verdict.vanished
    return [f"{count} devices gave no last count; what was seen of them counts"] if count else []


async def measure(plan: Plan, on_progress: ProgressHandler, stop: Stop | None = None) -> Result:
    """Run a window and balance its books.

    Args:
        plan: what to measure.
        on_progress: told how far it is.
        stop: ends the window before its time.

    Raises:
        KafkaError: no broker answers, or a topic is missing.
        SimulatorsError: no simulator answers, or one of several does not.
        NothingSentError: there are no devices, or they sent nothing.
    """
    # Kafka's offsets are read before the devices' counters: what is sent afterwards lies behind them.
    source = RecordSource(plan.brokers, list(PATH_OF_TOPIC))
    await asyncio.to_thread(source.__enter__)
    try:
        async with open_session() as session:
            return await _Window(plan, source, session, on_progress, stop or Stop()).run()
    finally:
        source.__exit__()


class _Window:
    def __init__(
        self,
        plan: Plan,
        source: RecordSource,
        session: aiohttp.ClientSession,
        on_progress: ProgressHandler,
        stop: Stop,
    ) -> None:
        self._plan = plan
        self._source = source
        self._session = session
        self._on_progress = on_progress
        self._stop = stop
        self._ledger = Ledger([])
        self._history = History()
        self._ending = False

    async def run(self) -> Result:
        start = await self._ask_all()
        if start.problems:
            raise SimulatorsError("; ".join(start.problems))
        self._ledger = Ledger(start.counters)
        following = asyncio.create_task(self._follow(), name="verify-follow")
        try:
            began = time.monotonic()
            await self._measure(began)
            end = await self._ask_all()
            seconds = time.monotonic() - began
            self._ledger.close(end.counters, time.time_ns() // 1000)
            verdict = await self._settle(began)
        finally:
            self._ending = True
            await following  # never cancelled: its thread would go on using a closed consumer
        stopped = self._stop.asked.is_set()
        if not verdict.sent:
            if stopped:
                raise KeyboardInterrupt  # nothing was measured yet that could be shown
            raise NothingSentError(f"{verdict.devices} devices sent nothing in {seconds:.0f} s")
        early = [f"ended by hand after {seconds:.0f} of {self._plan.seconds:g} s"] if stopped else []
        if self._stop.now.is_set():
            early.append("what was on its way then was not waited for, and counts as missing")
        problems = [*early, *end.problems, *vanished_note(verdict)]
        return Result(verdict, seconds, problems, self._history.samples)

    async def _follow(self) -> None:
        while not self._ending:
            # A thread waits for Kafka; the books are kept by the event loop alone.
            for record in await asyncio.to_thread(lambda: list(self._source.read(0.1))):
                entry = read_record(record.topic, record.value)
                if entry is not None:
                    self._ledger.observe(record.topic, entry, record.stored_ms)

    async def _measure(self, began: float) -> None:
        next_question = began + ASK_EVERY
        while (now := time.monotonic()) < began + self._plan.seconds and not self._stop.asked.is_set():
            self._on_progress(Progress("measuring", now - began, self._ledger.delivered))
            if now >= next_question:
                next_question = now + ASK_EVERY
                with suppress(SimulatorsError):
                    self._ledger.count((await read_counters(self._session, self._plan.simulators)).counters)
                self._history.add(now - began, self._ledger.verdict(max_missing=0))
            with suppress(TimeoutError):
                async with asyncio.timeout(min(0.2, max(0.0, began + self._plan.seconds - time.monotonic()))):
                    await self._stop.asked.wait()

    async def _settle(self, window_began: float) -> Verdict:
        began = progressed = time.monotonic()
        delivered = self._ledger.delivered
        while (verdict := self._note(window_began)).lost:
            now = time.monotonic()
            if self._ledger.delivered != delivered:
                delivered, progressed = self._ledger.delivered, now
            elif now - progressed > self._plan.patience or self._stop.now.is_set():
                break
            self._on_progress(Progress("waiting", now - began, delivered))
            await asyncio.sleep(BALANCE_EVERY)
        return verdict

    def _note(self, began: float) -> Verdict:
        verdict = self._ledger.verdict()
        self._history.add(time.monotonic() - began, verdict)
        return verdict

    async def _ask_all(self) -> Answers:
        deadline = time.monotonic() + ASK_AGAIN_FOR
        while True:
            try:
                answers = await read_counters(self._session, self._plan.simulators)
            except SimulatorsError as exc:
                answers = Answers(problems=[str(exc)])
            if not answers.problems or time.monotonic() > deadline or self._stop.asked.is_set():
                return answers
            await asyncio.sleep(0.5)
