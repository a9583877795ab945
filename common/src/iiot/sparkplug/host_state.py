"""What a host application knows of edge nodes, devices and metrics.

Made for ten thousand edge nodes in one process: slots, interned names, no object that is not needed.
All times are UTC, ms since 1970.
"""

from __future__ import annotations

from enum import StrEnum
from sys import intern
from typing import TYPE_CHECKING

from iiot.sparkplug.reorder import ReorderBuffer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iiot.sparkplug.composite import PropertySet
    from iiot.sparkplug.datatypes import DataType
    from iiot.sparkplug.payload import Metric, Payload, Value
    from iiot.sparkplug.topic import Topic

_QUALITY = "Quality"
_BAD = 0
_STALE = 500


class Quality(StrEnum):
    """How far a metric's value can be trusted."""

    GOOD = "good"
    BAD = "bad"
    STALE = "stale"


class MetricState:
    """The current value of one metric. `timestamp` is the value's, or the message's."""

    __slots__ = ("alias", "datatype", "name", "properties", "timestamp", "value")

    def __init__(self, name: str, metric: Metric, datatype: DataType, timestamp: int) -> None:
        self.name = name
        self.datatype = datatype
        self.value: Value | None = metric.value
        self.timestamp = timestamp
        self.alias = metric.alias
        self.properties: PropertySet | None = metric.properties


class UnitState:
    """An edge node itself or one of its devices: its metrics and its life.

    Attributes:
        online: born and not dead.
        stale: the values are not current: dead, or waiting for a birth.
        born_at, died_at, seen_at: 0 when it never happened. `seen_at` is the host's time.
        confirmed: None; or, where the births come from the broker's store and may be out of date, the
            metrics that were received since and are not stale.
    """

    __slots__ = ("aliases", "born_at", "confirmed", "died_at", "metrics", "online", "seen_at", "stale")

    def __init__(self) -> None:
        self.metrics: dict[str, MetricState] = {}
        self.aliases: dict[int, MetricState] | None = None
        self.online = False
        self.stale = True
        self.born_at = 0
        self.died_at = 0
        self.seen_at = 0
        self.confirmed: set[str] | None = None

    def find(self, metric: Metric) -> MetricState | None:
        """The state that a metric of a DATA message belongs to."""
        if metric.name is not None:
            return self.metrics.get(metric.name)
        if self.aliases is None or metric.alias is None:
            return None
        return self.aliases.get(metric.alias)

    def quality(self, metric: MetricState) -> Quality:
        """Stale after a death, else what the metric's `Quality` property says, else good."""
        if self.stale or (self.confirmed is not None and metric.name not in self.confirmed):
            return Quality.STALE
        declared = None if metric.properties is None else metric.properties.get(_QUALITY)
        if declared is None:
            return Quality.GOOD
        if declared.value == _STALE:
            return Quality.STALE
        return Quality.BAD if declared.value == _BAD else Quality.GOOD

    def born(self, payload: Payload, now: int) -> None:
        """Take over all metrics of a birth; what was known before is forgotten."""
        born_at = now if payload.timestamp is None else payload.timestamp
        self.metrics = {}
        self.aliases = None
        for metric in payload.metrics:
            if metric.name is None or metric.datatype is None:
                continue
            name = intern(metric.name)
            # The shared int spares memory: most metrics are born with their message's own time.
            timestamp = born_at if metric.timestamp in (None, born_at) else metric.timestamp
            state = self.metrics[name] = MetricState(name, metric, metric.datatype, timestamp)
            if metric.alias is not None:
                if self.aliases is None:
                    self.aliases = {}
                self.aliases[metric.alias] = state
        self.online, self.stale, self.born_at, self.confirmed = True, False, born_at, None

    def restored(self, payload: Payload, now: int) -> None:
        """Take over a stored birth: it tells the metrics, and values that nobody vouches for."""
        self.born(payload, now)
        self.online, self.stale, self.confirmed = False, True, set()


class NodeState:
    """An edge node with its devices.

    Attributes:
        unit: the edge node's own metrics and life.
        bd_seq: of the current session, or of the last one that is known to have ended.
        order: the seq that is due, and messages that came too early.
        short_form: it sends topics without the edge node's level.
        restored: known only by its stored births; the first message tells that it is online.
        replaced_bd_seq: of a session that was replaced before its NDEATH came.
        duplicate: two publishers seem to use its id.
        ended: when its last NDEATH came, on the clock of the host's state machine; None: never.
        odd_births: births after a death whose bdSeq does not follow that of the session before.
        gaps, reordered, rebirth_requests, births, replaced: counts since the host started.
    """

    __slots__ = (
        "bd_seq", "births", "devices", "duplicate", "edge_node", "ended", "gaps", "group", "odd_births",
        "order", "rebirth_requests", "reordered", "replaced", "replaced_bd_seq", "restored", "short_form",
        "unit",
    )  # fmt: skip

    def __init__(self, group: str, edge_node: str) -> None:
        self.group = group
        self.edge_node = edge_node
        self.unit = UnitState()
        self.devices: dict[str, UnitState] = {}
        self.bd_seq: int | None = None
        self.order: ReorderBuffer[tuple[Topic, Payload]] = ReorderBuffer()
        self.short_form = False
        self.gaps = 0
        self.reordered = 0
        self.rebirth_requests = 0
        self.births = 0
        self.restored = False
        self.replaced = 0
        self.replaced_bd_seq: int | None = None
        self.duplicate = False
        self.odd_births = 0
        self.ended: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Group id and edge node id."""
        return (self.group, self.edge_node)

    @property
    def is_online(self) -> bool:
        """A device that sends the short form makes its node count, too: no node birth ever comes."""
        return any(unit.online for unit in self.units())

    def units(self) -> Iterator[UnitState]:
        """The edge node's own unit, then its devices."""
        yield self.unit
        yield from self.devices.values()
