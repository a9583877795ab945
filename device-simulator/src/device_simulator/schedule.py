"""One clock for all devices: absolute deadlines in a heap, stepped every few milliseconds.

A task or timer for each message would cost more than the message. Deadlines advance by addition, so
a late step delays messages but never changes their number.
"""

import heapq
from collections.abc import Callable
from itertools import count

MAX_BATCH = 2_000
"""Messages in one go before the event loop gets a turn for its sockets."""


class Series:
    """A periodic stream of one device.

    Attributes:
        deadline: monotonic s at which the next message is due.
        interval: s from one deadline to the next; `fire` may change it.
        fire: sends what is due at `deadline`; False when the device cannot send now, so that the
            message stays due.
        active: False takes the series out of the schedule.
    """

    __slots__ = ("active", "deadline", "fire", "interval")

    def __init__(self, deadline: float, interval: float, fire: Callable[[float], bool]) -> None:
        self.deadline = deadline
        self.interval = interval
        self.fire = fire
        self.active = True


class Schedule:
    """Runs every series on time.

    Args:
        on_lag: told how late (s) each message left.
        max_lag: s after which overdue messages are given up, counted in `skipped`, rather than sent
            in an ever longer burst.
    """

    def __init__(self, on_lag: Callable[[float], None], max_lag: float = 5.0) -> None:
        self._on_lag = on_lag
        self._max_lag = max_lag
        self._heap: list[tuple[float, int, Series]] = []
        self._order = count()
        self.skipped = 0
        self.deferred = 0
        """Series that could not send in the last step."""

    def add(self, series: Series) -> None:
        """Take a series in; its first message goes at its deadline."""
        heapq.heappush(self._heap, (series.deadline, next(self._order), series))

    @property
    def next_deadline(self) -> float | None:
        """When the next message is due (monotonic s), None when there are no series."""
        return self._heap[0][0] if self._heap else None

    def run_due(self, now: float, batch: int = MAX_BATCH) -> bool:
        """Send what is due at `now` (monotonic s); False when `batch` ended the run before that."""
        heap, waiting = self._heap, []
        while heap and heap[0][0] <= now:
            if not batch:
                break
            deadline, order, series = heap[0]
            if not series.active:
                heapq.heappop(heap)
                continue
            batch -= 1
            sent = series.fire(deadline)
            if sent:
                self._on_lag(now - deadline)
                series.deadline = deadline + series.interval
            if now - series.deadline > self._max_lag:
                missed = int((now - series.deadline) / series.interval) + 1
                series.deadline += missed * series.interval
                self.skipped += missed
            if series.deadline > deadline:
                heapq.heapreplace(heap, (series.deadline, order, series))
            else:
                waiting.append(heapq.heappop(heap))
        self.deferred = len(waiting)
        for entry in waiting:
            heapq.heappush(heap, entry)
        return batch > 0
