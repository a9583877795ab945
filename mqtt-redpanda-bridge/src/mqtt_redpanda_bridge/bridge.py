"""The running bridge: one MQTT session, one Kafka producer, and the pump between them."""

import asyncio
import gc
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

from iiot.errors import KafkaError
from iiot.kafka_reader import TopicReader
from iiot.mqtt import Backoff, Connection, ConnectOptions, Subscription, keep_connected
from iiot.service import Service
from iiot.telemetry import HealthReport, make_app, serve
from iiot.topics import DEVICE_STATE
from mqtt_redpanda_bridge.birth_store import BirthStore
from mqtt_redpanda_bridge.devices import DeviceStates
from mqtt_redpanda_bridge.encode import Context
from mqtt_redpanda_bridge.metrics import BridgeCollector
from mqtt_redpanda_bridge.pump import Pump
from mqtt_redpanda_bridge.registration import Registration
from mqtt_redpanda_bridge.routes import load_routes
from mqtt_redpanda_bridge.settings import BridgeSettings
from mqtt_redpanda_bridge.sink import Sink, topic_specs

DRAIN_TIMEOUT: Final = 3.5
"""Seconds that a stop waits for Kafka; what is left then, the broker sends again to the next bridge."""
BACKOFF: Final = Backoff(base=0.2, cap=5.0)
SAVE_INTERVAL: Final = 1.0
"""Seconds between writes of new births."""


