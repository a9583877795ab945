"""Handles messages one after the other, large ones in a worker thread, so that the event loop stays free."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

Step = Callable[[], None]
Runner = Callable[[Step, Step], None]
"""Does a step elsewhere, and calls the second on the event loop when it is done."""

LARGE_BYTES: Final = 16 * 1024
"""A payload of this size takes some 50 ms to decode, at the densest."""
BATCH: Final = 100
"""Messages that waited and are handled before the event loop has its turn again, of `LARGE_BYTES` at most."""


class InOrder:
    """Runs two steps for each message: work that may take long, then what touches the event loop.

    A small message's steps run at once while nothing waits. A large one's work runs elsewhere, and what
    arrives meanwhile waits behind it, so the order is that of arrival and work is never done side by side.

    Args:
        run: where the work on large messages is done.
    """

    def __init__(self, run: Runner | None = None) -> None:
        self._run = run or in_thread
        self._waiting: deque[tuple[int, Step, Step]] = deque()
        self._is_busy = False

    @property
    def is_idle(self) -> bool:
        """Whether a small message's steps would run at once."""
        return not self._is_busy

    def add(self, size: int, work: Step, then: Step) -> None:
        """Take a message.

        Args:
            size: its bytes when it is not compressed.
            work: raises nothing, and touches nothing of the event loop.
            then: follows it on the event loop.
        """
        if self._is_busy or size > LARGE_BYTES:
            self._waiting.append((size, work, then))
            if not self._is_busy:
                self._go_on()
        else:
            work()
            then()

    def _go_on(self) -> None:
        self._is_busy = True
        done = 0
        for _ in range(BATCH):
            if not self._waiting:
                self._is_busy = False
                return
            size, work, then = self._waiting.popleft()
            done += size
            if done > LARGE_BYTES:
                self._run(work, partial(self._finish, then))
                return
            work()
            then()
        self._run(_nothing, self._go_on)

    def _finish(self, then: Step) -> None:
        try:
            then()
        finally:
            self._go_on()


def in_thread(work: Step, then: Step) -> None:
    """The runner of services: a worker thread of the running event loop."""
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, work).add_done_callback(lambda _: then())


def _nothing() -> None:
    pass
