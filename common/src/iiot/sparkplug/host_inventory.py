"""What a host application keeps of edge nodes and devices, within its limits, and what it tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iiot.sparkplug.births import birth_fault
from iiot.sparkplug.composite import QUALITY
from iiot.sparkplug.host_checks import SESSION_FAULTS, bd_seq_of_birth, faults_of_birth
from iiot.sparkplug.host_events import (
    Cause,
    Change,
    HostCounters,
    LifeEvent,
    Limit,
    NonConformity,
    Output,
    Refusal,
    RequestRebirth,
)
from iiot.sparkplug.host_state import NodeState, UnitState
from iiot.sparkplug.host_waiting import WaitingMessages
from iiot.sparkplug.rebirth import NodeKey, RebirthReason, RebirthScheduler
from iiot.sparkplug.weight import growth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iiot.sparkplug.datatypes import EntryMeter
    from iiot.sparkplug.host_metric import MetricState
    from iiot.sparkplug.host_policy import HostPolicy
    from iiot.sparkplug.payload import Metric, Payload
    from iiot.sparkplug.topic import Topic

_NAME_SHOWN: Final = 100


class HostInventory:
    """All edge nodes that a host application knows: the part of it that keeps and counts them.

    Attributes: see `SparkplugHost`.
    """

    def __init__(self, policy: HostPolicy, jitter: Callable[[], float]) -> None:
        self.nodes: dict[NodeKey, NodeState] = {}
        self.counters = HostCounters()
        self.rebirths = RebirthScheduler(policy.rebirth, jitter)
        self.nodes_online = 0
        self.devices_online = 0
        self.epoch = 0
        self._policy = policy
        self._waiting = WaitingMessages(policy)

    @property
    def _held(self) -> int:
        return self._waiting.held

    def _unit_birth(
        self, node: NodeState, unit: UnitState, topic: Topic, payload: Payload, now: int
    ) -> list[Output]:
        """Take over a birth."""
        for kind in faults_of_birth(node, unit, payload):
            self._note(kind)
        refused = [(metric, metric.fault) for metric in payload.metrics if metric.fault is not None]
        self.counters.undecodable += len(refused)
        unnamed = [(metric, "no name") for metric in payload.metrics if metric.name is None]
        if unnamed:
            self.rebirths.want(node.key, RebirthReason.INCOMPLETE_BIRTH, now, (topic.device,))
        refused += unnamed
        unit.seen_at = self.epoch + now
        surplus = self._take_birth(node, unit, payload)
        outputs: list[Output] = []
        if surplus:
            most = f"{self._policy.max_metrics} metrics or {self._policy.max_bytes} bytes of them"
            reason = f"the edge node has more than {most}"
            outputs.append(Refusal(topic, None, reason, surplus))
        born = LifeEvent(Change.BORN, node.group, node.edge_node, topic.device, unit.born_at, online=True)
        return [born, *outputs, *refusals(topic, refused)]

    def _unusable(self, node: NodeState, topic: Topic, payload: Payload, now: int) -> list[Output]:
        """Refuse a birth that tells no metric: nobody was born, and what is known holds until the next."""
        reason = birth_fault(topic, payload)
        if reason is None:
            return []
        self.counters.ignored += 1
        self._note(NonConformity.INCOMPLETE_BIRTH_METRIC)
        self.rebirths.want(node.key, RebirthReason.INCOMPLETE_BIRTH, now, (topic.device,))
        return [Refusal(topic, None, reason, len(payload.metrics))]

    def _take_birth(self, node: NodeState, unit: UnitState, payload: Payload) -> int:
        """Take over the metrics; return how many are too many or too large."""
        count, before = len(unit.metrics), unit.weight
        most = self._policy.max_metrics - node.size + count
        surplus = unit.born(payload, unit.seen_at, most, self._policy.max_bytes - node.weight + before)
        node.size += len(unit.metrics) - count
        node.weight += unit.weight - before
        self.counters.over_limit[Limit.METRICS] += surplus
        return surplus

    def _take_heavy(
        self,
        node: NodeState,
        unit: UnitState,
        state: MetricState,
        metric: Metric,
        time: int,
        meter: EntryMeter,
    ) -> str | None:
        """Let a metric take in what may be large; if that is too much, it keeps what it had."""
        kept = state.kept
        reason = state.take(metric, time, meter)
        changed = {QUALITY, *(metric.properties or ())}
        more = growth(kept, state.kept, changed)
        if more > 0 and node.weight + more > self._policy.max_bytes:
            reason = f"the edge node's values take more than {self._policy.max_bytes} bytes"
            state.restore(kept, reason)
            self.counters.over_limit[Limit.BYTES] += 1
            return reason
        unit.weight += more
        node.weight += more
        return reason

    def _restore(self, node: NodeState, topic: Topic, payload: Payload, now: int) -> None:
        """Take over a birth that may be out of date, unless a newer one is known."""
        unit = self._unit(node, topic)
        if unit is None or unit.online:
            return
        unit.seen_at = unit.seen_at or self.epoch + now
        self._take_birth(node, unit, payload)
        unit.doubt()
        if topic.device is None:
            node.bd_seq, node.restored = bd_seq_of_birth(payload), True

    def _end_session(self, node: NodeState, died_at: int | None) -> None:
        self._waiting.stop(node)
        self._devices_offline(node, died_at)
        self.nodes_online -= node.unit.online
        node.unit.online, node.unit.stale = False, True
        if died_at is not None:
            node.unit.died_at = died_at

    def _devices_offline(self, node: NodeState, died_at: int | None = None) -> None:
        """All devices are offline until their own birth, and their aliases mean nothing any more."""
        for unit in node.devices.values():
            self.devices_online -= unit.online
            if died_at is not None and unit.online:
                unit.died_at = died_at
            unit.online, unit.stale, unit.aliases, unit.confirmed = False, True, None, None

    def _want_rebirth(self, topic: Topic, reason: RebirthReason, now: int) -> NodeState | None:
        node = self._node(topic)
        if node is not None:
            self.rebirths.want(node.key, reason, now, (topic.message_type, topic.device))
        return node

    def _request_rebirth(self, node: NodeState) -> RequestRebirth:
        self.counters.rebirth_requests += 1
        node.rebirth_requests += 1
        return RequestRebirth(node.group, node.edge_node)

    def _node(self, topic: Topic) -> NodeState | None:
        """The state of the topic's edge node; None if there is no room for one more."""
        node = self.nodes.get((topic.group, topic.edge_node))
        if node is None and len(self.nodes) >= self._policy.max_nodes:
            self.counters.ignored += 1
            self.counters.over_limit[Limit.NODES] += 1
        elif node is None:
            node = self.nodes[topic.group, topic.edge_node] = NodeState(topic.group, topic.edge_node)
        return node

    def _unit(self, node: NodeState, topic: Topic) -> UnitState | None:
        """The state that a birth is for; None if there is no room for one more device."""
        if topic.device is None:
            return node.unit
        unit = node.devices.get(topic.device)
        if unit is None and len(node.devices) >= self._policy.max_devices:
            self.counters.over_limit[Limit.DEVICES] += 1
        elif unit is None:
            unit = node.devices[topic.device] = UnitState()
        return unit

    def _event(self, change: Change, node: NodeState, now: int, device: str | None = None) -> LifeEvent:
        online = {Change.BORN: True, Change.DIED: False}.get(change)
        return LifeEvent(change, node.group, node.edge_node, device, self.epoch + now, online=online)

    def _told(self, node: NodeState, changes: list[Change], now: int) -> list[Output]:
        for change in changes:
            self._note(SESSION_FAULTS[change])
        return [self._event(change, node, now) for change in changes]

    def _stale(self, node: NodeState, now: int, cause: Cause) -> LifeEvent:
        time = self.epoch + now
        return LifeEvent(Change.STALE, node.group, node.edge_node, None, time, cause, node.is_online)

    def _note(self, kind: NonConformity) -> None:
        self.counters.non_conformant[kind] += 1


def refusals(topic: Topic, refused: Sequence[tuple[Metric, str]]) -> list[Refusal]:
    """One line for all metrics of a message that were refused; none for none."""
    if not refused:
        return []
    metric, reason = refused[0]
    name = f"alias {metric.alias}" if metric.name is None else metric.name[:_NAME_SHOWN]
    return [Refusal(topic, name, reason, len(refused))]
