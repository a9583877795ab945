"""The Sparkplug side of a device: one edge node with the asset behind it, fed from the device's state."""

from collections.abc import Iterable
from typing import Final

from device_simulator import objects, tree_write
from device_simulator.ledger import Stream
from device_simulator.state import DeviceState, World
from device_simulator.tree import OperationError, Tree
from iiot.errors import InvalidValueError
from iiot.lwm2m.message import Record
from iiot.lwm2m.path import Path
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode, Message, MetricDefinition, RebirthRequested, Values, Write
from iiot.sparkplug.payload import Value
from iiot.sparkplug.store import ChangeFilter

ASSET: Final = "asset"
"""Sparkplug device id of the measuring part behind the edge node."""
BATTERY: Final = "Battery/Level"
UPTIME: Final = "Device/Uptime"
SEQUENCE: Final = "Ledger/Sequence"
REBOOT: Final = "Node Control/Reboot"
LIFETIME: Final = "LwM2M/Lifetime"

_NODE_METRICS: Final = (
    MetricDefinition(REBOOT, DataType.BOOLEAN, writable=True),
    MetricDefinition("Properties/Manufacturer", DataType.STRING),
    MetricDefinition("Properties/Model", DataType.STRING),
    MetricDefinition("Properties/Serial Number", DataType.STRING),
    MetricDefinition("Properties/Firmware", DataType.STRING),
    MetricDefinition(LIFETIME, DataType.INT64, writable=True),
    MetricDefinition(SEQUENCE, DataType.INT64),
)


class SparkplugNode:
    """One device as a Sparkplug edge node; it makes messages, publishing them is the caller's.

    Attributes:
        edge: the protocol's state machine.
        refused: commands that could not be carried out.
    """

    __slots__ = (
        "_filter",
        "_full_at",
        "_group",
        "_lifetime_sent",
        "_names",
        "_state",
        "_stream",
        "_switch",
        "_tree",
        "_world",
        "edge",
        "refused",
    )

    def __init__(
        self,
        group_id: str,
        state: DeviceState,
        tree: Tree[DeviceState],
        stream: Stream,
        world: World,
        bd_seq: int,
    ) -> None:
        kind = state.plan.kind
        self._state = state
        self._tree = tree
        self._stream = stream
        self._world = world
        self._names = [channel.metric for channel in kind.channels]
        self._switch = kind.switch
        self._group = state.plan.group
        self._filter = ChangeFilter(self._deadbands())
        self._full_at = 0.0
        self._lifetime_sent = 0
        self.refused = 0
        metrics = list(_asset_metrics(self._names))
        if kind.switch:
            metrics.append(MetricDefinition(kind.switch.metric, DataType.BOOLEAN, writable=True))
        self.edge = EdgeNode(group_id, state.plan.id, _NODE_METRICS, {ASSET: metrics}, bd_seq=bd_seq)

    def births(self, now: float) -> list[Message]:
        """NBIRTH and DBIRTH, for a new connection or a rebirth; `now` in monotonic s."""
        self._state.sample(now)
        messages = self.edge.births(self._world.timestamp(), self._birth_values)
        self._filter.reset(self._readings())
        self._full_at = now
        return messages

    def telemetry(self, now: float) -> Message | None:
        """The DDATA that is due at `now` (monotonic s); None when report-on-change has nothing to tell."""
        self._state.sample(now)
        values: dict[str, Value | None] = self._readings()
        policy = self._group.on_change
        if policy is not None and now - self._full_at >= policy.heartbeat:
            self._full_at = now
            self._filter.reset(values)
        elif policy is not None or self._group.metrics == "changed":
            changed = self._filter.select(values)
            if policy is not None and not changed:
                return None
            if self._group.metrics == "changed":
                values = changed
        values[UPTIME] = self._state.uptime
        values[SEQUENCE] = self._stream.next()
        return self.edge.data(ASSET, values, self._world.timestamp())

    def node_changes(self) -> list[Message]:
        """The NDATA that tells of a changed node metric, if one changed since the last birth or NDATA."""
        if self._state.lifetime == self._lifetime_sent:
            return []
        self._lifetime_sent = self._state.lifetime
        values: Values = {LIFETIME: self._state.lifetime, SEQUENCE: self._stream.next()}
        return [self.edge.data(None, values, self._world.timestamp())]

    def receive(self, topic: str, payload: bytes, now: float) -> list[Message]:
        """Act on NCMD or DCMD; what to publish in answer, at once.

        Raises:
            DecodeError: not a Sparkplug message.
        """
        answers: list[Message] = []
        for action in self.edge.receive(topic, payload):
            if isinstance(action, RebirthRequested):
                answers += self.births(now)
            elif isinstance(action, Write):
                answers += self._write(action)
            else:
                self.refused += 1
        return answers

    def _write(self, write: Write) -> list[Message]:
        if write.name == REBOOT:
            self._state.reboot_wanted = write.value is True
            return []
        path = objects.LIFETIME
        if write.device is not None and self._switch:
            path = Path.parse(self._switch.path)
        value = write.value if isinstance(write.value, bool | int | float | str) else None
        try:
            tree_write.write(self._tree, self._state, (Record(path, value),))
        except (OperationError, InvalidValueError):
            self.refused += 1
            return []
        if write.device is None:
            return self.node_changes()
        values: Values = {write.name: self._state.sensors.is_on, SEQUENCE: self._stream.next()}
        return [self.edge.data(ASSET, values, self._world.timestamp())]

    def _readings(self) -> dict[str, Value | None]:
        values: dict[str, Value | None] = dict(zip(self._names, self._state.values, strict=True))
        values[BATTERY] = self._state.battery_level
        if self._switch:
            values[self._switch.metric] = self._state.sensors.is_on
        return values

    def _birth_values(self, device: str | None) -> Values:
        if device is None:
            self._lifetime_sent = self._state.lifetime
            plan = self._state.plan
            return {
                REBOOT: False,
                "Properties/Manufacturer": objects.MANUFACTURER,
                "Properties/Model": plan.kind.model_number,
                "Properties/Serial Number": objects.serial_number(plan.id),
                "Properties/Firmware": self._state.firmware.version,
                LIFETIME: self._state.lifetime,
                SEQUENCE: self._stream.next(),
            }
        return {**self._readings(), UPTIME: self._state.uptime, SEQUENCE: self._stream.next()}

    def _deadbands(self) -> dict[str, float]:
        policy = self._group.on_change
        if policy is None:
            return {}
        if isinstance(policy.deadband, dict):
            return policy.deadband
        return dict.fromkeys(self._names, policy.deadband)


def _asset_metrics(names: Iterable[str]) -> Iterable[MetricDefinition]:
    for name in names:
        yield MetricDefinition(name, DataType.DOUBLE)
    yield MetricDefinition(BATTERY, DataType.INT32)
    yield MetricDefinition(UPTIME, DataType.INT64)
    yield MetricDefinition(SEQUENCE, DataType.INT64)
