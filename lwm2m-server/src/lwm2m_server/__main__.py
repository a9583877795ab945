"""The LwM2M server's process: `python -m lwm2m_server`."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from iiot.lwm2m import model
from iiot.lwm2m.message import Command
from iiot.service import Service, run
from iiot.telemetry import HealthReport, make_app, serve
from lwm2m_server.api import Api, errors_as_problems
from lwm2m_server.clock import SystemClock
from lwm2m_server.duplicates import Duplicates
from lwm2m_server.events import EventLog, open_log
from lwm2m_server.json_channel import JsonChannel
from lwm2m_server.metrics import Metrics
from lwm2m_server.oma_channel import OmaChannel
from lwm2m_server.operations import Operations
from lwm2m_server.registry import Registration, Registry
from lwm2m_server.settings import Settings
from lwm2m_server.store import Store, StoreError
from lwm2m_server.transport import Transport
from lwm2m_server.uplink import Uplink
from lwm2m_server.ws import Feed

EXPIRE_EVERY: Final = 0.25
"""Seconds between looks for registrations whose lifetime has passed."""
RESTORE_GRACE: Final = 60.0
"""Seconds that a restored registration lives at least: its Updates may still wait in the broker."""
NUMBERS_RESTORED: Final = 100_000
"""Newest events whose ledger numbers are known again after a restart; redelivery reaches back far less."""
MEGABYTE: Final = 1_000_000


class Server:
    """All parts of the server, wired up."""

    def __init__(
        self,
        settings: Settings,
        service: Service,
        store: Store,
        events: EventLog,
        definitions: model.Definitions,
    ) -> None:
        self.metrics = Metrics(service.registry)
        self.registry = Registry(SystemClock())
        self.events = events
        events.on_append = self.metrics.event
        duplicates = Duplicates()
        for body in store.registrations():
            self.registry.restore(body, RESTORE_GRACE)
        for endpoint, seq in store.numbers(NUMBERS_RESTORED):
            duplicates.is_new(endpoint, seq)
        self.uplink = Uplink(self.registry, events, duplicates, definitions, self.metrics)
        self.operations = Operations(self.registry, definitions, self._send, self.metrics)
        self.transport = Transport(settings, self.uplink.presence, events.settled, self.metrics)
        publish = self.transport.publish
        self.transport.channels = (
            OmaChannel(
                settings.lwm2m_prefix, settings.lwm2m_extensions, definitions, self.uplink, self.operations,
                lambda endpoint, token: None, publish, self.metrics,
            ),
            JsonChannel(settings.lwm2m_prefix, self.uplink, self.operations, publish, self.metrics),
        )  # fmt: skip
        self.app = make_app(service.registry, self.health)
        self.metrics.http.watch(self.app)
        self.app.middlewares.append(errors_as_problems)
        Api(self.registry, self.operations, events, definitions).add_routes(self.app)
        self.feed = Feed(events, self.metrics, service.stopping)
        self.app.router.add_get("/ws/events", self.feed.handle)
        self._export()

    def health(self) -> HealthReport:
        """Healthy while events can be stored and devices reached."""
        details: dict[str, object] = {
            "active_devices": self.registry.online,
            "registrations": len(self.registry),
            "mqtt_connected": self.transport.connected,
            "latest_event": self.events.latest,
        }
        if self.events.failing is not None:
            details["store"] = self.events.failing
        return HealthReport(self.transport.connected and self.events.failing is None, details)

    def _send(self, registration: Registration, command: Command) -> None:
        self.transport.send(registration.endpoint, registration.profile, command)

    async def expire(self) -> None:
        """End registrations whose lifetime has passed, for ever."""
        while True:
            self.uplink.expire()
            await asyncio.sleep(EXPIRE_EVERY)

    def _export(self) -> None:
        gauge = self.metrics.gauge
        gauge("active_devices", "Registered devices that are online", lambda: self.registry.online)
        gauge("registrations", "Registered devices", lambda: len(self.registry))
        gauge("mqtt_connected", "1 while connected to the broker", lambda: self.transport.connected)
        gauge("commands_pending", "Commands without an answer", lambda: self.operations.pending)
        gauge("ws_clients", "WebSocket clients of the event feed", lambda: self.feed.clients)
        gauge("events_pending", "Events that are not durable yet", lambda: self.events.pending)
        gauge("events_oldest_id", "Id of the oldest event kept", lambda: self.events.oldest)
        gauge("events_latest_id", "Id of the newest event", lambda: self.events.latest)
        gauge("events_memory_bytes", "Size of the events in memory", lambda: self.events.memory_bytes)
        self.metrics.lags(lambda: {name: self.events.lag(name) for name in self.events.positions})
        gauge("events_disk_bytes", "Size of the events kept on disk", lambda: self.events.disk_bytes)


@asynccontextmanager
async def open_server(settings: Settings, service: Service) -> AsyncIterator[tuple[Server, int]]:
    """A server at work; yields it and its HTTP port.

    Raises:
        StoreError: the database cannot be used.
        DefinitionError: a user's object definition is wrong.
    """
    definitions = model.load(settings.lwm2m_objects)
    async with AsyncExitStack() as stack:
        store = stack.enter_context(
            Store(settings.database, settings.events_keep, settings.events_keep_mb * MEGABYTE)
        )
        events = await stack.enter_async_context(open_log(store, settings.events_memory_mb * MEGABYTE))
        server = Server(settings, service, store, events, definitions)
        port = await stack.enter_async_context(serve(server.app, settings.http_host, settings.http_port))
        async with asyncio.TaskGroup() as group:
            mqtt = group.create_task(server.transport.run(service.stopping), name="mqtt")
            expiry = group.create_task(server.expire(), name="expiry")
            try:
                yield server, port
            finally:
                service.stopping.set()
                await mqtt
                expiry.cancel()


async def main(settings: Settings, service: Service) -> None:
    """Run until `service.stopping`; what the user must put right ends it with status 1 and one line."""
    try:
        async with open_server(settings, service):
            await service.stopping.wait()
    except (StoreError, model.DefinitionError) as error:
        print(f"{service.name}: {error}", file=sys.stderr)  # noqa: T201 - as plain as a bad setting
        raise SystemExit(1) from error


if __name__ == "__main__":
    run("lwm2m-server", Settings, main)
