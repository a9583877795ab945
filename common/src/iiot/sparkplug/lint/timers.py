"""What is due later, on the clock of the events."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

Action = Callable[[], None]


class Timers:
    """Actions by the time at which they are due, ms."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Action]] = []
        self._numbers = count()

    def at(self, due: int, action: Action) -> None:
        """Call `action` once events have reached `due`."""
        heappush(self._heap, (due, next(self._numbers), action))

    def run(self, now: int) -> None:
        """Call everything that is due."""
        while self._heap and self._heap[0][0] <= now:
            heappop(self._heap)[2]()

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
