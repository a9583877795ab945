"""How someone ends a measurement before its time."""

import asyncio
import signal
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class Stop:
    """`asked` ends it and lets what is on its way arrive, `now` does not wait for that."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    now: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def on_signals(cls) -> Self:
        """Set by SIGINT and SIGTERM in the running loop: the first asks, the second means now."""
        stop = cls()

        def on_signal() -> None:
            (stop.now if stop.asked.is_set() else stop.asked).set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
        return stop
