"""The ledger kept all the time: one that never ends and waits for nothing longer than its patience. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from testbed.verify.ledger import MISSING_LISTED, Counter, Ledger, StreamKey, Verdict
from testbed.verify.paths import Entry

MARKS: Final = 10
"""Moments within the patience of which is remembered what had been sent; each costs a number per stream."""
FORGET_AFTER: Final = 3600.0
"""s without a word of a device until only its sums are kept, and between looks at unknown devices."""


class _Mark(NamedTuple):
    """Up to which numbers the devices had sent at some time."""

    time: float
    heights: Mapping[StreamKey, int]


class Books:
    """Balances what devices say they sent with what Kafka holds, without an end.

    Times are seconds of a monotonic clock. What is missing `patience` seconds after it was counted is lost
    for good (`given_up` in the verdict); until then it is on its way. Memory grows with the number of
    devices alone: it keeps a few ranges of numbers for each, and of devices that are gone only their sums.

    Attributes:
        devices: devices that count, as of the last answer.
        behind: records that are in Kafka may not have been observed yet, so nothing can be called lost.
    """

    def __init__(self, patience: float) -> None:
        self.devices = 0
        self.behind = False
        self._patience = patience
        self._ledger = Ledger([])
        self._began = False
        self._marks: deque[_Mark] = deque()
        self._heard: dict[StreamKey, float] = {}
        self._next_cleaning = 0.0

    def observe(self, topic: str, entry: Entry, stored_ms: int | None) -> None:
        """Take note of a record of one of the telemetry topics; before the first count none matters."""
        if self._began:
            self._ledger.observe(topic, entry, stored_ms)

    def count(self, counters: Iterable[Counter], now: float, wall_us: int) -> None:
        """Take note of what the devices say, and give up what is due.

        Args:
            counters: of every device that answered.
            now: seconds.
            wall_us: the time in µs since 1970. Of a process that ran before the first call and is heard
                of later, nobody knows what it had sent: it counts from then on.
        """
        counters = list(counters)
        if not self._began:
            self._ledger, self._began = Ledger(counters, since_us=wall_us), True
            self._next_cleaning = now + FORGET_AFTER
        else:
            self._ledger.count(counters)
        self.devices = len({counter.device for counter in counters})
        self._heard |= {(counter.device, counter.stream): now for counter in counters}
        self.balance(now)

    def balance(self, now: float) -> None:
        """Give up what is missing for longer than the patience, unless reading is behind."""
        if self.behind:
            self._marks = deque(_Mark(now, mark.heights) for mark in self._marks)
            return
        while self._marks and now - self._marks[0].time >= self._patience:
            self._ledger.give_up(self._marks.popleft().heights)
        if not self._marks or now - self._marks[-1].time >= self._patience / MARKS:
            self._marks.append(_Mark(now, self._ledger.sent_so_far()))
        if now >= self._next_cleaning:
            self._next_cleaning = now + FORGET_AFTER
            self._clean(now)

    def _clean(self, now: float) -> None:
        silent = [key for key, heard in self._heard.items() if now - heard >= FORGET_AFTER]
        self._ledger.forget(silent)
        self._ledger.forget_strangers()
        for key in silent:
            del self._heard[key]

    def close(self, counters: Iterable[Counter], wall_us: int) -> None:
        """End with the devices' last counters: what they send from now on does not count."""
        self._ledger.close(counters, wall_us)

    @property
    def delivered(self) -> int:
        """Numbers seen for the first time, over all paths; rises while records arrive."""
        return self._ledger.delivered

    def verdict(self, max_missing: int = MISSING_LISTED) -> Verdict:
        """How the books stand."""
        return self._ledger.verdict(max_missing)
