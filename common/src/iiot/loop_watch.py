"""For how long one message, one request or one garbage collection keeps an event loop from its other work."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

PERIOD: Final = 0.1
"""Seconds between two looks."""


class LoopWatch:
    """Exports the longest time for which something kept the event loop busy."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._longest = Gauge(
            "iiot_event_loop_longest_block_seconds",
            "Longest time since the start for which one piece of work kept the event loop from all others;"
            " time in which the machine ran something else does not count",
            registry=registry,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look while the context lasts."""
        task = asyncio.get_running_loop().create_task(self._watch(), name="loop watch")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        longest = 0.0
        while True:
            began, worked = time.monotonic(), time.process_time()
            await asyncio.sleep(PERIOD)
            # A turn that comes late although this process had no processor is not this process's doing.
            late = time.monotonic() - began - PERIOD
            blocked = min(late, time.process_time() - worked)
            if blocked > longest:
                longest = blocked
                self._longest.set(longest)
