"""The Sparkplug side of a device: one edge node with the asset behind it, fed from the device's state."""

from typing import Final

from device_simulator import objects, tree_write, type_metrics
from device_simulator.assets import ASSET, BATTERY, READ_ONLY, SEQUENCE, UPTIME, Asset, assets_of
from device_simulator.ledger import Stream
from device_simulator.state import DeviceState, World
from device_simulator.tree import OperationError, Tree
from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m.message import Record
from iiot.lwm2m.path import Path
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import (
    EdgeNode,
    Message,
    MetricDefinition,
    NextServerRequested,
    RebirthRequested,
    Values,
    Write,
)
from iiot.sparkplug.payload import NEXT_SERVER, Value
from iiot.sparkplug.store import ChangeFilter, Sample, SampleStore

REBOOT: Final = "Node Control/Reboot"
LIFETIME: Final = "LwM2M/Lifetime"

_NODE_METRICS: Final = (
    MetricDefinition(REBOOT, DataType.BOOLEAN, writable=True),
    MetricDefinition(NEXT_SERVER, DataType.BOOLEAN, writable=True),
    MetricDefinition("Properties/Manufacturer", DataType.STRING, properties=READ_ONLY),
    MetricDefinition("Properties/Model", DataType.STRING, properties=READ_ONLY),
    MetricDefinition("Properties/Serial Number", DataType.STRING, properties=READ_ONLY),
    MetricDefinition("Properties/Firmware", DataType.STRING, properties=READ_ONLY),
    MetricDefinition(LIFETIME, DataType.INT64, writable=True),
    MetricDefinition(SEQUENCE, DataType.INT64, properties=READ_ONLY),
)


