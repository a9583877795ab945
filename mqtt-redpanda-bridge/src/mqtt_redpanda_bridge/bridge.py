"""The running bridge: one Kafka producer, the MQTT session or a link to the bridge that has it, the pump."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Final

from iiot.errors import DecodeError
from iiot.kafka_reader import TopicReader
from iiot.mqtt import Backoff, Connection, ConnectOptions, Message, Subscription, keep_connected
from iiot.rest import Access, make_api
from iiot.service import Service
from iiot.sparkplug.payload import decode_payload
from iiot.sparkplug.topic import Topic, parse_topic
from iiot.sparkplug.wire import PayloadBudget
from iiot.telemetry import MESSAGE_FAILURES, HealthReport, serve
from mqtt_redpanda_bridge.api import bridge_api
from mqtt_redpanda_bridge.devices import DeviceStates
from mqtt_redpanda_bridge.dispatch import Birth, Dispatcher
from mqtt_redpanda_bridge.encode import Context
from mqtt_redpanda_bridge.group import Group
from mqtt_redpanda_bridge.link import ReceiverLink
from mqtt_redpanda_bridge.metrics import BridgeCollector
from mqtt_redpanda_bridge.pump import Pump
from mqtt_redpanda_bridge.registration import Registration
from mqtt_redpanda_bridge.replay import Replayer
from mqtt_redpanda_bridge.restore import restore
from mqtt_redpanda_bridge.routes import load_routes
from mqtt_redpanda_bridge.settings import BridgeSettings
from mqtt_redpanda_bridge.sink import Sink, topic_specs
from mqtt_redpanda_bridge.store import open_store

DRAIN_TIMEOUT: Final = 3.5
"""Seconds that a stop waits for Kafka; what is left then, the broker sends again to the next bridge."""
BACKOFF: Final = Backoff(base=0.2, cap=5.0)
SAVE_INTERVAL: Final = 1.0
"""Seconds between writes of new births."""
LOOK_INTERVAL: Final = 2.0
"""Seconds between looks for another receiver, while this one has no connection to the broker."""


class Bridge:
    """Wires the parts and keeps their states, for health and metrics.

    Attributes:
        mqtt_connects: connections made so far.
        sessions_lost: reconnects for which the broker had no session, so its queue was lost.
    """

    def __init__(self, settings: BridgeSettings, service: Service) -> None:
        self.mqtt_connects = 0
        self.sessions_lost = 0
        self._settings = settings
        self._service = service
        self._table = load_routes(settings.routes_file, settings.lwm2m_prefix)
        interval = int(settings.device_state_interval * 1000) if settings.device_states else None
        self._store = open_store(settings.state_file)
        self._context = Context(
            states=DeviceStates(interval, settings.max_devices),
            store=self._store,
            budget=PayloadBudget(metrics=settings.max_metrics),
        )
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
        self._dispatcher = Dispatcher(
            self._table,
            self._pump,
            births=self._births,
            learn=self._learn,
            prepare=partial(self._prepare, None),
            max_bytes=settings.max_in_flight_bytes,
        )
        self._access = Access.of(settings)
        open_reader = partial(TopicReader, settings.kafka_brokers, f"{settings.mqtt_client_id}-replay")
        self._replayer = Replayer(self._table, self._context, self._sink, open_reader, settings.kafka_brokers)
        self.group = Group(settings, self._dispatcher, self._open_link)
        # Retained messages once, when the broker makes the session: not again with every connection.
        self._subscriptions = [Subscription(one, retain_handling=1) for one in self._table.subscriptions]
        self._mqtt_is_up = False
        self._mqtt_state = "not connected yet"
        self._over = asyncio.Event()
        """This bridge has to stop receiving: for good, or because another does it."""
        self._found: ReceiverLink | None = None
        self._preparing: set[asyncio.Task[None]] = set()
        self._restoring = asyncio.Lock()
        """One after the other: what an earlier reading found must not replace what was learnt since."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._stalled = asyncio.Event()
        self._dispatcher.on_idle = self._idle.set
        self._pump.on_stall = self._stalled.set
        service.registry.register(BridgeCollector(self._pump, self._dispatcher, self))

    @property
    def mqtt_connected(self) -> bool:
        """Whether messages come from the broker: to this bridge, or to the one that it delivers for."""
        return self._mqtt_is_up or (self.group.link is not None and self.group.link.connected)

    @property
    def kafka_connected(self) -> bool:
        """Whether Kafka is reachable; it may refuse records all the same, see `stalled`."""
        return self._sink.connected

    async def run(self) -> None:
        """Bridge until the service stops."""
        settings, service = self._settings, self._service
        # Thousands of messages in flight look like growth to the collector, and none of them is in a cycle.
        gc.freeze()
        gc.set_threshold(100_000, 20, 50)
        async with AsyncExitStack() as stack:
            app = make_api(service.registry, self._health, bridge_api(self._replayer), self._access)
            await stack.enter_async_context(
                serve(app, settings.http_host, settings.http_port, settings.http_names)
            )
            stack.callback(self._store.close)
            service.log.info("births_loaded", count=await asyncio.to_thread(self._load_births))
            await stack.enter_async_context(self._sink)
            async with asyncio.TaskGroup() as tasks:
                work = (self._mend(), self._save_births(), self._registration.run())
                helpers = [tasks.create_task(one) for one in work]
                await self._unless_stopping(self._until_topics_exist())
                if self._registration.is_needed:
                    await self._unless_stopping(self._registration.done.wait())
                async with self.group.listening():
                    await self._take_part()
                for helper in (*helpers, *self._preparing):
                    helper.cancel()
        self._service.log.info("bridge_drained", in_flight=self._dispatcher.in_flight)

    async def _take_part(self) -> None:
        """Deliver for the receiver of the group, or be it, until the service stops."""
        while not self._service.stopping.is_set():
            if self._found is None:
                await self._unless_stopping(self._find_receiver(hesitate=True))
            link, self._found = self._found, None
            if link is not None:
                await self._deliver_for(link)
            elif not self._service.stopping.is_set():
                await self._receive()

    async def _deliver_for(self, link: ReceiverLink) -> None:
        self._service.log.info("delivers_for", receiver=link.peer)
        self.group.link = link
        self._dispatcher.on_pressure = link.set_paused
        link.set_paused(self._dispatcher.under_pressure)
        await self._unless_stopping(asyncio.shield(link.closed))
        if not link.closed.done():
            link.leave()
            await asyncio.wait([link.closed], timeout=DRAIN_TIMEOUT)
            link.abort()
        self.group.link = None
        # What is left comes to its next member, too: a state written late must not replace a newer one.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._unless_stopping(self._drained()), DRAIN_TIMEOUT)

    async def _receive(self) -> None:
        self._service.log.info("receives")
        self._over.clear()
        self.group.take_over()
        helpers = [asyncio.create_task(one) for one in (self._end_with_service(), self._look_for_another())]
        try:
            await self._unless_stopping(self._restore())
            await keep_connected(
                self._connect_options,
                self._take,
                self._session,
                stopping=self._over,
                on_state=self._on_mqtt_state,
                backoff=BACKOFF,
            )
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._dispatcher.disband()
            self.group.give_up()

    def _take(self, message: Message) -> None:
        try:
            self._dispatcher.handle(message)
        except Exception as exc:  # a fault of ours costs this message its way, and no other anything
            MESSAGE_FAILURES.inc()
            self._service.log.exception("message_not_dispatched", topic=message.topic)
            self._pump.bury(message, f"internal error: {exc!r}")

    async def _end_with_service(self) -> None:
        await self._service.stopping.wait()
        self._over.set()

    async def _look_for_another(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            if not self._mqtt_is_up and not self._over.is_set():
                await self._find_receiver(hesitate=False)

    async def _find_receiver(self, *, hesitate: bool) -> None:
        link = await self.group.find_receiver(hesitate=hesitate)
        if link is None:
            return
        if self._found is not None:
            self._found.abort()
        self._found = link
        self._over.set()

    def _connect_options(self) -> ConnectOptions:
        settings = self._settings
        self._dispatcher.start()  # messages come right behind CONNACK
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
        self._dispatcher.on_pressure = connection.set_paused
        connection.set_paused(self._dispatcher.under_pressure)
        try:
            await self._subscribe(connection)
            await self._over.wait()
            self._dispatcher.stop()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drained(), DRAIN_TIMEOUT)
        finally:
            self._dispatcher.stop()
            # What is in flight now, the broker will send again. To connect before Kafka took it would
            # let another Receive Maximum of messages in, and another with every loss of connection.
            await self._unless_stopping(self._drained())
            if not self._over.is_set():
                # It may have been another bridge that took the session over: to take it back helps no one.
                await self._unless_stopping(self._find_receiver(hesitate=False))

    async def _subscribe(self, connection: Connection) -> None:
        """Make the session's filters those of the routes; in this order, so that no message is missed."""
        client_id, wanted = self._settings.mqtt_client_id, frozenset(self._table.subscriptions)
        known = self._store.filters(client_id) if connection.session_present else frozenset()
        self._store.set_filters(client_id, known | wanted)
        await connection.subscribe(*self._subscriptions)
        if old := known - wanted:
            await connection.unsubscribe(*sorted(old))
            self._service.log.info("unsubscribed", filters=sorted(old))
        self._store.set_filters(client_id, wanted)

    def _on_mqtt_state(self, connected: bool, reason: str) -> None:
        self._mqtt_is_up = self.group.is_connected = connected
        self.mqtt_connects += connected
        self._mqtt_state = reason
        log = self._service.log.info if connected else self._service.log.warning
        log("mqtt_connected" if connected else "mqtt_disconnected", reason=reason)

    def _open_link(self, name: str, identity: str | None) -> ReceiverLink:
        return ReceiverLink(name, identity, self._pump.handle, self._learn, self._prepare)

    def _births(self) -> Iterator[Birth]:
        return ((str(topic), payload) for topic, payload in self._store.births())

    def _load_births(self) -> int:
        return self._store.load(self._context.births, self._context.budget)

    def _learn(self, topic: str, payload: bytes) -> None:
        """Take in a birth that another bridge delivers, before the messages that come behind it."""
        self._pump.in_order(payload, partial(self._take_birth, topic, payload))

    def _take_birth(self, topic: str, payload: bytes) -> None:
        with suppress(DecodeError):
            parsed = parse_topic(topic, accept_short_form=True)
            if isinstance(parsed, Topic):
                birth = decode_payload(payload, self._context.budget)
                if self._context.births.learn(parsed, birth, len(payload)):
                    self._store.put(parsed, payload)

    def _prepare(self, link: ReceiverLink | None, change: int) -> None:
        """Other devices come to this bridge: read their states from Kafka, and tell whoever waits."""

        async def restored() -> None:
            await self._restore()
            if link is not None:
                link.ready(change)
            else:
                self._dispatcher.ready(None, change)

        task = asyncio.create_task(restored(), name="restore device states")
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    async def _restore(self) -> None:
        async with self._restoring:
            await restore(self._context.states, self._settings)

    async def _until_topics_exist(self) -> None:
        while not await self._sink.create_topics():  # noqa: ASYNC110 - Kafka tells no one when it is up
            await asyncio.sleep(BACKOFF.base)

    async def _drained(self) -> None:
        while self._dispatcher.in_flight:
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

    async def _save_births(self) -> None:
        while True:
            await asyncio.sleep(SAVE_INTERVAL)
            self._store.save()

    def _health(self) -> HealthReport:
        pump = self._pump
        kafka = "connected" if self.kafka_connected else pump.last_error or "not reachable"
        if self.kafka_connected and pump.stalled:
            kafka = f"connected, but does not take records of {pump.stalled[0].topic}: {pump.last_error}"
        return HealthReport(
            healthy=self.mqtt_connected and self.kafka_connected and not pump.stalled,
            details={
                "mqtt": {"connected": self.mqtt_connected, "detail": self._mqtt_state},
                "kafka": {"connected": self.kafka_connected, "detail": kafka},
                "group": {"role": self.group.role, "members": self._dispatcher.members},
                "schemas": self._registration.state,
                "in_flight": pump.in_flight,
                "stalled": len(pump.stalled),
            },
        )
