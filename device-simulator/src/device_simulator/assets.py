"""Which Sparkplug devices an edge node has, and which metrics each of them."""

from dataclasses import dataclass, field
from typing import Final

from device_simulator import type_metrics
from device_simulator.kind import Kind
from iiot.sparkplug.composite import Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import MetricDefinition

ASSET: Final = "asset"
"""Sparkplug device id of the measuring part behind the edge node."""
BATTERY: Final = "Battery/Level"
UPTIME: Final = "Device/Uptime"
SEQUENCE: Final = "Ledger/Sequence"
READ_ONLY: Final = {"readOnly": Property(DataType.BOOLEAN, True)}
"""Properties that tell hosts that nobody may write the metric."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One Sparkplug device.

    Attributes:
        name: its device id.
        metrics: what it reports.
        sensors: positions of the channels that fail when a sensor does not answer.
        names: of its metrics.
    """

    name: str
    metrics: tuple[MetricDefinition, ...]
    sensors: tuple[int, ...]
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", frozenset(metric.name for metric in self.metrics))


def assets_of(kind: Kind, *, per_channel: bool, datatypes: bool = False) -> tuple[Asset, ...]:
    """The devices of an edge node of this kind, `asset` first.

    With `per_channel`, each channel is a device of its own, named after the last level of its metric in
    lower case; supply, uptime and the switched output stay with `asset`. With `datatypes`, there is one more.
    """
    sequence = MetricDefinition(SEQUENCE, DataType.INT64, properties=READ_ONLY)
    found = _measuring(kind, sequence, per_channel=per_channel)
    if datatypes:
        found += (Asset(type_metrics.DEVICE, (*type_metrics.METRICS, sequence), ()),)
    return found


def _measuring(kind: Kind, sequence: MetricDefinition, *, per_channel: bool) -> tuple[Asset, ...]:
    channels = [
        MetricDefinition(channel.metric, DataType.DOUBLE, properties=READ_ONLY) for channel in kind.channels
    ]
    sensors = [i for i, channel in enumerate(kind.channels) if channel.signal]
    common = [
        MetricDefinition(BATTERY, DataType.INT32, properties=READ_ONLY),
        MetricDefinition(UPTIME, DataType.INT64, properties=READ_ONLY),
        sequence,
    ]
    if kind.switch:
        common.append(MetricDefinition(kind.switch.metric, DataType.BOOLEAN, writable=True))
    if not per_channel:
        return (Asset(ASSET, (*channels, *common), tuple(sensors)),)
    return (
        Asset(ASSET, tuple(common), ()),
        *(
            Asset(_device_id(metric.name), (metric, sequence), (i,) if i in sensors else ())
            for i, metric in enumerate(channels)
        ),
    )


def _device_id(metric: str) -> str:
    return metric.rpartition("/")[2].lower().replace(" ", "-")
