"""The ledger kept all the time: windows of traffic that are balanced one after the other. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from testbed.verify.ledger import Counter, Ledger, Verdict
from testbed.verify.paths import PATH_OF_TOPIC, PATHS, Entry

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


@dataclass(slots=True)
class PathBook:
    """What was balanced of one path since the start, in messages, and its latencies, in ms."""

    sent: int = 0
    delivered: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    latency_sum: int = 0
    latency_counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS) + 1))

    def observe(self, latency: int) -> None:
        """Count the latency of a record, in ms."""
        latency = max(latency, 0)
        self.latency_sum += latency
        self.latency_counts[bisect_left(LATENCY_BOUNDS, latency)] += 1


@dataclass(slots=True)
class _Window:
    began: float
    opened_us: int
    ledger: Ledger
    known: set[tuple[str, str, int]]
    closed: float | None = None

    def accountable(self, counters: Iterable[Counter]) -> list[Counter]:
        """The counters of processes that answered at the start of the window or began later.

        Of one that ran before and was not heard, nobody knows what it had sent by then.
        """
        return [
            counter for counter in counters if counter[:3] in self.known or counter.first >= self.opened_us
        ]


class Books:
    """Balances what devices say they sent with what Kafka holds, window by window.

    Times are seconds of a monotonic clock. A window ends after `window` seconds and is settled when all
    of it has arrived, or `patience` seconds later: what is missing then is lost.

    Attributes:
        paths: the sums of all settled windows, by path.
        devices: devices that count, as of the last answer.
        behind: records that are in Kafka have not been observed yet, so nothing can be called lost.
    """

    def __init__(self, window: float, patience: float) -> None:
        self.paths: dict[str, PathBook] = {path.name: PathBook() for path in PATHS}
        self.devices = 0
        self.behind = False
        self._window = window
        self._patience = patience
        self._windows: list[_Window] = []
        self._outstanding: dict[str, int] = dict.fromkeys(self.paths, 0)

    @property
    def outstanding(self) -> Mapping[str, int]:
        """Messages that devices counted and that were not in Kafka at the last balance, by path."""
        return self._outstanding

    def observe(self, topic: str, entry: Entry, stored_ms: int | None) -> None:
        """Take note of a record of one of the telemetry topics."""
        for window in self._windows:
            window.ledger.observe(topic, entry, stored_ms)
        if stored_ms is not None and entry.sent_ms is not None:
            self.paths[PATH_OF_TOPIC[topic].name].observe(stored_ms - entry.sent_ms)

    def count(self, counters: Iterable[Counter], now: float, wall_us: int) -> None:
        """Take note of what the devices say, and settle what is due.

        Args:
            counters: of every device that answered.
            now: seconds.
            wall_us: the time in µs since 1970, which bounds what devices sent that no longer answer.
        """
        counters = list(counters)
        self.devices = len({counter.device for counter in counters})
        current = self._windows[-1] if self._windows else None
        if current is not None and now - current.began < self._window:
            current.ledger.count(current.accountable(counters))
        else:
            if current is not None:
                current.ledger.close(current.accountable(counters), wall_us)
                current.closed = now
            known = {(counter.device, counter.stream, counter.first) for counter in counters}
            self._windows.append(_Window(now, wall_us, Ledger(counters), known))
        self.balance(now)

    def balance(self, now: float) -> None:
        """Settle the windows that are complete or too old, and bring `outstanding` up to date."""
        left = []
        outstanding = dict.fromkeys(self.paths, 0)
        for window in self._windows:
            verdict = window.ledger.verdict(max_missing=0)
            late = window.closed is not None and now - window.closed >= self._patience and not self.behind
            if window.closed is not None and (late or not verdict.lost):
                self._settle(verdict)
                continue
            left.append(window)
            for name, totals in verdict.paths.items():
                outstanding[name] += totals.lost
        self._windows = left
        self._outstanding = outstanding

    def _settle(self, verdict: Verdict) -> None:
        for name, totals in verdict.paths.items():
            book = self.paths[name]
            book.sent += totals.sent
            book.delivered += totals.delivered
            book.lost += totals.lost
            book.duplicated += totals.duplicated
            book.reordered += totals.reordered
