"""How someone ends a measurement before its time."""

import asyncio
import math
import signal
from dataclasses import dataclass, field
from typing import Final, Self

TWICE: Final = 0.5
"""Seconds within which two signals are one: a terminal and a wrapper may both pass on the same Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Stop:
    """`asked` ends it and lets what is on its way arrive, `now` does not wait for that."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    now: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def on_signals(cls) -> Self:
        """Set by SIGINT and SIGTERM in the running loop: the first asks, the second means now."""
        stop, loop = cls(), asyncio.get_running_loop()
        asked_at = -math.inf

        def on_signal() -> None:
            nonlocal asked_at
            if not stop.asked.is_set():
                asked_at = loop.time()
                stop.asked.set()
            elif loop.time() - asked_at > TWICE:
                stop.now.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
        return stop
