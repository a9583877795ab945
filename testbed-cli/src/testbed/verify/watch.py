"""The ledger in front of one's eyes: how the books stand, again and again, until someone has seen enough."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from iiot.http_client import open_session
from testbed.verify.books import Books
from testbed.verify.devices import SimulatorsError
from testbed.verify.follow import Follower
from testbed.verify.histogram import Histogram
from testbed.verify.history import History
from testbed.verify.ledger import Verdict
from testbed.verify.paths import PATH_OF_TOPIC
from testbed.verify.source import RecordSource
from testbed.verify.stop import Stop
from testbed.verify.window import NothingSentError, Result, vanished_note


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What to watch.

    Attributes:
        brokers: Kafka's `host:port` list.
        simulators: `host:port` list; a name stands for all its addresses.
        every: seconds between snapshots.
        seconds: length of the watch; None: until told to stop.
        patience: seconds after which a message that is missing counts as lost.
    """

    brokers: str
    simulators: str
    every: float
    seconds: float | None
    patience: float


class Snapshot(NamedTuple):
    """How the books stand.

    Attributes:
        seconds: since the start.
        verdict: since the start; `lost` holds what is on its way as well, `given_up` only what is lost.
        rate: messages per second that devices sent since the snapshot before.
        recent: latencies of each path since the snapshot before.
        problems: what makes the figures less than certain.
    """

    seconds: float
    verdict: Verdict
    rate: float
    recent: Mapping[str, Histogram]
    problems: Sequence[str]


async def watch(plan: WatchPlan, stop: Stop, on_snapshot: Callable[[Snapshot], None]) -> Result:
    """Keep the books and show them until the time is over or `stop` says so.

    Raises:
        KafkaError: at the start no broker answers, or a topic is missing.
        SimulatorsError: at the start no simulator answers, or one of several does not.
        NothingSentError: there are no devices, or they sent nothing.
    """
    source = RecordSource(plan.brokers, list(PATH_OF_TOPIC))
    await asyncio.to_thread(source.__enter__)
    try:
        async with open_session() as session:
            books = Books(plan.patience)
            follower = Follower(source, session, plan.simulators, books)
            return await _Watch(plan, stop, books, follower, on_snapshot).run()
    finally:
        source.__exit__()


class _Watch:
    def __init__(
        self,
        plan: WatchPlan,
        stop: Stop,
        books: Books,
        follower: Follower,
        on_snapshot: Callable[[Snapshot], None],
    ) -> None:
        self._plan = plan
        self._stop = stop
        self._books = books
        self._follower = follower
        self._on_snapshot = on_snapshot
        self._history = History()
        self._before = books.verdict()
        self._before_at = 0.0

    async def run(self) -> Result:
        start = await self._follower.ask()
        if start.problems:
            raise SimulatorsError("; ".join(start.problems))
        began = time.monotonic()
        self._remember(0.0, self._books.verdict())
        problems = await self._until_stopped(began)
        seconds = time.monotonic() - began
        verdict = await self._settle(began)
        if not verdict.sent:
            raise NothingSentError(f"{verdict.devices} devices sent nothing in {seconds:.0f} s")
        return Result(verdict, seconds, [*problems, *vanished_note(verdict)], self._history.samples)

    async def _until_stopped(self, began: float) -> Sequence[str]:
        """Keep the books; what was wrong with the last answer."""
        end = began + self._plan.seconds if self._plan.seconds is not None else float("inf")
        due = began + self._plan.every
        while not self._stop.asked.is_set() and time.monotonic() < end:
            await self._follower.read()
            if time.monotonic() >= min(due, end):
                due = max(due + self._plan.every, time.monotonic())
                problems = (await self._follower.ask()).problems
                self._show(time.monotonic() - began, problems)
        last = await self._follower.ask()
        self._books.close(last.counters, time.time_ns() // 1000)
        return last.problems

    async def _settle(self, began: float) -> Verdict:
        """Wait for what is on its way, as long as something comes within the patience."""
        progressed, delivered = time.monotonic(), self._books.delivered
        while not self._stop.now.is_set():
            await self._follower.read()
            verdict = self._note(began)
            now = time.monotonic()
            if self._books.delivered != delivered:
                progressed, delivered = now, self._books.delivered
            if verdict.lost == verdict.given_up or now - progressed > self._plan.patience:
                break
        return self._note(began)

    def _note(self, began: float) -> Verdict:
        verdict = self._books.verdict()
        self._history.add(time.monotonic() - began, verdict)
        return verdict

    def _show(self, seconds: float, problems: Sequence[str]) -> None:
        verdict = self._books.verdict()
        self._history.add(seconds, verdict)
        recent = {
            name: totals.latency.since(self._before.paths[name].latency)
            for name, totals in verdict.paths.items()
        }
        rate = (verdict.sent - self._before.sent) / max(seconds - self._before_at, 1e-6)
        self._remember(seconds, verdict)
        self._on_snapshot(Snapshot(seconds, verdict, rate, recent, problems))

    def _remember(self, seconds: float, verdict: Verdict) -> None:
        for totals in verdict.paths.values():
            copy = Histogram()
            copy.merge(totals.latency)
            totals.latency = copy
        self._before, self._before_at = verdict, seconds
