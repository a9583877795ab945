"""One device's connection: the order of its messages, its two streams, commands, reconnect and clean stop."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from device_simulator.bdseq import BdSeqStore
from device_simulator.firmware import Result, State
from device_simulator.firmware_download import download
from device_simulator.firmware_store import FirmwareStore
from device_simulator.host_gate import HostGate
from device_simulator.ledger import Stream
from device_simulator.lwm2m_client import Lwm2mClient
from device_simulator.lwm2m_wire import Publication, wire_of
from device_simulator.metrics import Stats
from device_simulator.presets import preset_instances
from device_simulator.profile import DevicePlan
from device_simulator.schedule import Schedule, Series
from device_simulator.servers import ServerList
from device_simulator.settings import SimulatorSettings
from device_simulator.soon import Soon
from device_simulator.sparkplug_node import SparkplugNode
from device_simulator.state import FACTORY_FIRMWARE, DeviceState, World
from device_simulator.tree import Tree
from iiot.errors import DecodeError, MessageTooLargeError, MqttError
from iiot.mqtt import Connection, ConnectOptions, Message, Subscription, Will
from iiot.settings import MqttSettings
from iiot.sparkplug.topic import NAMESPACE
from iiot.telemetry import get_logger

if TYPE_CHECKING:
    from pathlib import Path

FAREWELL_TIMEOUT: Final = 3.0
"""s that a stopping device waits for the broker to acknowledge its last messages."""

MAX_IN_FLIGHT: Final = 1000
"""QoS 1 messages without PUBACK, above which a device holds back its reports."""
TICK: Final = (0.1, 1.0)
"""Shortest and longest s between two looks at observations and timers; in between, LWM2M_INTERVAL."""

log = get_logger(__name__)


class Device:
    """A simulated device over all its connections.

    Attributes:
        streams: the ledger's streams of this device.
        client: its LwM2M side.
        node: its Sparkplug side.
        connection: the MQTT connection in use, None between two.
    """

    def __init__(
        self,
        plan: DevicePlan,
        settings: SimulatorSettings,
        world: World,
        tree: Tree[DeviceState],
        schedule: Schedule,
        stats: Stats,
        bd_seqs: BdSeqStore,
        first_number: int,
    ) -> None:
        group = plan.group
        self.id = plan.id
        self._world = world
        self._schedule = schedule
        self._stats = stats
        self._bd_seqs = bd_seqs
        self._burst = group.burst
        self._store = group.sparkplug.store
        self._is_mqtt_5 = settings.mqtt_version == "5"
        self._telemetry_interval = group.telemetry_interval or settings.telemetry_interval
        self._lwm2m_interval = group.lwm2m_interval or settings.lwm2m_interval
        wire = wire_of(plan, settings, tree.definitions)
        sleep = group.sleep or settings.sleep
        self._state = DeviceState(
            plan,
            world,
            self._telemetry_interval,
            settings.lwm2m_lifetime,
            binding=wire.binding if sleep is None or "Q" in wire.binding else f"{wire.binding}Q",
            firmware=group.firmware or settings.firmware,
        )
        self._state.preset(preset_instances(tree, group.objects))
        self.streams = tuple(Stream(plan.id, name, first_number) for name in ("sparkplug", "lwm2m"))
        self.node = SparkplugNode(
            settings.sparkplug_group, self._state, tree, self.streams[0], world, bd_seqs.upcoming(plan.id)
        )
        self._firmware_store = FirmwareStore(settings.state_dir / "firmware")
        self._state.firmware.version = self._firmware_store.version(plan.id) or FACTORY_FIRMWARE
        self.client = Lwm2mClient(
            self._state,
            tree,
            self.streams[1],
            world,
            settings.lwm2m_update_every,
            wire=wire,
            sleep=sleep,
            bootstrap=settings.lwm2m_bootstrap,
            profile_id=settings.lwm2m_profile_id,
        )
        self.connection: Connection | None = None
        self._series: tuple[Series, ...] = ()
        self._draining: Series | None = None
        self._servers = ServerList(settings.servers)
        self._rebirth = Soon(self._send_rebirth)
        self._gate = HostGate(self.node.edge, self._servers)
        self._ticks: Series | None = None
        self._download: asyncio.Task[None] | None = None
        self._ca: Path | None = None
        self._unacknowledged: list[tuple[str, bytes]] = []
        self._leaving = asyncio.Event()
        self._stopping = False
        self._connects = 0

    def options(self, mqtt: MqttSettings) -> ConnectOptions:
        """What goes into a CONNECT: the NDEATH of the coming session is the will (Sparkplug 3.0 §5.4)."""
        self._ca = mqtt.mqtt_ca
        return ConnectOptions(client_id=self.id, settings=self._servers.take(mqtt), will=self._next_will)

    async def session(self, connection: Connection) -> None:
        """Live on one connection, until the device is told to leave, or reboots.

        Raises:
            MqttError: the connection was lost, the broker refused a subscription, or takes no packets as
                large as a birth.
        """
        sparkplug = (Subscription(topic_filter, qos=1) for topic_filter in self.node.edge.subscriptions)
        self._gate.shut()
        if not self._stopping:
            self._leaving.clear()
        await connection.subscribe(*sparkplug, *self.client.wire.subscriptions())
        self._servers.answered()
        if not await self._gate.wait(self._leaving):
            await connection.disconnect()
            return
        self.node.edge.max_packet_size = connection.max_packet_size
        self.connection = connection
        try:
            self._introduce()
            await self._leaving.wait()
            await self._say_farewell(connection)
        except MessageTooLargeError as exc:
            log.warning("message_too_large", device=self.id, reason=str(exc))
            raise MqttError(str(exc)) from exc
        finally:
            self._pause()
            self._unacknowledged = [
                (topic, payload)
                for topic, payload in connection.unacknowledged()
                if not topic.startswith(NAMESPACE)
            ]
            self.connection = None
            await self._end_download()
            if not self._stopping:
                self._record()

    def stop(self) -> None:
        """Leave in good order and do not come back."""
        self._stopping = True
        self._leaving.set()

    def receive(self, message: Message) -> None:
        """Act on a message of a host application or the LwM2M server."""
        speaking = self.connection is not None
        about_host = self._gate.hear(message.topic, message.payload, self._leaving, speaking=speaking)
        if about_host or not speaking:
            message.ack()  # not introduced yet, or saying farewell
            return
        try:
            self._obey(message)
        except DecodeError as exc:
            protocol = "sparkplug" if message.topic.startswith(NAMESPACE) else "lwm2m"
            self._stats.commands[protocol, "refused"] += 1
            log.warning("message_not_understood", device=self.id, topic=message.topic, reason=str(exc))
        except MqttError as exc:
            log.info("answer_lost", device=self.id, topic=message.topic, reason=str(exc))
        finally:
            message.ack()
        self._follow_up()

    def _obey(self, message: Message) -> None:
        if message.retain:  # it would come again on each connection: a reboot without end
            raise DecodeError("a retained command")
        if message.topic.startswith(NAMESPACE):
            self._receive_sparkplug(message)
        else:
            self._receive_lwm2m(message)

    def _receive_sparkplug(self, message: Message) -> None:
        now, refused = self._world.monotonic(), self.node.refused
        self._publish(self.node.receive(message.topic, message.payload))
        self._publish_lwm2m(self.client.changed(now))
        self._stats.count_command(self.id, "sparkplug", self.node.refused > refused)

    def _receive_lwm2m(self, message: Message) -> None:
        rejected, sent = self.client.rejected, self._stats.sent["resp"]
        self._publish_lwm2m(self.client.receive(message.topic, message.payload, self._world.monotonic()))
        self._publish(self.node.node_changes())
        if self._stats.sent["resp"] > sent:
            self._stats.count_command(self.id, "lwm2m", self.client.rejected > rejected)

    def _follow_up(self) -> None:
        # What a command, or time, set in motion.
        if self.node.rebirth_wanted:
            self._rebirth.ask()
        if self.node.next_server_wanted:
            self._servers.move_on()
            self.node.next_server_wanted = False
            self._leaving.set()
        if self._state.reboot_wanted:
            self._leaving.set()
        uri = self._state.firmware.start_download()
        if uri is not None:
            self._download = asyncio.create_task(self._pull(uri), name=f"download {self.id}")
        elif self._download is not None and self._state.firmware.state is not State.DOWNLOADING:
            self._download.cancel()
        if self.client.needs_ticks and self._ticks is None:
            interval = min(max(self._lwm2m_interval, TICK[0]), TICK[1])
            self._ticks = Series(self._world.monotonic() + interval, interval, self._tick)
            self._schedule.add(self._ticks)

    async def _pull(self, uri: str) -> None:
        outcome = await download(uri, self._state.firmware.flash, self._ca)
        self._state.firmware.downloaded(outcome, self._world.monotonic())

    async def _end_download(self) -> None:
        task, self._download = self._download, None
        if task is None:
            return
        if not task.done():
            task.cancel()
            self._state.firmware.downloaded(Result.CONNECTION_LOST, self._world.monotonic())
        await asyncio.gather(task, return_exceptions=True)

    def _next_will(self) -> Will:
        self._bd_seqs.record(self.id, self.node.edge.upcoming_bd_seq)
        will = self.node.edge.next_will(str(self._servers.current))
        return Will(will.topic, will.payload, will.qos)

    def _introduce(self) -> None:
        # One piece without an await, so that nothing comes between the births and their order is kept.
        now = self._world.monotonic()
        state = self._state
        booted = not self._connects or state.reboot_wanted
        if booted:
            state.boot(now)
        state.reboot_wanted = False
        self._stats.reconnects += bool(self._connects)
        self._connects += 1
        self._publish(self.node.births(now))
        self._publish_lwm2m(self.client.connected(now, booted=booted))
        self._stats.resent += len(self._unacknowledged)
        for topic, payload in self._unacknowledged:
            self._open_connection().publish(topic, payload, qos=1)
        self._unacknowledged = []
        self._resume(now)
        self._follow_up()

    def _send_rebirth(self) -> None:
        if self.connection is None or not self.connection.is_open or not self.node.rebirth_wanted:
            return
        try:
            self._publish(self.node.births(self._world.monotonic()))
        except MessageTooLargeError as exc:
            log.warning("message_too_large", device=self.id, reason=str(exc))
            self._leaving.set()

    def _resume(self, now: float) -> None:
        place = self._state.phase
        telemetry, lwm2m = self._telemetry_interval, self._lwm2m_interval
        self._pause()
        self._start(
            Series(self._state.next_deadline(telemetry, place, now), telemetry, self._send_telemetry),
            Series(self._state.next_deadline(lwm2m, 1 - place, now), lwm2m, self._send_report),
        )
        if self._store is not None:
            pace = 1 / self._store.drain_rate
            self._draining = Series(now + pace, pace, self._forward)
            self._start(self._draining)

    def _record(self) -> None:
        """Go on sampling without a connection, when the group stores and forwards."""
        if self._store is not None:
            deadline = self._state.next_deadline(
                self._telemetry_interval, self._state.phase, self._world.monotonic()
            )
            self._start(Series(deadline, self._telemetry_interval, self._send_telemetry))

    def _start(self, *series: Series) -> None:
        self._series += series
        for one in series:
            self._schedule.add(one)

    def _pause(self) -> None:
        for series in self._series:
            series.active = False
        self._series = ()

    async def _say_farewell(self, connection: Connection) -> None:
        self._pause()
        if self._stopping:
            self._publish_lwm2m([self.client.deregister()])
        self.connection = None
        death = self.node.edge.node_death()
        self._stats.count_sent(death.topic)
        # The broker acknowledges in order, so with this one all before it have arrived.
        has_arrived = False
        with suppress(MqttError):
            await connection.publish_acked(death.topic, death.payload, timeout=FAREWELL_TIMEOUT)
            has_arrived = True
        # MQTT 5 demands the will; with 3.1.1 it comes only of a socket that closes without DISCONNECT.
        await connection.disconnect(send_will=self._is_mqtt_5 or not has_arrived)

    def _send_telemetry(self, deadline: float) -> bool:
        connection = self.connection
        if connection is None or not connection.is_open:
            if self._store is None:
                self._pause()
            else:
                self.node.record(deadline)
            return True
        if connection.is_congested:
            return False
        if self._burst is not None:
            factor = self._burst.factor_at(deadline, self._state.phase)
            self._series[0].interval = self._telemetry_interval / factor
        message = self.node.telemetry(deadline)
        if message is not None:
            connection.publish(message.topic, message.payload)
            self._stats.count_sent(message.topic)
        elif self.node.rebirth_wanted:
            self._rebirth.ask()
        return True

    def _forward(self, _deadline: float) -> bool:
        connection = self.connection
        if connection is None or not connection.is_open:
            return True
        if connection.is_congested:
            return False
        message = self.node.forward()
        if message is not None:
            self._publish([message])
        elif self._draining is not None and not self.node.store:
            self._draining.active = False
        return True

    def _send_report(self, deadline: float) -> bool:
        connection = self.connection
        if connection is None or not connection.is_open:
            self._pause()
            return True
        if _is_full(connection):
            return False
        report = self.client.report(deadline)
        if report is not None:
            self._publish_lwm2m([report])
        return True

    def _tick(self, deadline: float) -> bool:
        connection = self.connection
        online = connection is not None and connection.is_open
        if connection is not None and online and _is_full(connection):
            return False
        version = self._state.firmware.version
        messages = self.client.tick(deadline, online=online)
        if self._state.firmware.version != version:
            self._firmware_store.save(self.id, self._state.firmware.version)
        if online:
            self._publish_lwm2m(messages)
        if not self.client.needs_ticks and self._ticks is not None:
            self._ticks.active, self._ticks = False, None
        self._follow_up()
        return True

    def _publish(self, messages: Iterable[tuple[str, bytes, int]]) -> None:
        connection = self._open_connection()
        for topic, payload, *_ in messages:
            connection.publish(topic, payload)
            self._stats.count_sent(topic)

    def _publish_lwm2m(self, messages: Iterable[Publication]) -> None:
        connection = self._open_connection()
        for topic, payload, kind in messages:
            connection.publish(topic, payload, qos=1)
            self._stats.sent[kind] += 1

    def _open_connection(self) -> Connection:
        if self.connection is None:
            raise MqttError("not connected")
        return self.connection


def _is_full(connection: Connection) -> bool:
    return connection.is_congested or connection.in_flight >= MAX_IN_FLIGHT
