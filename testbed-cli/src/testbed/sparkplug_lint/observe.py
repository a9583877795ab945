"""Brings the traffic of a broker, or of a recording, to the linter."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from iiot.errors import DecodeError, IiotError, MqttError, SubscribeRefusedError
from iiot.mqtt import Connection, ConnectOptions, Message, Subscription
from iiot.sparkplug.lint.events import (
    Cut,
    Event,
    Publish,
    Vantage,
    decode_line,
    encode_event,
    encode_vantage,
)
from iiot.sparkplug.lint.linter import Linter
from iiot.sparkplug.topic import CERTIFICATES, NAMESPACE

TURN = 0.5
"""Seconds between two reports of progress, and two attempts to reach the broker again."""
_ENDS = (signal.SIGINT, signal.SIGTERM)
LONGEST_LINE = 8_000_000
_EPOCH = (time.time_ns() - time.monotonic_ns()) // 1_000_000


class RecordingError(IiotError):
    """A recording that cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to watch; `group` None for all, `seconds` from the first connection on."""

    options: ConnectOptions
    seconds: float
    group: str | None = None
    primary_host: str | None = None

    @property
    def subscriptions(self) -> list[Subscription]:
        """STATE first, so that hosts are known before their commands come; no two filters overlap."""
        topics = [f"{NAMESPACE}/STATE/#", f"{NAMESPACE}/{self.group}/#"] if self.group else [f"{NAMESPACE}/#"]
        return [_subscription(name) for name in [*topics, "STATE/#"]]

    @property
    def certificates(self) -> Subscription:
        """Births that a Sparkplug-aware broker stores."""
        return _subscription(f"{CERTIFICATES}{NAMESPACE}/{self.group or '+'}/#")

    @property
    def vantage(self) -> Vantage:
        """How much of the traffic can be seen."""
        is_v5 = self.options.settings.mqtt_version == "5"
        return Vantage(retain_as_published=is_v5, begins_with_stored=True)


async def watch(
    plan: Plan, linter: Linter, recording: BinaryIO | None, show: Callable[[float], None]
) -> None:
    """Feed the linter until the time is over, or SIGINT or SIGTERM comes; a lost connection is made again.

    Args:
        plan: what to watch.
        linter: takes the events.
        recording: takes them as JSON lines.
        show: told the seconds that have passed, about twice a second.

    Raises:
        MqttConnectError: the broker cannot be reached at the start, or refuses.
        SubscribeRefusedError: the broker lets nobody read this.
    """
    if recording is not None:
        recording.write(encode_vantage(plan.vantage))

    def take(event: Event) -> None:
        linter.feed(event)
        if recording is not None:
            recording.write(encode_event(event))

    def on_message(message: Message) -> None:
        message.ack()
        take(
            Publish(now_ms(), message.topic, message.payload, message.qos, message.retain, message.duplicate)
        )

    stopped = asyncio.Event()
    for number in _ENDS:
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    connection = await _open_unless(stopped, plan, on_message)
    if connection is None:
        return
    started = time.monotonic()
    try:
        while not stopped.is_set() and (passed := time.monotonic() - started) < plan.seconds:
            show(passed)
            if recording is not None:
                recording.flush()  # it can be followed: what comes after its first line is not missed
            if connection.is_open:
                with suppress(TimeoutError):
                    await asyncio.wait_for(connection.wait_closed(), min(TURN, plan.seconds - passed))
                    take(Cut(now_ms()))
                continue
            await asyncio.sleep(min(TURN, plan.seconds - passed))
            with suppress(MqttError):
                connection = await _open_unless(stopped, plan, on_message) or connection
    finally:
        with suppress(MqttError):
            await connection.disconnect()


def replay(path: Path) -> Iterator[Event | Vantage]:
    """The lines of a recording.

    Raises:
        RecordingError: the file cannot be read, or has a line that is none of a recording.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE):
                number += 1
                try:
                    yield decode_line(line)
                except DecodeError as exc:
                    raise RecordingError(f"{path}, line {number}: {exc}") from exc
    except OSError as exc:
        raise RecordingError(f"{path}: {exc.strerror}") from exc


def judge(path: Path, primary_host: str | None = None) -> Linter:
    """Feed a linter with a recording.

    Raises:
        RecordingError: see `replay`.
    """
    linter = Linter(primary_host=primary_host)
    for entry in replay(path):
        if isinstance(entry, Vantage):
            linter = Linter(entry, primary_host)
        else:
            linter.feed(entry)
    return linter


def now_ms() -> int:
    """UTC ms as this machine's clock had it at the start: one that is set would look like late messages."""
    return _EPOCH + time.monotonic_ns() // 1_000_000


async def _open_unless(
    stopped: asyncio.Event, plan: Plan, on_message: Callable[[Message], None]
) -> Connection | None:
    """Connect; None when the user has enough of waiting for it."""
    opening, stop = asyncio.create_task(_open(plan, on_message)), asyncio.create_task(stopped.wait())
    await asyncio.wait({opening, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if opening.done():
        return opening.result()
    opening.cancel()
    with suppress(asyncio.CancelledError, MqttError):
        await (await opening).disconnect()  # it was made just then
    return None


async def _open(plan: Plan, on_message: Callable[[Message], None]) -> Connection:
    connection = await Connection.open(plan.options, on_message)
    try:
        await connection.subscribe(*plan.subscriptions)
        with suppress(SubscribeRefusedError):  # a broker that stores none may refuse
            await connection.subscribe(plan.certificates)
    except (MqttError, asyncio.CancelledError):
        await connection.disconnect()
        raise
    return connection


def _subscription(topic_filter: str) -> Subscription:
    return Subscription(topic_filter, qos=1, retain_as_published=True)