class SparkplugNode:
    """One device as a Sparkplug edge node; it makes messages, publishing them is the caller's.

    Attributes:
        edge: the protocol's state machine.
        next_server_wanted: set by a command; the connection acts on it.
        rebirth_wanted: `births` are due, and until they are made no data is: a host asked for them, or a
            device appeared that those of this session left out, and all DBIRTHs come before data (Sparkplug
            3.0, payloads-dbirth-order).
        refused: commands that could not be carried out.
        store: samples of a lost connection; None when the group stores nothing.
    """

    __slots__ = (
        "_announced",
        "_assets",
        "_filters",
        "_full_at",
        "_group",
        "_lifetime_sent",
        "_names",
        "_state",
        "_stream",
        "_switch",
        "_tree",
        "_turn",
        "_types",
        "_world",
        "edge",
        "next_server_wanted",
        "rebirth_wanted",
        "refused",
        "store",
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
        self._lifetime_sent = 0
        self.refused = 0
        self.next_server_wanted = self.rebirth_wanted = False
        self._announced: set[str] = set()
        plan = self._group.sparkplug
        self.store = SampleStore(plan.store.capacity, plan.store.drop) if plan.store else None
        per_channel, datatypes = plan.devices == "per_channel", plan.datatypes
        self._assets = assets_of(kind, per_channel=per_channel, datatypes=datatypes)
        self._types = type_metrics.first_values() if datatypes else {}
        self._turn = 0
        self._filters = {asset.name: ChangeFilter(self._deadbands()) for asset in self._assets}
        self._full_at = {asset.name: 0.0 for asset in self._assets}
        self.edge = EdgeNode(
            group_id,
            state.plan.id,
            (*_NODE_METRICS, type_metrics.DEFINITION) if datatypes else _NODE_METRICS,
            {asset.name: asset.metrics for asset in self._assets},
            bd_seq=bd_seq,
            aliases=plan.aliases,
            primary_host=plan.primary_host,
        )

    def births(self, now: float) -> list[Message]:
        """NBIRTH and DBIRTH, for a new connection or a rebirth; `now` in monotonic s."""
        self._state.sample(now)
        messages = self.edge.births(self._world.timestamp(), self._birth_values)
        for asset in self._assets:
            self._reported_all(asset, now)
        self._announced = {asset.name for asset in self._assets if self.edge.is_born(asset.name)}
        self.rebirth_wanted = False
        return messages

    def telemetry(self, now: float) -> Message | None:
        """The message that is due at `now` (monotonic s); None when report-on-change has nothing to tell.

        It is the DDATA of the device whose turn it is, or its DDEATH or DBIRTH when a sensor failed or
        recovered; None as well when `rebirth_wanted`.
        """
        if self.rebirth_wanted:
            return None
        self._state.sample(now)
        for _ in self._assets:
            asset = self._next_asset()
            if self._has_failed(asset):
                if self.edge.is_born(asset.name):
                    return self.edge.device_death(asset.name, self._world.timestamp())
                continue
            if not self.edge.is_born(asset.name):
                if asset.name not in self._announced:
                    self.rebirth_wanted = True
                    return None
                self._reported_all(asset, now)
                values = self._asset_values(asset) | self._number()
                return self.edge.device_birth(asset.name, self._world.timestamp(), values)
            due = self._due(asset, now)
            if due is None:
                return None
            return self.edge.data(asset.name, due | self._number(), self._world.timestamp())
        return None

    def record(self, now: float) -> None:
        """Store the values that are due at `now` (monotonic s), for there is no connection."""
        if self.store is None:
            return
        self._state.sample(now)
        asset = self._next_asset()
        values = None if self._has_failed(asset) else self._due(asset, now)
        if values is not None:
            self.store.put(Sample(asset.name, self._world.timestamp(), values))

    def forward(self) -> Message | None:
        """The oldest stored sample as historical data; None when there is none, or its device is dead."""
        if self.rebirth_wanted or self.store is None or self.store.first is None:
            return None
        if not self.edge.is_born(self.store.first.device):
            return None
        (sample,) = self.store.take(1)
        values = {**sample.values, **self._number()}
        return self.edge.data(sample.device, values, self._world.timestamp(), acquired=sample.acquired)

    def _next_asset(self) -> Asset:
        asset = self._assets[self._turn]
        self._turn = (self._turn + 1) % len(self._assets)
        return asset

    def _has_failed(self, asset: Asset) -> bool:
        return self._group.sparkplug.failures and any(self._state.values[i] is None for i in asset.sensors)

    def _reported_all(self, asset: Asset, now: float) -> None:
        self._filters[asset.name].reset(self._readings_of(asset))
        self._full_at[asset.name] = now

    def _due(self, asset: Asset, now: float) -> dict[str, Value | None] | None:
        """What a device reports at `now`, without its number; None when nothing changed."""
        values = self._readings_of(asset)
        policy = self._group.on_change
        if policy is not None and now - self._full_at[asset.name] >= policy.heartbeat:
            self._reported_all(asset, now)
        elif policy is not None or self._group.metrics == "changed":
            changed = self._filters[asset.name].select(values)
            if policy is not None and not changed:
                return None
            if self._group.metrics == "changed":
                values = changed
        return self._completed(asset, values)

    def _number(self) -> dict[str, Value | None]:
        return {SEQUENCE: self._stream.next()}

    def _readings_of(self, asset: Asset) -> dict[str, Value | None]:
        values = self._readings()
        if len(self._assets) > 1:
            values = {name: value for name, value in values.items() if name in asset.names}
        return values

    def _asset_values(self, asset: Asset) -> dict[str, Value | None]:
        return self._completed(asset, self._readings_of(asset))

    def _completed(self, asset: Asset, values: dict[str, Value | None]) -> dict[str, Value | None]:
        if asset.name == ASSET:
            return {**values, UPTIME: self._state.uptime}
        if asset.name == type_metrics.DEVICE:
            return type_metrics.current(values, self._world.timestamp())
        return values

    def node_changes(self) -> list[Message]:
        """The NDATA that tells of a changed node metric, if one changed since the last birth or NDATA."""
        if self.rebirth_wanted or self._state.lifetime == self._lifetime_sent:
            return []
        self._lifetime_sent = self._state.lifetime
        values: Values = {LIFETIME: self._state.lifetime, SEQUENCE: self._stream.next()}
        return [self.edge.data(None, values, self._world.timestamp())]

    def receive(self, topic: str, payload: bytes) -> list[Message]:
        """Act on NCMD or DCMD; what to publish in answer, at once; `rebirth_wanted` tells of births.

        Raises:
            DecodeError: not a Sparkplug message.
        """
        answers: list[Message] = []
        for action in self.edge.receive(topic, payload):
            if isinstance(action, RebirthRequested):
                self.rebirth_wanted = True
            elif isinstance(action, Write):
                answers += self._write(action)
            elif isinstance(action, NextServerRequested):
                self.next_server_wanted = True
            else:
                self.refused += 1
        return answers

    def _write(self, write: Write) -> list[Message]:
        if write.name == REBOOT:
            self._state.reboot_wanted = write.value is True
            return []
        if write.device == type_metrics.DEVICE:
            return self._write_type(write)
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
        if self.rebirth_wanted or not self.edge.is_born(ASSET):
            return []
        values: Values = {write.name: self._state.sensors.is_on, SEQUENCE: self._stream.next()}
        return [self.edge.data(ASSET, values, self._world.timestamp())]

    def _write_type(self, write: Write) -> list[Message]:
        try:
            type_metrics.write(self._types, write.name, write.value)
        except DecodeError:
            self.refused += 1
            return []
        if self.rebirth_wanted or not self.edge.is_born(write.device):
            return []
        now = self._world.timestamp()
        written = type_metrics.current({write.name: self._types[write.name]}, now)
        return [self.edge.data(write.device, written | self._number(), now)]

    def _readings(self) -> dict[str, Value | None]:
        values: dict[str, Value | None] = dict(zip(self._names, self._state.values, strict=True))
        values[BATTERY] = self._state.battery_level
        if self._switch:
            values[self._switch.metric] = self._state.sensors.is_on
        if self._types:
            values |= self._types
        return values

    def _birth_values(self, device: str | None) -> Values | None:
        if device is None:
            self._lifetime_sent = self._state.lifetime
            plan = self._state.plan
            defined = {type_metrics.TEMPLATE: type_metrics.definition(self._world.timestamp())}
            return {
                **(defined if self._types else {}),
                REBOOT: False,
                NEXT_SERVER: False,
                "Properties/Manufacturer": objects.MANUFACTURER,
                "Properties/Model": plan.kind.model_number,
                "Properties/Serial Number": objects.serial_number(plan.id),
                "Properties/Firmware": self._state.firmware.version,
                LIFETIME: self._state.lifetime,
                SEQUENCE: self._stream.next(),
            }
        asset = next(asset for asset in self._assets if asset.name == device)
        return None if self._has_failed(asset) else self._asset_values(asset) | self._number()

    def _deadbands(self) -> dict[str, float]:
        policy = self._group.on_change
        if policy is None:
            return {}
        if isinstance(policy.deadband, dict):
            return policy.deadband
        return dict.fromkeys(self._names, policy.deadband)