class Bridge:
    """Wires the parts and keeps their states, for health and metrics.

    Attributes:
        mqtt_connected: whether the MQTT session runs.
        mqtt_connects: connections made so far.
        sessions_lost: reconnects for which the broker had no session, so its queue was lost.
    """

    def __init__(self, settings: BridgeSettings, service: Service) -> None:
        self.mqtt_connected = False
        self.mqtt_connects = 0
        self.sessions_lost = 0
        self._settings = settings
        self._service = service
        self._table = load_routes(settings.routes_file, settings.lwm2m_prefix)
        interval = int(settings.device_state_interval * 1000) if settings.device_states else None
        self._context = Context(states=DeviceStates(interval))
        self._registration = Registration(self._table, settings.schema_registry_url, self._context.prefixes)
        self._sink = Sink(settings, topic_specs(self._table, settings))
        self._pump = Pump(
            self._table,
            self._context,
            self._sink,
            clock=time.monotonic,
            wall_clock=time.time,
            max_bytes=settings.max_in_flight_bytes,
        )
        # Retained messages once, when the broker makes the session: not again with every connection.
        self._subscriptions = [Subscription(one, retain_handling=1) for one in self._table.subscriptions]
        self._mqtt_state = "not connected yet"
        self._idle = asyncio.Event()
        self._idle.set()
        self._stalled = asyncio.Event()
        self._pump.on_idle = self._idle.set
        self._pump.on_stall = self._stalled.set
        service.registry.register(BridgeCollector(self._pump, self))

    @property
    def kafka_connected(self) -> bool:
        """Whether Kafka is reachable and takes records."""
        return self._sink.connected and not self._pump.stalled

    async def run(self) -> None:
        """Bridge until the service stops."""
        settings, service = self._settings, self._service
        # Thousands of messages in flight look like growth to the collector, and none of them is in a cycle.
        gc.freeze()
        gc.set_threshold(100_000, 20, 50)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(
                serve(make_app(service.registry, self._health), settings.http_host, settings.http_port)
            )
            self._open_births(stack)
            await stack.enter_async_context(self._sink)
            async with asyncio.TaskGroup() as tasks:
                work = (self._mend(), self._save_births(), self._registration.run())
                helpers = [tasks.create_task(one) for one in work]
                await self._unless_stopping(self._until_topics_exist())
                if settings.device_states:
                    await self._unless_stopping(self._restore_states())
                if self._registration.is_needed:
                    await self._unless_stopping(self._registration.done.wait())
                await keep_connected(
                    self._connect_options,
                    self._pump.handle,
                    self._session,
                    stopping=service.stopping,
                    on_state=self._on_mqtt_state,
                    backoff=BACKOFF,
                )
                for helper in helpers:
                    helper.cancel()
        self._service.log.info("bridge_drained", in_flight=self._pump.in_flight)

    def _connect_options(self) -> ConnectOptions:
        settings = self._settings
        return ConnectOptions(
            client_id=settings.mqtt_client_id,
            settings=settings,
            clean_start=False,
            session_expiry=settings.session_expiry,
            receive_maximum=settings.receive_maximum,
        )

    async def _session(self, connection: Connection) -> None:
        if not connection.session_present and self.mqtt_connects > 1:
            self.sessions_lost += 1
            self._service.log.warning(
                "mqtt_session_lost", detail="the broker's queue for this bridge is gone"
            )
        self._pump.on_pressure = connection.set_paused
        connection.set_paused(self._pump.under_pressure)
        try:
            await connection.subscribe(*self._subscriptions)
            await self._service.stopping.wait()
            self._pump.closing = True
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drained(), DRAIN_TIMEOUT)
        finally:
            # What is in flight now, the broker will send again. To connect before Kafka took it would
            # let another Receive Maximum of messages in, and another with every loss of connection.
            await self._unless_stopping(self._drained())

    def _on_mqtt_state(self, connected: bool, reason: str) -> None:
        self.mqtt_connected = connected
        self.mqtt_connects += connected
        self._mqtt_state = reason
        log = self._service.log.info if connected else self._service.log.warning
        log("mqtt_connected" if connected else "mqtt_disconnected", reason=reason)

    async def _until_topics_exist(self) -> None:
        while not await self._sink.create_topics():  # noqa: ASYNC110 - Kafka tells no one when it is up
            await asyncio.sleep(BACKOFF.base)

    async def _restore_states(self) -> None:
        while True:
            try:
                found = await asyncio.to_thread(self._read_states)
                break
            except KafkaError as exc:
                self._service.log.warning("device_states_unread", error=str(exc))
                await asyncio.sleep(BACKOFF.cap)
        for value in found.values():
            self._context.states.restore(value)
        self._service.log.info("device_states_restored", count=len(found))

    def _read_states(self) -> dict[bytes, bytes]:
        # Opened and closed in the thread that uses it: a stop may come while it reads.
        reader = TopicReader(self._settings.kafka_brokers, self._settings.mqtt_client_id)
        try:
            return reader.latest_by_key(DEVICE_STATE)
        finally:
            reader.close()

    async def _drained(self) -> None:
        while self._pump.in_flight:
            self._idle.clear()
            await self._idle.wait()

    async def _unless_stopping(self, work: Awaitable[Any]) -> None:
        both = [asyncio.ensure_future(work), asyncio.ensure_future(self._service.stopping.wait())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _mend(self) -> None:
        while True:
            await self._stalled.wait()
            self._stalled.clear()
            await self._sink.mend()
            self._pump.retry()

    def _open_births(self, stack: AsyncExitStack) -> None:
        path = self._settings.births_file
        if path is None:
            return
        store = BirthStore(path)
        stack.callback(store.close)
        self._service.log.info("births_loaded", count=store.load(self._context.births))
        self._context.birth_store = store

    async def _save_births(self) -> None:
        while (store := self._context.birth_store) is not None:
            await asyncio.sleep(SAVE_INTERVAL)
            store.save()

    def _health(self) -> HealthReport:
        pump = self._pump
        kafka = "connected" if self.kafka_connected else pump.last_error or "not reachable"
        return HealthReport(
            healthy=self.mqtt_connected and self.kafka_connected,
            details={
                "mqtt": {"connected": self.mqtt_connected, "detail": self._mqtt_state},
                "kafka": {"connected": self.kafka_connected, "detail": kafka},
                "schemas": self._registration.state,
                "in_flight": pump.in_flight,
                "stalled": len(pump.stalled),
            },
        )
