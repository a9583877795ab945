"""The host application: the state machine between MQTT, clock, metrics and REST."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from iiot.budgets import BudgetError
from iiot.errors import DecodeError, MqttError, SubscribeRefusedError
from iiot.mqtt import Connection, ConnectOptions, Message, Subscription, Will, keep_connected
from iiot.service import Service
from iiot.sparing import SparingLog
from iiot.sparkplug.command import encode_rebirth_request, encode_write
from iiot.sparkplug.composite import MetaData
from iiot.sparkplug.host import SparkplugHost
from iiot.sparkplug.host_events import LifeEvent, Limit, Output, Refusal
from iiot.sparkplug.host_state import MetricState, NodeState, UnitState
from iiot.sparkplug.payload import REBIRTH, Payload, Value
from iiot.sparkplug.state import HostPresence
from iiot.sparkplug.topic import (
    BIRTHS,
    CERTIFICATES,
    NAMESPACE,
    MessageType,
    StateTopic,
    Topic,
    parse_topic,
)
from iiot.telemetry import HealthReport
from sparkplug_host.events import HostEvents
from sparkplug_host.inbox import Content, Inbox
from sparkplug_host.logs import LimitedWarnings
from sparkplug_host.metrics import Metrics
from sparkplug_host.outcomes import Outcomes
from sparkplug_host.settings import Settings

TICK = 0.1
"""Seconds between two looks at what is due."""


class HostApplication:
    """One Sparkplug host application on one broker.

    Attributes:
        state: all edge nodes and devices.
        observe_only: the host asks for no rebirths, not even for a person.
        events: what happens here, to be streamed.
        outcomes: what edge nodes report of what was written.
    """

    def __init__(self, settings: Settings, service: Service) -> None:
        self.state = SparkplugHost(settings.policy(), random.random)
        self.observe_only = settings.rebirth_mode == "observe"
        self.events = HostEvents()
        self.outcomes = Outcomes()
        self.state.on_values = self._on_values
        self._settings = settings
        self._stopping = service.stopping
        self._log = service.log
        self._warn = LimitedWarnings(service.log)
        self._life = SparingLog(service.log, time.monotonic)
        self._metrics = Metrics(service.registry, self.state)
        self._presence = HostPresence(settings.sparkplug_host_id)
        self._connection: Connection | None = None
        self._introduced: Connection | None = None
        self._link: Connection | None = None
        self._inbox = Inbox(settings.budget(), self._set_paused)
        self._over_limit = dict.fromkeys(Limit, 0)
        self._set_epoch()

    async def run(self) -> None:
        """Stay connected until the service stops."""
        await keep_connected(
            self._options,
            self._on_message,
            self._session,
            stopping=self._stopping,
            on_state=self._on_connection,
        )
        self.outcomes.end()

    def health(self) -> HealthReport:
        """Healthy while connected to the broker."""
        return HealthReport(
            self._connection is not None,
            {
                "active_devices": self.state.devices_online,
                "nodes_online": self.state.nodes_online,
                "mqtt_connected": self._connection is not None,
            },
        )

    def request_rebirth(self, node: NodeState) -> None:
        """Ask an edge node for its births now.

        Raises:
            MqttError: not connected.
        """
        self._connected()
        self._log.info("rebirth_wanted", group=node.group, edge_node=node.edge_node)
        self._act([self.state.request_rebirth(node, _monotonic())])

    def forget(self, node: NodeState) -> None:
        """Drop an edge node that is gone for good, with all that is known of it.

        Raises:
            SessionStateError: it is online.
        """
        self._act([self.state.forget(node, _monotonic())])

    def forget_device(self, node: NodeState, device: str) -> None:
        """Drop a device that is gone for good.

        Raises:
            SessionStateError: it is online.
        """
        self._act([self.state.forget_device(node, device, _monotonic())])

    def check_connected(self) -> None:
        """Raise MqttError while not connected to the broker."""
        self._connected()

    def write(
        self,
        node: NodeState,
        device: str | None,
        metric: MetricState,
        value: Value | None,
        metadata: MetaData | None = None,
    ) -> None:
        """Send NCMD (`device` None) or DCMD that sets a metric; the edge node decides what it does with it.

        Raises:
            InvalidValueError: the value does not fit the metric's datatype.
            MqttError: not connected.
        """
        if device is None and metric.name == REBIRTH:
            self.request_rebirth(node)
        else:
            with_datatypes = self._settings.has_datatypes(node.group, node.edge_node)
            payload = encode_write(metric, value, _utc(), metadata, with_datatypes=with_datatypes)
            message_type = MessageType.NCMD if device is None else MessageType.DCMD
            topic = Topic(message_type, node.group, node.edge_node, device)
            self._connected().publish(str(topic), payload)
            self._metrics.commands.labels("write").inc()
            self._log.info("command_sent", topic=str(topic), metric=metric.name)
        self.events.written(node, device, metric.name, value)

    def _options(self) -> ConnectOptions:
        settings = self._settings
        return ConnectOptions(settings.mqtt_client_id, settings, will=self._will)

    def _will(self) -> Will:
        return Will(self._presence.topic, self._presence.will(_utc()), qos=1, retain=True)

    async def _session(self, connection: Connection) -> None:
        # One QoS for all: the broker sends QoS 0 past a full QoS 1 window, and births would come late.
        # The whole namespace, as message-flow-phid-sparkplug-subscription says; other groups are passed over.
        filters = (self._presence.topic, f"{NAMESPACE}/#")
        self._link = connection
        connection.set_paused(self._inbox.under_pressure)
        await self._read_certificates(connection)
        await connection.subscribe(*(Subscription(topic_filter) for topic_filter in filters))
        if self._presence.is_outranked():
            self._log.warning("state_in_the_future", topic=self._presence.topic)
            return  # edge nodes would ignore a birth of this session; the next one begins behind that time
        try:
            self._introduced = connection  # a late will may come before the birth is acknowledged
            await connection.publish_acked(self._presence.topic, self._presence.birth(), retain=True)
            self._publish_legacy(connection, b"ONLINE")
            self._connection = connection
            while not self._stopping.is_set() and not self._presence.is_outranked():
                self._set_epoch()
                self._act(self.state.tick(_monotonic()))
                self._tell_limits()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), TICK)
        finally:
            # From here on the own death is no late will to answer.
            self._connection = self._introduced = None
        if self._presence.is_outranked():
            self._log.warning("state_in_the_future", topic=self._presence.topic)
        self._publish_legacy(connection, b"OFFLINE")
        await connection.publish_acked(self._presence.topic, self._presence.death(_utc()), retain=True)

    async def _read_certificates(self, connection: Connection) -> None:
        """Ask for stored births before anything else: what comes later needs them."""
        if self._settings.sparkplug_certificates:
            group = self._settings.sparkplug_group
            topics = (f"{CERTIFICATES}{NAMESPACE}/{group}/{verb}/#" for verb in ("NBIRTH", "DBIRTH"))
            with suppress(SubscribeRefusedError):  # a broker that offers none may refuse
                await connection.subscribe(*(Subscription(topic) for topic in topics))

    def _publish_legacy(self, connection: Connection, word: bytes) -> None:
        if self._settings.sparkplug_legacy_state:
            connection.publish(self._presence.legacy_topic, word, qos=1, retain=True)

    def _on_connection(self, connected: bool, reason: str) -> None:
        self._metrics.connected.set(connected)
        self._log.info("mqtt_connected" if connected else "mqtt_not_connected", reason=reason)
        if not connected:
            self._inbox.after_all(self._on_cut_off)

    def _on_cut_off(self) -> None:
        outputs = self.state.connection_lost(_monotonic())
        if outputs and not self._stopping.is_set():
            self._log.warning("edge_nodes_stale", cause="host_cut_off", edge_nodes=len(outputs))
        self._act(outputs)

    def _set_paused(self, paused: bool) -> None:
        if self._link is not None and self._link.is_open:
            self._link.set_paused(paused)

    def _on_message(self, message: Message) -> None:
        started = time.perf_counter()
        name = message.topic.removeprefix(CERTIFICATES)
        try:
            topic = parse_topic(name, accept_short_form=self._settings.sparkplug_short_form)
        except DecodeError as exc:
            self._metrics.bad_topics.inc()
            self._warn("bad_topic", started, error=str(exc))
        else:
            if isinstance(topic, StateTopic):
                self._on_state(message)
            elif self._settings.sparkplug_group in (topic.group, "+"):
                handle = self._on_sparkplug if name == message.topic else self._on_certificate
                self._inbox.add(message.payload, partial(self._settle, handle, topic, message, started))
                return
        message.ack()
        self._metrics.processing.observe(time.perf_counter() - started)

    def _settle(
        self,
        handle: Callable[[Topic, Message, Content, float], None],
        topic: Topic,
        message: Message,
        started: float,
        content: Content,
    ) -> None:
        try:
            handle(topic, message, content, started)
        finally:
            message.ack()
            self._metrics.processing.observe(time.perf_counter() - started)

    def _on_sparkplug(self, topic: Topic, message: Message, content: Content, started: float) -> None:
        now = _monotonic()
        if message.retain:
            self._warn("retained_message", started, topic=message.topic)
            self.state.receive_retained(topic, now)
        elif not message.payload:
            self._life.info("retained_message_cleared", topic=message.topic)
            self._act(self.state.receive_empty(topic, now))
        elif isinstance(content, DecodeError):
            size, error = len(message.payload), str(content)
            self._warn("bad_payload", started, topic=message.topic, size=size, error=error)
            budget = content.budget if isinstance(content, BudgetError) else None
            self._act(self.state.receive_undecodable(topic, now, budget))
        else:
            self._act(self.state.receive(topic, content, now))
            if topic.message_type in BIRTHS:
                self._on_birth(topic, content)

    def _on_certificate(self, topic: Topic, _message: Message, content: Content, _started: float) -> None:
        if isinstance(content, Payload):  # it is of no use otherwise
            self.state.receive_certificate(topic, content, _monotonic())

    def _on_values(self, topic: Topic, unit: UnitState, payload: Payload) -> None:
        self.events.values(topic, unit, payload)
        self.outcomes.take(topic, unit, payload)

    def _on_birth(self, topic: Topic, payload: Payload) -> None:
        node = self.state.nodes.get((topic.group, topic.edge_node))
        if node is None:
            return
        unit = node.unit if topic.device is None else node.devices.get(topic.device)
        if unit is not None and unit.online:
            self.outcomes.take(topic, unit, payload)

    def _on_state(self, message: Message) -> None:
        if message.topic != self._presence.topic:
            return
        answer = self._presence.on_own_state(message.payload, retained=message.retain)
        if answer is not None and self._introduced is not None and not message.retain:
            self._introduced.publish(message.topic, answer, qos=1, retain=True)

    def _act(self, outputs: list[Output]) -> None:
        self.events.outputs(outputs)
        for output in outputs:
            if isinstance(output, LifeEvent):
                self._tell(output)
            elif isinstance(output, Refusal):
                self._warn(
                    "refused",
                    time.perf_counter(),
                    topic=str(output.topic),
                    metric=output.metric,
                    reason=output.reason,
                    count=output.count,
                )
            elif self._connection is not None:
                topic = Topic(MessageType.NCMD, output.group, output.edge_node)
                with_datatypes = self._settings.has_datatypes(output.group, output.edge_node)
                payload = encode_rebirth_request(_utc(), with_datatypes=with_datatypes)
                self._connection.publish(str(topic), payload)
                self._metrics.commands.labels("rebirth").inc()

    def _tell(self, event: LifeEvent) -> None:
        why = {} if event.cause is None else {"cause": event.cause.value}
        self._life.info(
            event.change.value, group=event.group, edge_node=event.edge_node, device=event.device, **why
        )

    def _tell_limits(self) -> None:
        """Say that something is not kept, for nobody would look at a counter who does not know."""
        for limit, count in self.state.counters.over_limit.items():
            if count > self._over_limit[limit]:
                self._over_limit[limit] = count
                self._warn("over_limit", time.perf_counter(), limit=limit.value, ignored=count)

    def _set_epoch(self) -> None:
        self.state.epoch = _utc() - _monotonic()

    def _connected(self) -> Connection:
        if self._connection is None or not self._connection.is_open:
            raise MqttError("not connected to the broker")
        return self._connection


def _monotonic() -> int:
    return time.monotonic_ns() // 1_000_000


def _utc() -> int:
    return time.time_ns() // 1_000_000
