"""Listening on MQTT, only while somebody looks: one connection, with the filters of what is looked at."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from console.decode import device_filters, read_topic
from iiot.errors import MqttError
from iiot.mqtt import Connection, ConnectOptions, Message, Subscription
from iiot.settings import MqttSettings
from iiot.telemetry import get_logger

KEEP: Final = 1000
"""Messages of a device that wait for a page to take them; older ones are dropped and counted."""
KEEP_BYTES: Final = 8 * 1024 * 1024
"""The same in bytes of payload."""
BROKER_SECONDS: Final = 30.0
"""How long the broker is watched after a page last asked for it."""
_RETRY: Final = 2.0
_SYS: Final = "$SYS/broker/"
_BROKER_TOPICS: Final = {
    _SYS + "clients/connected": "clients",
    _SYS + "publish/messages/received": "received_total",
    _SYS + "publish/messages/sent": "sent_total",
    _SYS + "publish/messages/dropped": "dropped_total",
    _SYS + "store/messages/count": "stored",
    _SYS + "uptime": "uptime",
}
_RATES: Final = {"received": "received_total", "sent": "sent_total"}

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TapState:
    """Whether the broker is reachable; None while nobody looks."""

    connected: bool | None
    detail: str


@dataclass(slots=True)
class Raw:
    """A message as it came; `at` in UTC ms."""

    topic: str
    payload: bytes
    at: int


class Watch:
    """The messages of one device since a page began to look.

    Attributes:
        skipped: messages that the page was too slow for.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.filters = device_filters(device)
        self.skipped = 0
        self._messages: deque[Raw] = deque()
        self._bytes = 0

    def put(self, topic: str, payload: bytes, at: int) -> None:
        """Keep a message for the page."""
        self._messages.append(Raw(topic, payload, at))
        self._bytes += len(payload)
        while len(self._messages) > KEEP or self._bytes > KEEP_BYTES:
            self._bytes -= len(self._messages.popleft().payload)
            self.skipped += 1

    def take(self) -> list[Raw]:
        """What has come since the last call."""
        taken = list(self._messages)
        self._messages.clear()
        self._bytes = 0
        return taken


class Tap:
    """The console's MQTT connection.

    Attributes:
        state: whether the broker is reachable.
    """

    def __init__(self, settings: MqttSettings, client_id: str) -> None:
        self.state = TapState(None, "nobody looks")
        self._options = ConnectOptions(client_id, settings)
        self._watches: dict[str, list[Watch]] = {}
        self._broker_until = 0.0
        self._broker: dict[str, tuple[float, float]] = {}
        self._broker_rates: dict[str, float] = {}
        self._changed = asyncio.Event()

    @contextmanager
    def watch(self, device: str) -> Iterator[Watch]:
        """Collect a device's messages inside a `with` block."""
        watch = Watch(device)
        self._watches.setdefault(device, []).append(watch)
        self._changed.set()
        try:
            yield watch
        finally:
            self._watches[device].remove(watch)
            if not self._watches[device]:
                del self._watches[device]
            self._changed.set()

    def watch_broker(self) -> None:
        """Collect the broker's own figures for the next `BROKER_SECONDS`."""
        if not self._broker_is_watched():
            self._changed.set()
        self._broker_until = time.monotonic() + BROKER_SECONDS

    def broker_figures(self) -> dict[str, float | None]:
        """Figures of the broker: clients, messages per second, dropped in all, stored."""
        totals = {name: value for name, (value, _) in self._broker.items()}
        shown: dict[str, float | None] = {name: self._broker_rates.get(name) for name in _RATES}
        return shown | {name: totals.get(name) for name in ("clients", "dropped_total", "stored", "uptime")}

    async def run(self) -> None:
        """Connect whenever somebody looks; ends only by being cancelled."""
        while True:
            if not self._wanted():
                self.state = TapState(None, "nobody looks")
                await self._changed.wait()
                self._changed.clear()
                continue
            try:
                connection = await Connection.open(self._options, self._deliver)
                try:
                    await self._serve(connection)
                finally:
                    await connection.disconnect()
            except MqttError as exc:
                if self.state.connected is not False:
                    log.warning("mqtt_unavailable", reason=str(exc))
                self.state = TapState(False, str(exc))
                self._broker.clear()
                self._broker_rates.clear()
                await asyncio.sleep(_RETRY)

    async def _serve(self, connection: Connection) -> None:
        """Keep the subscriptions as wanted; returns when one is to go: a new session starts without it."""
        subscribed: set[str] = set()
        closed = asyncio.create_task(connection.wait_closed())
        try:
            while wanted := self._wanted():
                if subscribed - wanted:
                    return
                added = sorted(wanted - subscribed)
                if added:
                    # QoS 0: a slow console must not fill the broker's queues.
                    await connection.subscribe(*(Subscription(topic, qos=0) for topic in added))
                    subscribed |= wanted
                self.state = TapState(True, "connected")
                self._changed.clear()
                changed = asyncio.create_task(self._changed.wait())
                try:
                    await asyncio.wait(
                        {closed, changed}, timeout=BROKER_SECONDS / 3, return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    changed.cancel()
                if closed.done():
                    raise MqttError(closed.result())
        finally:
            closed.cancel()

    def _wanted(self) -> set[str]:
        topics = {topic for watches in self._watches.values() for topic in watches[0].filters}
        return topics | (set(_BROKER_TOPICS) if self._broker_is_watched() else set())

    def _broker_is_watched(self) -> bool:
        return time.monotonic() < self._broker_until

    def _deliver(self, message: Message) -> None:
        message.ack()
        if message.topic in _BROKER_TOPICS:
            self._note_figure(_BROKER_TOPICS[message.topic], message.payload)
            return
        address = read_topic(message.topic)
        if address is None:
            return
        at = round(time.time() * 1000)
        for watch in self._watches.get(address.device, ()):
            watch.put(message.topic, message.payload, at)

    def _note_figure(self, name: str, payload: bytes) -> None:
        try:
            value = float(payload.split()[0])
        except (ValueError, IndexError):
            return
        now = time.monotonic()
        before, then = self._broker.get(name, (value, now))
        self._broker[name] = (value, now)
        for rate, total in _RATES.items():
            # Retained values arrive in one burst at the subscription: their spacing says nothing.
            if total == name and now - then > 1 and value >= before:
                self._broker_rates[rate] = (value - before) / (now - then)
