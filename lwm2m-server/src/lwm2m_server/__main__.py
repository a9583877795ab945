"""The LwM2M server's process: `python -m lwm2m_server`."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from aiohttp import web

from iiot.lwm2m import model
from iiot.lwm2m.message import Command, Response
from iiot.rest import Access, Api, EventStreams, make_api
from iiot.service import Service, run
from iiot.telemetry import HealthReport, serve
from lwm2m_server.api import DESCRIPTION, ERRORS
from lwm2m_server.api.bootstrap import BootstrapApi
from lwm2m_server.api.clients import Clients
from lwm2m_server.api.feed import EventFeed
from lwm2m_server.api.firmware import FirmwareApi
from lwm2m_server.api.leshan import LeshanApi
from lwm2m_server.api.management import Management
from lwm2m_server.bootstrap import BOOTSTRAP, Bootstrap
from lwm2m_server.clock import SystemClock
from lwm2m_server.duplicates import Duplicates
from lwm2m_server.event_source import FeedSource
from lwm2m_server.events import EventLog, open_log
from lwm2m_server.firmware.campaign import CAMPAIGN, CAMPAIGN_DEVICE
from lwm2m_server.firmware.campaigns import Campaigns
from lwm2m_server.firmware.downloads import serve_tls
from lwm2m_server.firmware.packages import PACKAGE, Packages
from lwm2m_server.json_channel import JsonChannel
from lwm2m_server.leshan_events import LeshanSource
from lwm2m_server.metrics import Metrics
from lwm2m_server.models import Models
from lwm2m_server.observations import OBSERVATION, Observations
from lwm2m_server.oma_channel import OmaChannel
from lwm2m_server.operations import Operations
from lwm2m_server.registry import Registry
from lwm2m_server.replay import replay
from lwm2m_server.request_queue import REQUEST, Outcome
from lwm2m_server.settings import Settings
from lwm2m_server.store import Store, StoreError
from lwm2m_server.transport import Transport
from lwm2m_server.uplink import Uplink
from lwm2m_server.values import Values
from lwm2m_server.ws import Feed

EXPIRE_EVERY: Final = 0.25
"""Seconds between looks for registrations whose lifetime has passed."""
RESTORE_GRACE: Final = 60.0
"""Seconds that a restored registration lives at least: its Updates may still wait in the broker."""
NUMBERS_RESTORED: Final = 100_000
"""Newest events whose ledger numbers are known again after a restart; redelivery reaches back far less."""
EVENTS_REPLAYED: Final = 20_000
EVENTS_REPLAYED_BYTES: Final = 16_000_000
"""Newest events from which values are known again after a restart."""
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
        self.events = events
        events.on_append = self.metrics.event
        clock = SystemClock()
        self.registry = Registry(clock, settings.lwm2m_awake_seconds)
        self.transport = Transport(settings, self._presence, events.settled, self.metrics)
        models = Models(definitions, self.registry)
        self.operations = Operations(
            self.registry, models, self.transport.send, self._encodable, events, self.metrics,
            clock.wall_ms, settings.lwm2m_queue_ttl,
        )  # fmt: skip
        self.observations = Observations(self.operations, events, clock.wall_ms)
        self.values = Values(settings.history_per_resource, settings.history_points)
        self.operations.listeners.append(self._note_values)
        self.bootstrap = Bootstrap(self.operations, events, definitions, clock.wall_ms)
        self.packages = Packages(settings.database.parent / "firmware", events)
        self.campaigns = Campaigns(
            self.registry, self.operations, self.observations, self.values, self.packages, events,
            clock.wall_ms,
        )  # fmt: skip
        duplicates = Duplicates()
        self.uplink = Uplink(
            self.registry, events, duplicates, models, self.operations, self.observations, self.values,
            clock, self.bootstrap, self.metrics,
        )  # fmt: skip
        self._clock = clock
        self._restore(store, duplicates)
        publish, prefix = self.transport.publish, settings.lwm2m_prefix
        self.transport.channels = (
            OmaChannel(
                prefix, settings.lwm2m_extensions, models, self.uplink, self.operations,
                self.observations.path, self.registry.get, publish, self.metrics,
            ),
            JsonChannel(prefix, self.uplink, self.operations, publish, self.metrics),
        )  # fmt: skip
        self.feed = Feed(events, self.metrics, service.stopping)
        self.streams = EventStreams(FeedSource(events), service.stopping)
        secure = settings.mqtt_tls
        leshan = LeshanSource(FeedSource(events), self.registry, models, secure)
        self.leshan_streams = EventStreams(leshan, service.stopping)
        firmware = FirmwareApi(
            self.packages, self.campaigns, self.registry, clock.wall_ms, lambda: self.firmware_url,
            settings.firmware_max_mb * MEGABYTE,
        )  # fmt: skip
        self.firmware_url = settings.firmware_url.rstrip("/")
        routes = [
            *EventFeed(events, self.feed, self.streams).routes(),
            *Clients(
                self.registry, self.operations, self.observations, self.values, events, models,
                secure=secure,
            ).routes(),
            *LeshanApi(
                self.leshan_streams, self.registry, settings, lambda: self.transport.broker_certificate
            ).routes(),
            *BootstrapApi(self.bootstrap, definitions).routes(),
            *firmware.routes(),
            *Management(self.operations, self.observations, models).routes(),
        ]  # fmt: skip
        api = Api("LwM2M server", DESCRIPTION, routes, ERRORS)
        self.app = make_api(service.registry, self.health, api, Access.of(settings))
        self.app.router.add_get("/firmware/{package}", firmware.download)
        self.downloads = web.Application()
        self.downloads.router.add_get("/firmware/{package}", firmware.download)
        self.metrics.http.watch(self.app)
        self._export()

    def _restore(self, store: Store, duplicates: Duplicates) -> None:
        for body in store.registrations():
            self.registry.restore(body, RESTORE_GRACE)
        for endpoint, seq in store.numbers(NUMBERS_RESTORED):
            duplicates.is_new(endpoint, seq)
        self.operations.restore(store.documents(REQUEST).values())
        self.bootstrap.restore(store.documents(BOOTSTRAP))
        self.packages.restore(store.documents(PACKAGE))
        self.observations.restore(store.documents(OBSERVATION).values())
        replay(self.values, store.newest(EVENTS_REPLAYED, EVENTS_REPLAYED_BYTES))
        self.campaigns.restore(store.documents(CAMPAIGN), store.documents(CAMPAIGN_DEVICE))

    def health(self) -> HealthReport:
        """Healthy while events can be stored and devices reached."""
        details: dict[str, object] = {
            "active_devices": self.registry.online,
            "registrations": len(self.registry),
            "mqtt_connected": self.transport.connected,
            "latest_event": self.events.latest,
        }
        problem = self.events.problem
        if problem is not None:
            details["store"] = problem
        return HealthReport(self.transport.connected and problem is None, details)

    def _presence(self, endpoint: str, online: bool, done: Callable[[], None]) -> None:
        self.uplink.presence(endpoint, online, done)

    def _encodable(self, endpoint: str, profile: str, command: Command) -> None:
        self.transport.channel(profile).encode(endpoint, command)

    def _note_values(self, endpoint: str, _: Command, outcome: Outcome) -> None:
        if isinstance(outcome, Response) and outcome.records:
            self.values.record(endpoint, outcome.records, self._clock.wall_ms())

    def _sse_clients(self) -> int:
        return self.streams.clients + self.leshan_streams.clients

    async def expire(self) -> None:
        """End lifetimes, requests and the waking of devices in their time, for ever."""
        second = 0.0
        while True:
            now = time.monotonic()
            self.uplink.expire()
            self.operations.tick(now)
            if now >= second:
                second = now + 1.0
                self.registry.find_sleepers()
            await asyncio.sleep(EXPIRE_EVERY)

    def _export(self) -> None:
        gauge = self.metrics.gauge
        gauge("active_devices", "Registered devices that are online", lambda: self.registry.online)
        gauge("registrations", "Registered devices", lambda: len(self.registry))
        gauge("mqtt_connected", "1 while connected to the broker", lambda: self.transport.connected)
        gauge("commands_pending", "Commands without an answer", lambda: self.operations.pending)
        gauge("requests_queued", "Commands that wait to be sent", lambda: self.operations.queued)
        gauge("observations", "Observations of all devices", lambda: len(self.observations))
        gauge("resources", "Resources with a latest value", lambda: self.values.resources)
        gauge("ws_clients", "WebSocket clients of the event feed", lambda: self.feed.clients)
        gauge("sse_clients", "Server-sent event clients of the event feed", self._sse_clients)
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
    definitions = model.load(settings.lwm2m_objects, settings.models_dir)
    async with AsyncExitStack() as stack:
        store = stack.enter_context(
            Store(settings.database, settings.events_keep, settings.events_keep_mb * MEGABYTE)
        )
        events = await stack.enter_async_context(open_log(store, settings.events_memory_mb * MEGABYTE))
        server = Server(settings, service, store, events, definitions)
        port = await stack.enter_async_context(
            serve(server.app, settings.http_host, settings.http_port, settings.http_names)
        )
        if settings.firmware_https_port is not None:
            tls = await stack.enter_async_context(
                serve_tls(server.downloads, settings.http_host, settings.firmware_https_port, settings)
            )
            server.firmware_url = server.firmware_url or f"https://localhost:{tls}"
        server.firmware_url = server.firmware_url or f"http://localhost:{port}"
        async with asyncio.TaskGroup() as group:
            mqtt = group.create_task(server.transport.run(service.stopping), name="mqtt")
            expiry = group.create_task(server.expire(), name="expiry")
            try:
                yield server, port
            finally:
                service.stopping.set()
                await server.bootstrap.close()
                await server.campaigns.close()
                await mqtt
                expiry.cancel()


async def main(settings: Settings, service: Service) -> None:
    """Run until `service.stopping`; what the user must put right ends it with status 1 and one line."""
    try:
        async with open_server(settings, service):
            await service.stopping.wait()
    except StoreError as error:
        print(f"{service.name}: {error}", file=sys.stderr)  # noqa: T201 - as plain as a bad setting
        raise SystemExit(1) from error


if __name__ == "__main__":
    run("lwm2m-server", Settings, main)
