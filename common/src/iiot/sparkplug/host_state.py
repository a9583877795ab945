"""What a host application knows of edge nodes, devices and metrics.

Made for ten thousand edge nodes in one process: slots, interned names, no object that is not needed.
All times are UTC, ms since 1970.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, NamedTuple

from iiot.sparkplug.host_metric import MetricState, Quality
from iiot.sparkplug.reorder import ReorderBuffer
from iiot.sparkplug.weight import weight

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iiot.sparkplug.payload import Metric, Payload
    from iiot.sparkplug.topic import Topic

__all__ = ["MetricState", "NodeState", "Quality", "UnitState"]


class Ended(NamedTuple):
    """A session whose NDEATH came and whose NBIRTH did not: `at` is on the state machine's clock."""

    bd_seq: int
    at: int


class UnitState:
    """An edge node itself or one of its devices: its metrics and its life.

    Attributes:
        online: born and not dead.
        stale: the values are not current: dead, or waiting for a birth.
        born_at, died_at, seen_at: 0 when it never happened. `seen_at` is the host's time.
        confirmed: None; or, where the births come from the broker's store and may be out of date, the
            metrics that were received since and are not stale.
        weight: bytes of its metrics, as `weight` tells them.
    """

    __slots__ = (
        "aliases", "born_at", "confirmed", "died_at", "metrics", "online", "seen_at", "stale", "weight",
    )  # fmt: skip

    def __init__(self) -> None:
        self.metrics: dict[str, MetricState] = {}
        self.aliases: dict[int, MetricState] | None = None
        self.online = False
        self.stale = True
        self.born_at = 0
        self.died_at = 0
        self.seen_at = 0
        self.confirmed: set[str] | None = None
        self.weight = 0

    def find(self, metric: Metric) -> MetricState | None:
        """The state that a metric of a DATA message belongs to."""
        if metric.name is not None:
            return self.metrics.get(metric.name)
        if self.aliases is None or metric.alias is None:
            return None
        return self.aliases.get(metric.alias)

    def quality(self, metric: MetricState) -> Quality:
        """Stale after a death; else bad if the last value was refused; else what `Quality` says, or good."""
        if self.stale or (self.confirmed is not None and metric.name not in self.confirmed):
            return Quality.STALE
        return metric.quality()[0]

    def born(self, payload: Payload, now: int, most: int, room: int) -> int:
        """Take over the metrics of a birth; what was known before is forgotten.

        Metrics without a name are left out. Of several with one name the last counts; an alias that several
        have stands for none of them.

        Args:
            payload: the birth.
            now: the time where it tells none.
            most: metrics to take over.
            room: bytes that they may take.

        Returns:
            How many names were left out because they are too many or too large.
        """
        born_at = now if payload.timestamp is None else payload.timestamp
        self.metrics, self.aliases, self.weight = {}, None, 0
        taken: set[int] = set()
        left: set[str] = set()
        for metric in payload.metrics:
            if metric.name is None:
                continue
            before = self.metrics.get(metric.name)
            name = intern(metric.name)
            # The shared int spares memory: most metrics are born with their message's own time.
            timestamp = metric.timestamp
            if timestamp is None or timestamp == born_at:
                timestamp = born_at
            state = MetricState(name, metric, timestamp)
            added = weight(state) - (0 if before is None else weight(before))
            if (before is None and len(self.metrics) >= most) or self.weight + added > room:
                left.add(metric.name)
                continue
            self.weight += added
            if before is not None:
                self._remove_alias(before)
            self.metrics[name] = state
            if metric.alias is not None:
                self._add_alias(metric.alias, state, taken)
        self.online, self.stale, self.born_at, self.confirmed = True, False, born_at, None
        return len(left)

    def _remove_alias(self, before: MetricState) -> None:
        """Of an earlier metric of the same name."""
        if before.alias is not None and self.aliases is not None:
            del self.aliases[before.alias]

    def _add_alias(self, alias: int, state: MetricState, taken: set[int]) -> None:
        if self.aliases is None:
            self.aliases = {}
        other = self.aliases.get(alias)
        if alias in taken or (other is not None and other.name != state.name):
            taken.add(alias)
            state.alias = None
            if other is not None:
                other.alias = None
                del self.aliases[alias]
        else:
            self.aliases[alias] = state

    def doubt(self) -> None:
        """Its birth may be out of date: it tells the metrics, and values that nobody vouches for."""
        self.online, self.stale, self.confirmed = False, True, set()


class NodeState:
    """An edge node with its devices.

    Attributes:
        unit: the edge node's own metrics and life.
        bd_seq: of the current session, or of the last one that is known to have ended.
        order: the seq that is due, and messages that came too early.
        short_form: it sends topics without the edge node's level.
        restored: known only by births that may be out of date; the first message tells that it is online.
        replaced_bd_seq: of a session that was replaced before its NDEATH came.
        duplicate: two publishers seem to use its id.
        dead: its NDEATH came, and nothing since; False also while the host does not know.
        overtook: the last NDEATH that came before the NBIRTH of its session.
        unread: messages that could not be read since the last one whose seq is known.
        in_turn: data was received in its turn since the last NBIRTH.
        size, weight: metrics of the edge node and all its devices, and their bytes.
        odd_births: births after a death whose bdSeq does not follow that of the session before.
        gaps, reordered, rebirth_requests, births, replaced: counts since the host started.
    """

    __slots__ = (
        "bd_seq", "births", "dead", "devices", "duplicate", "edge_node", "gaps", "group", "in_turn",
        "odd_births", "order", "overtook", "rebirth_requests", "reordered", "replaced",
        "replaced_bd_seq", "restored", "short_form", "size", "unit", "unread", "weight",
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
        self.dead = False
        self.overtook: Ended | None = None
        self.unread = 0
        self.in_turn = False
        self.size = 0
        self.weight = 0

    @property
    def key(self) -> tuple[str, str]:
        """Group id and edge node id."""
        return (self.group, self.edge_node)

    @property
    def is_online(self) -> bool:
        """A device that sends the short form makes its node count, too: no node birth ever comes."""
        return any(unit.online for unit in self.units())

    @property
    def is_stale(self) -> bool:
        """Whether its values are not current; one without births of its own is as current as its devices."""
        return self.unit.stale and (self.unit.online or not self.is_online)

    def units(self) -> Iterator[UnitState]:
        """The edge node's own unit, then its devices."""
        yield self.unit
        yield from self.devices.values()
