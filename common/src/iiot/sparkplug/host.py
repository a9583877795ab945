"""The state machine of a Sparkplug host application (specification 3.0, chapters 5 and 6).

It takes decoded messages and the time, keeps the state of every edge node and device, and returns
what happened and what to send. The caller calls `tick` a few times a second: reorder time-outs and
rebirth requests are due then. `now` is the time in ms on a clock that never jumps; `epoch` makes UTC of
it, which is only shown, so no decision depends on a clock that is wrong or is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iiot.errors import DecodeError, SessionStateError
from iiot.sparkplug.host_checks import (
    SESSION_FAULTS,
    faults_of_birth,
    faults_of_node_birth,
    note_session,
    note_trailing_birth,
)
from iiot.sparkplug.host_events import Change, HostCounters, LifeEvent, NonConformity, Output, RequestRebirth
from iiot.sparkplug.host_state import NodeState, UnitState
from iiot.sparkplug.merge import merge_template
from iiot.sparkplug.payload import BD_SEQ, Metric, Payload, Template, typed_value
from iiot.sparkplug.rebirth import NodeKey, RebirthReason, RebirthScheduler
from iiot.sparkplug.topic import COMMANDS, MessageType, Topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from iiot.sparkplug.host_policy import HostPolicy


class SparkplugHost:
    """All edge nodes that a host application knows.

    Args:
        policy: time-outs and limits.
        jitter: a source of random numbers in [0, 1), for rebirth requests.

    Attributes:
        nodes: by group id and edge node id.
        nodes_online, devices_online: how many are born and not dead.
        epoch: UTC ms when `now` was 0; the caller keeps it right.
        on_values: told when a DATA message changed values; for those who follow them.
    """

    def __init__(self, policy: HostPolicy, jitter: Callable[[], float]) -> None:
        self.nodes: dict[NodeKey, NodeState] = {}
        self.counters = HostCounters()
        self.rebirths = RebirthScheduler(policy.rebirth, jitter)
        self.nodes_online = 0
        self.devices_online = 0
        self.epoch = 0
        self.on_values: Callable[[Topic, UnitState, Payload], None] | None = None
        self._policy = policy
        self._held = 0
        self._deadlines: dict[NodeState, int] = {}  # in the order of time: all wait equally long
        self._handlers: dict[MessageType, Callable[[NodeState, Topic, Payload, int], list[Output]]] = {
            MessageType.DBIRTH: self._device_birth,
            MessageType.DDEATH: self._device_death,
            MessageType.NDATA: self._data,
            MessageType.DDATA: self._data,
        }

    def receive(self, topic: Topic, payload: Payload, now: int) -> list[Output]:
        """Take in a message that arrived `now`."""
        message_type = topic.message_type
        self.counters.messages[message_type] += 1
        if message_type in COMMANDS:
            return []
        node = self.nodes.get((topic.group, topic.edge_node)) or self._new_node(topic)
        if node is None:
            return []
        if message_type is MessageType.NBIRTH:
            return self._node_birth(node, payload, now)
        if message_type is MessageType.NDEATH:
            return self._node_death(node, payload, now)
        if topic.short_form:
            self._note(NonConformity.SHORT_FORM)
            node.short_form = True
            return self._handlers[message_type](node, topic, payload, now)
        return self._in_order(node, topic, payload, now)

    def receive_certificate(self, topic: Topic, payload: Payload, now: int) -> None:
        """A Sparkplug-aware broker offers a birth from its store (specification 3.0, section 10.1.4).

        It tells a host that comes late what the metrics are, so that data is understood without a
        rebirth. Whether the edge node lives, and whether the values still hold, it does not tell.
        """
        node = self.nodes.get((topic.group, topic.edge_node)) or self._new_node(topic)
        if node is None or node.births or node.unit.online:
            return
        self.counters.certificates += 1
        if topic.message_type is MessageType.NBIRTH:
            node.unit.restored(payload, self.epoch + now)
            node.bd_seq, node.restored = self._bd_seq(payload), True
        elif topic.message_type is MessageType.DBIRTH:
            node.devices.setdefault(topic.device or "", UnitState()).restored(payload, self.epoch + now)

    def receive_undecodable(self, topic: Topic, now: int) -> None:
        """A message came whose payload cannot be read."""
        self.counters.messages[topic.message_type] += 1
        self.counters.undecodable += 1
        if topic.message_type not in COMMANDS and not topic.short_form:
            self._want_rebirth(topic, RebirthReason.UNDECODABLE, now)

    def receive_retained(self, topic: Topic, now: int) -> None:
        """A stored message came; none may be retained, and its content may be long out of date."""
        self.counters.messages[topic.message_type] += 1
        self._note(NonConformity.RETAINED)
        if topic.message_type not in COMMANDS and not topic.short_form:
            self._want_rebirth(topic, RebirthReason.RETAINED_BIRTH, now)

    def tick(self, now: int) -> list[Output]:
        """Act on what is due: reorder time-outs, then rebirth requests."""
        outputs: list[Output] = []
        while self._deadlines:
            node, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                break
            outputs += self._give_up(node, now)
        outputs += [self._request_rebirth(self.nodes[key]) for key in self.rebirths.take_due(now)]
        return outputs

    def connection_lost(self, now: int) -> list[Output]:
        """The host itself was cut off from the broker, and may miss deaths.

        Edge nodes count as offline until their next birth, which is asked for when `tick` runs again.
        A host that only observes keeps what it knows.
        """
        if self._policy.rebirth.observe_only:
            return []
        outputs: list[Output] = []
        for node in self.nodes.values():
            if node.unit.online:
                self._end_session(node, died_at=None)
                self.rebirths.want(node.key, RebirthReason.HOST_CUT_OFF, now)
                outputs.append(self._event(Change.STALE, node, now))
        return outputs

    def request_rebirth(self, node: NodeState, now: int) -> RequestRebirth:
        """A person asks for a rebirth: no limit holds, but it counts for the debounce."""
        self.rebirths.asked(node.key, now)
        return self._request_rebirth(node)

    def forget(self, node: NodeState, now: int) -> LifeEvent:
        """A person says that an edge node is gone for good: nothing of it is kept.

        Its next message, if one comes, is that of an edge node that was never seen.

        Raises:
            SessionStateError: the edge node or a device of it is online.
        """
        if node.is_online:
            raise SessionStateError(f"edge node {node.edge_node} is online")
        self.rebirths.forgotten(node.key)
        del self.nodes[node.key]
        return self._event(Change.FORGOTTEN, node, now)

    def _in_order(self, node: NodeState, topic: Topic, payload: Payload, now: int) -> list[Output]:
        seq, order = payload.seq, node.order
        resumed = self._resume(node, seq, now) if node.restored and seq is not None else []
        if order.expected is None:
            self.counters.ignored += 1
            self.rebirths.want(node.key, RebirthReason.BEFORE_BIRTH, now)
            return []
        if seq is None:
            self._note(NonConformity.MISSING_SEQ)
            return self._handlers[topic.message_type](node, topic, payload, now)
        if order.accept(seq):
            outputs = resumed + self._handlers[topic.message_type](node, topic, payload, now)
            return outputs + self._drain(node, now) if order.held else outputs
        if self._held < self._policy.reorder_capacity and order.hold(seq, (topic, payload)):
            self._held += 1
            self._deadlines.setdefault(node, now + self._policy.reorder_timeout)
            return [] if self._policy.reorder_timeout else self._give_up(node, now)
        outputs = self._give_up(node, now)
        if self._policy.rebirth.observe_only:
            order.expected = seq
            outputs += self._in_order(node, topic, payload, now)
        return outputs

    def _resume(self, node: NodeState, seq: int, now: int) -> list[Output]:
        """The first message of an edge node that is known by its stored births: it is online."""
        node.restored = False
        node.order.expected = seq
        node.unit.online, node.unit.stale = True, False
        self.nodes_online += 1
        return [self._event(Change.BORN, node, now)]

    def _drain(self, node: NodeState, now: int) -> list[Output]:
        """Apply held messages whose turn has come."""
        outputs: list[Output] = []
        for topic, payload in node.order.following():
            self._held -= 1
            self.counters.reordered += 1
            node.reordered += 1
            outputs += self._handlers[topic.message_type](node, topic, payload, now)
        if not node.order.held:
            self._deadlines.pop(node, None)
        return outputs

    def _give_up(self, node: NodeState, now: int) -> list[Output]:
        """The missing messages did not come: wait for a rebirth, or go on without when only observing."""
        self.counters.gaps += 1
        node.gaps += 1
        self._deadlines.pop(node, None)
        self._held -= len(node.order.held)
        self.rebirths.want(node.key, RebirthReason.GAP, now)
        outputs: list[Output] = []
        if self._policy.rebirth.observe_only:
            for topic, payload in node.order.give_up():
                outputs += self._handlers[topic.message_type](node, topic, payload, now)
            return outputs
        node.order.stop()
        for unit in node.units():
            unit.stale = True
        return [self._event(Change.STALE, node, now)]

    def _node_birth(self, node: NodeState, payload: Payload, now: int) -> list[Output]:
        bd_seq = self._bd_seq(payload)
        if self._is_trailing(node, bd_seq, now):
            self.counters.ignored += 1
            self.rebirths.want(node.key, RebirthReason.TRAILING_BIRTH, now)
            return self._told(node, note_trailing_birth(node), now)
        for fault in faults_of_node_birth(payload):
            self._note(fault)
        replaced = self._told(node, note_session(node, bd_seq), now)
        self.rebirths.born(node.key)
        node.restored = False
        self._devices_offline(node)
        self.nodes_online += not node.unit.online
        node.births += 1
        node.bd_seq = bd_seq
        self._unit_birth(node, node.unit, payload, now)
        self._restart(node, payload)
        born = LifeEvent(Change.BORN, node.group, node.edge_node, None, node.unit.born_at)
        return [*replaced, born, *self._drain(node, now)]

    def _told(self, node: NodeState, changes: list[Change], now: int) -> list[Output]:
        for change in changes:
            self._note(SESSION_FAULTS[change])
        return [self._event(change, node, now) for change in changes]

    def _restart(self, node: NodeState, payload: Payload) -> None:
        """Begin a new round of seq; keep what came before its NBIRTH and belongs to it."""
        started = payload.timestamp or 0
        held = len(node.order.held)
        node.order.restart(payload.seq or 0, lambda message: (message[1].timestamp or 0) >= started)
        self._held -= held - len(node.order.held)
        if not node.order.held:
            self._deadlines.pop(node, None)

    def _is_trailing(self, node: NodeState, bd_seq: int | None, now: int) -> bool:
        return (
            not self._policy.rebirth.observe_only
            and not node.unit.online
            and node.bd_seq is not None
            and node.bd_seq == bd_seq
            and node.ended is not None
            and now - node.ended < self._policy.trailing_birth_window
        )

    def _node_death(self, node: NodeState, payload: Payload, now: int) -> list[Output]:
        bd_seq = self._bd_seq(payload)
        foreign = None not in (bd_seq, node.bd_seq) and bd_seq != node.bd_seq
        node.restored = node.restored and foreign
        if (foreign and self._policy.validate_bd_seq) or (node.births and not node.unit.online):
            self.counters.ignored += 1
            return []
        node.bd_seq = node.bd_seq if bd_seq is None else bd_seq
        self.rebirths.born(node.key)
        died = [device for device, unit in node.devices.items() if unit.online]
        self._end_session(node, self.epoch + now)
        node.ended = now
        return [self._event(Change.DIED, node, now, device) for device in [*died, None]]

    def _device_birth(self, node: NodeState, topic: Topic, payload: Payload, now: int) -> list[Output]:
        device = topic.device or ""
        unit = node.devices.get(device)
        if unit is None:
            unit = node.devices[device] = UnitState()
        self.devices_online += not unit.online
        self._unit_birth(node, unit, payload, now)
        return [LifeEvent(Change.BORN, node.group, node.edge_node, device, unit.born_at)]

    def _device_death(self, node: NodeState, topic: Topic, payload: Payload, now: int) -> list[Output]:
        unit = node.devices.get(topic.device or "")
        if unit is None or not unit.online:
            self.counters.ignored += 1
            return []
        self.devices_online -= 1
        unit.online, unit.stale, unit.seen_at = False, True, self.epoch + now
        unit.died_at = payload.timestamp or unit.seen_at
        return [LifeEvent(Change.DIED, node.group, node.edge_node, topic.device, unit.died_at)]

    def _data(self, node: NodeState, topic: Topic, payload: Payload, now: int) -> list[Output]:
        unit = node.unit if topic.device is None else node.devices.get(topic.device)
        if unit is not None and unit.confirmed is not None and not unit.online:
            unit.online, unit.stale = True, False
            self.devices_online += 1
        if unit is None or not unit.online:
            self.counters.ignored += 1
            if not topic.short_form:
                self.rebirths.want(node.key, RebirthReason.BEFORE_BIRTH, now)
            return []
        unit.seen_at = self.epoch + now
        for metric in payload.metrics:
            self._update(node, unit, metric, payload.timestamp or unit.seen_at, now)
        if self.on_values is not None:
            self.on_values(topic, unit, payload)
        return []

    def _update(self, node: NodeState, unit: UnitState, metric: Metric, time: int, now: int) -> None:
        state = unit.find(metric)
        if state is None:
            self.counters.unknown_metrics += 1
            unknown = RebirthReason.UNKNOWN_METRIC if metric.name else RebirthReason.UNKNOWN_ALIAS
            self.rebirths.want(node.key, unknown, now)
            return
        if metric.is_historical:
            self.counters.historical += 1
            return
        try:
            value = metric.value if metric.datatype is not None else typed_value(state.datatype, metric.value)
            if isinstance(value, Template) and isinstance(state.value, Template):
                value = merge_template(state.value, value)
        except DecodeError:
            self.counters.undecodable += 1
            self.rebirths.want(node.key, RebirthReason.UNDECODABLE, now)
            return
        state.value = value
        state.timestamp = time if metric.timestamp is None else metric.timestamp
        if metric.properties is not None:
            state.properties = metric.properties
        if unit.confirmed is not None:
            unit.confirmed.add(state.name)

    def _unit_birth(self, node: NodeState, unit: UnitState, payload: Payload, now: int) -> None:
        unit.seen_at = self.epoch + now
        unit.born(payload, unit.seen_at)
        for fault in faults_of_birth(node, unit, payload):
            self._note(fault)

    def _end_session(self, node: NodeState, died_at: int | None) -> None:
        self._deadlines.pop(node, None)
        self._held -= len(node.order.held)
        node.order.stop()
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

    def _bd_seq(self, payload: Payload) -> int | None:
        for metric in payload.metrics:
            if metric.name == BD_SEQ and type(metric.value) is int:
                return metric.value
        self._note(NonConformity.MISSING_BD_SEQ)
        return None

    def _want_rebirth(self, topic: Topic, reason: RebirthReason, now: int) -> None:
        node = self.nodes.get((topic.group, topic.edge_node)) or self._new_node(topic)
        if node is not None:
            self.rebirths.want(node.key, reason, now)

    def _new_node(self, topic: Topic) -> NodeState | None:
        if len(self.nodes) >= self._policy.max_nodes:
            self.counters.ignored += 1
            return None
        node = self.nodes[topic.group, topic.edge_node] = NodeState(topic.group, topic.edge_node)
        return node

    def _request_rebirth(self, node: NodeState) -> RequestRebirth:
        self.counters.rebirth_requests += 1
        node.rebirth_requests += 1
        return RequestRebirth(node.group, node.edge_node)

    def _event(self, change: Change, node: NodeState, now: int, device: str | None = None) -> LifeEvent:
        return LifeEvent(change, node.group, node.edge_node, device, self.epoch + now)

    def _note(self, kind: NonConformity) -> None:
        self.counters.non_conformant[kind] += 1
