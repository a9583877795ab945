"""Staying connected: a session is run again and again, with full-jitter back-off between CONNECTs."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from iiot.errors import MqttConnectError, MqttError
from iiot.mqtt.connection import Connection
from iiot.mqtt.message import MessageHandler
from iiot.mqtt.options import ConnectOptions


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full-jitter exponential back-off: the n-th delay is uniform in 0 … min(cap, base * 2**n) seconds."""

    base: float = 0.2
    cap: float = 30.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait before attempt number `attempt` (0 is the first retry)."""
        return random.uniform(0, min(self.cap, self.base * 2 ** min(attempt, 16)))  # noqa: S311 - jitter


StateHandler = Callable[[bool, str], None]
STABLE_AFTER: Final = 5.0
"""Seconds after which a connection counts as good, so that the next loss retries quickly."""


async def keep_connected(
    options: Callable[[], ConnectOptions],
    on_message: MessageHandler,
    session: Callable[[Connection], Awaitable[None]],
    *,
    stopping: asyncio.Event,
    on_state: StateHandler = lambda connected, reason: None,
    backoff: Backoff = Backoff(),
) -> None:
    """Connect, run `session`, and connect again until `stopping` is set.

    `session` is cancelled when the socket closes. When it returns, the connection is closed, and made
    anew unless `stopping` is set; so it returns to reconnect, and ends in good order on `stopping`.

    Args:
        options: called for each CONNECT, since a Sparkplug will carries a new bdSeq every time.
        on_message: see `Connection.open`.
        session: what to do while connected; an `MqttError` from it counts as a lost connection.
        stopping: ends the loop.
        on_state: told `(connected, reason)` on each change.
        backoff: delays between attempts.
    """
    loop = asyncio.get_running_loop()
    attempt = 0
    while not stopping.is_set():
        started = loop.time()
        try:
            connection = await Connection.open(options(), on_message)
        except MqttConnectError as exc:
            on_state(False, str(exc))
        else:
            on_state(True, "connected")
            reason = await _run_session(connection, session)
            on_state(False, reason)
            if loop.time() - started > STABLE_AFTER:
                attempt = 0
        if not stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), backoff.delay(attempt))
            attempt += 1


async def _run_session(connection: Connection, session: Callable[[Connection], Awaitable[None]]) -> str:
    running = asyncio.ensure_future(session(connection))
    closed = asyncio.ensure_future(connection.wait_closed())
    try:
        await asyncio.wait({running, closed}, return_when=asyncio.FIRST_COMPLETED)
        if closed.done() and not running.done():
            return closed.result()
        running.result()
        return "session ended"
    except MqttError as exc:
        return str(exc)
    finally:
        for task in (running, closed):
            task.cancel()
        await asyncio.gather(running, closed, return_exceptions=True)
        await connection.disconnect()
