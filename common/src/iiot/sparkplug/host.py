"""The state machine of a Sparkplug host application (specification 3.0, chapters 5 and 6).

It takes decoded messages and the time, keeps the state of every edge node and device, and returns
what happened and what to send. The caller calls `tick` a few times a second: reorder time-outs and
rebirth requests are due then. `now` is the time in ms on a clock that never jumps; `epoch` makes UTC of
it, which is only shown, so no decision depends on a clock that is wrong or is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iiot.errors import SessionStateError
from iiot.sparkplug.births import birth_fault
from iiot.sparkplug.datatypes import EntryMeter
from iiot.sparkplug.host_checks import (
    bd_seq_of_birth,
    bd_seq_of_death,
    faults_of_node_birth,
    note_session,
    note_trailing_birth,
)
from iiot.sparkplug.host_events import (
    Cause,
    Change,
    LifeEvent,
    NonConformity,
    Output,
    Refusal,
    RequestRebirth,
)
from iiot.sparkplug.host_inventory import HostInventory, refusals
from iiot.sparkplug.host_state import Ended, NodeState, UnitState
from iiot.sparkplug.host_waiting import fill
from iiot.sparkplug.payload import Metric, Payload
from iiot.sparkplug.rebirth import RebirthReason
from iiot.sparkplug.topic import BIRTHS, COMMANDS, DATA, MessageType, Topic
from iiot.sparkplug.weight import is_light
from iiot.sparkplug.wire import DEFAULT_BUDGET

if TYPE_CHECKING:
    from collections.abc import Callable

    from iiot.sparkplug.host_policy import HostPolicy


class SparkplugHost(HostInventory):
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
        super().__init__(policy, jitter)
        self.on_values: Callable[[Topic, UnitState, Payload], None] | None = None
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
        node = self._node(topic)
        if node is None:
            return []
        if message_type is MessageType.NBIRTH:
            return self._node_birth(node, topic, payload, now)
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
        if topic.message_type not in BIRTHS or birth_fault(topic, payload) is not None:
            return
        node = self._node(topic)
        if node is not None and not node.births and not node.unit.online:
            self.counters.certificates += 1
            self._restore(node, topic, payload, now)

    def receive_empty(self, topic: Topic, now: int) -> list[Output]:
        """A message without a payload: this is how a retained message is cleared, and no birth or data.

        Of a device it may be its death, which needs no metrics; likewise the NDEATH of an edge node that has
        no bdSeq.
        """
        node = self.nodes.get((topic.group, topic.edge_node))
        death = topic.message_type is MessageType.DDEATH
        if node is not None and (death or (topic.message_type is MessageType.NDEATH and node.bd_seq is None)):
            return self.receive(topic, Payload(), now)
        self.counters.messages[topic.message_type] += 1
        if topic.message_type not in COMMANDS:
            self.counters.ignored += 1
            self.counters.cleared += 1
        return []

    def receive_undecodable(self, topic: Topic, now: int, budget: str | None = None) -> list[Output]:
        """A message came whose payload cannot be read, or would cost more than `budget` allows.

        If it is the edge node's, it took a seq.
        """
        if budget is not None:
            self.counters.over_budget[budget] += 1
        self.counters.messages[topic.message_type] += 1
        self.counters.undecodable += 1
        if topic.message_type in COMMANDS or topic.short_form:
            return []
        node = self._want_rebirth(topic, RebirthReason.UNDECODABLE, now)
        if node is None or topic.message_type in (MessageType.NBIRTH, MessageType.NDEATH):
            return []
        node.unread += 1
        return self._drain(node, now) if self._waiting.pass_over(node) else []

    def receive_retained(self, topic: Topic, now: int) -> None:
        """A stored message came; none may be retained, and its content may be long out of date."""
        self.counters.messages[topic.message_type] += 1
        self._note(NonConformity.RETAINED)
        if topic.message_type not in COMMANDS and not topic.short_form:
            self._want_rebirth(topic, RebirthReason.RETAINED_BIRTH, now)

    def tick(self, now: int) -> list[Output]:
        """Act on what is due: reorder time-outs, then rebirth requests."""
        outputs: list[Output] = []
        for node in self._waiting.overdue(now):
            outputs += self._give_up(node, now)
        outputs += [self._request_rebirth(self.nodes[key]) for key in self.rebirths.take_due(now)]
        return outputs

    def connection_lost(self, now: int) -> list[Output]:
        """The host itself was cut off from the broker, and may miss deaths.

        Edge nodes count as offline until their next birth, which is asked for when `tick` runs again; those
        that send no node birth, until their next message. A host that only observes keeps what it knows.
        """
        if self._policy.rebirth.observe_only:
            return []
        outputs: list[Output] = []
        for node in self.nodes.values():
            node.dead = False
            if not node.is_online:
                continue
            asks, living = node.unit.online, [unit for unit in node.devices.values() if unit.online]
            self._end_session(node, died_at=None)
            if asks:
                self.rebirths.want(node.key, RebirthReason.HOST_CUT_OFF, now, node.births)
            else:
                for unit in living:
                    unit.confirmed = set()
            outputs.append(self._stale(node, now, Cause.HOST_CUT_OFF))
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

    def forget_device(self, node: NodeState, device: str, now: int) -> LifeEvent:
        """A person says that a device is gone for good: nothing of it is kept.

        Raises:
            SessionStateError: the device is online.
            KeyError: the edge node has no such device.
        """
        unit = node.devices[device]
        if unit.online:
            raise SessionStateError(f"device {device} of edge node {node.edge_node} is online")
        del node.devices[device]
        node.size -= len(unit.metrics)
        node.weight -= unit.weight
        return self._event(Change.FORGOTTEN, node, now, device)

    def _in_order(self, node: NodeState, topic: Topic, payload: Payload, now: int) -> list[Output]:
        seq, order = payload.seq, node.order
        resumed = self._resume(node, seq, now) if node.restored and seq is not None else []
        if order.expected is None:
            return self._before_birth(node, topic, payload, now)
        if seq is None:
            self._note(NonConformity.MISSING_SEQ)
            return self._handlers[topic.message_type](node, topic, payload, now)
        if order.accept(seq) or (node.unread and fill(node, seq) and order.accept(seq)):
            node.unread, node.in_turn = 0, node.in_turn or topic.message_type in DATA
            outputs = resumed + self._handlers[topic.message_type](node, topic, payload, now)
            return outputs + self._drain(node, now) if order.held else outputs
        if self._waiting.hold(node, seq, topic, payload, now):
            return [] if self._policy.reorder_timeout else self._give_up(node, now)
        outputs = self._give_up(node, now)
        if self._policy.rebirth.observe_only:
            order.expected = seq
            outputs += self._in_order(node, topic, payload, now)
        return outputs

    def _before_birth(self, node: NodeState, topic: Topic, payload: Payload, now: int) -> list[Output]:
        self.counters.ignored += 1
        node.dead = False
        self.rebirths.want(node.key, RebirthReason.BEFORE_BIRTH, now, node.births)
        if node.restored and topic.message_type is MessageType.DBIRTH:  # overtaken, as its NBIRTH was
            self._restore(node, topic, payload, now)
        return []

    def _resume(self, node: NodeState, seq: int, now: int) -> list[Output]:
        """The first message of an edge node that is known by its stored births: it is online."""
        if self._may_be_overtaken(node, now):
            return []
        node.restored = node.dead = False
        node.order.expected = seq
        node.unit.online, node.unit.stale = True, False
        self.nodes_online += 1
        living = [device for device, unit in node.devices.items() if unit.online]  # of the short form
        return [self._event(Change.BORN, node, now, device) for device in (None, *living)]

    def _drain(self, node: NodeState, now: int) -> list[Output]:
        """Apply held messages whose turn has come."""
        outputs: list[Output] = []
        for topic, payload in self._waiting.following(node):
            self.counters.reordered += 1
            node.reordered += 1
            outputs += self._handlers[topic.message_type](node, topic, payload, now)
        return outputs

    def _give_up(self, node: NodeState, now: int) -> list[Output]:
        """The missing messages did not come: wait for a rebirth, or go on without when only observing."""
        self.counters.gaps += 1
        node.gaps += 1
        # An edge node that is never in turn counts wrongly, and births do not cure that; a loss they cure.
        self.rebirths.want(node.key, RebirthReason.GAP, now, node.births if node.in_turn else None)
        outputs: list[Output] = []
        if self._policy.rebirth.observe_only:
            for topic, payload in self._waiting.give_up(node):
                outputs += self._handlers[topic.message_type](node, topic, payload, now)
            return outputs
        self._waiting.stop(node)
        for unit in node.units():
            unit.stale = True
        return [self._stale(node, now, Cause.GAP)]

    def _node_birth(self, node: NodeState, topic: Topic, payload: Payload, now: int) -> list[Output]:
        bd_seq = bd_seq_of_birth(payload)
        if bd_seq is None:
            self._note(NonConformity.MISSING_BD_SEQ)
        if self._may_be_overtaken(node, now) and node.overtook is not None and node.overtook.bd_seq == bd_seq:
            return self._overtaken_birth(node, topic, payload, now)
        for fault in faults_of_node_birth(payload):
            self._note(fault)
        if unusable := self._unusable(node, topic, payload, now):
            return unusable
        replaced = self._told(node, note_session(node, bd_seq), now)
        self.rebirths.born(node.key)
        node.restored = node.dead = node.in_turn = False
        node.overtook, node.unread = None, 0
        self._devices_offline(node)
        self.nodes_online += not node.unit.online
        node.births += 1
        node.bd_seq = bd_seq
        born = self._unit_birth(node, node.unit, topic, payload, now)
        self._waiting.restart(node, payload)
        return [*replaced, *born, *self._drain(node, now)]

    def _may_be_overtaken(self, node: NodeState, now: int) -> bool:
        """Whether what comes now may have been sent before an NDEATH that is here already."""
        return (
            not self._policy.rebirth.observe_only
            and not node.unit.online
            and node.overtook is not None
            and now - node.overtook.at < self._policy.trailing_birth_window
        )

    def _overtaken_birth(self, node: NodeState, topic: Topic, payload: Payload, now: int) -> list[Output]:
        """The NBIRTH of a session whose NDEATH came first tells the metrics, and not that anything lives."""
        self.counters.ignored += 1
        node.dead = False
        self.rebirths.want(node.key, RebirthReason.TRAILING_BIRTH, now, node.births)
        for unit in node.devices.values():
            if not unit.online:
                unit.confirmed = None  # stored births were of a session before
        self._restore(node, topic, payload, now)
        return self._told(node, note_trailing_birth(node), now)

    def _node_death(self, node: NodeState, payload: Payload, now: int) -> list[Output]:
        bd_seq = bd_seq_of_death(node, payload)
        if bd_seq is None:
            self._note(NonConformity.MISSING_BD_SEQ)
        foreign = None not in (bd_seq, node.bd_seq) and bd_seq != node.bd_seq
        node.restored = node.restored and foreign
        if bd_seq is not None and not node.unit.online and (foreign or not node.births):
            node.overtook = Ended(bd_seq, now)
        if (foreign and self._policy.validate_bd_seq) or node.dead:
            self.counters.ignored += 1
            return []
        node.bd_seq = node.bd_seq if bd_seq is None else bd_seq
        self.rebirths.died(node.key)
        died = [device for device, unit in node.devices.items() if unit.online]
        self._end_session(node, self.epoch + now)
        node.dead = True
        return [self._event(Change.DIED, node, now, device) for device in [*died, None]]

    def _device_birth(self, node: NodeState, topic: Topic, payload: Payload, now: int) -> list[Output]:
        if unusable := self._unusable(node, topic, payload, now):
            return unusable
        unit = self._unit(node, topic)
        if unit is None:
            return [Refusal(topic, None, f"more than {self._policy.max_devices} devices", 1)]
        appeared = [] if node.is_online else [self._event(Change.BORN, node, now)]
        self.devices_online += not unit.online
        return [*appeared, *self._unit_birth(node, unit, topic, payload, now)]

    def _device_death(self, node: NodeState, topic: Topic, payload: Payload, now: int) -> list[Output]:
        unit = node.devices.get(topic.device or "")
        if unit is None or not unit.online:
            self.counters.ignored += 1
            return []
        self.devices_online -= 1
        unit.online, unit.stale, unit.seen_at = False, True, self.epoch + now
        unit.died_at = payload.timestamp or unit.seen_at
        died: list[Output] = [
            LifeEvent(Change.DIED, node.group, node.edge_node, topic.device, unit.died_at, online=False)
        ]
        return died if node.is_online else [*died, self._event(Change.DIED, node, now)]

    def _data(self, node: NodeState, topic: Topic, payload: Payload, now: int) -> list[Output]:
        unit = node.unit if topic.device is None else node.devices.get(topic.device)
        outputs: list[Output] = []
        if unit is not None and unit.confirmed is not None and not unit.online:
            appeared = [] if node.is_online else [self._event(Change.BORN, node, now)]
            unit.online, unit.stale = True, False
            self.devices_online += 1
            outputs = [*appeared, self._event(Change.BORN, node, now, topic.device)]
        if unit is None or not unit.online:
            self.counters.ignored += 1
            if not topic.short_form:
                self.rebirths.want(node.key, RebirthReason.BEFORE_BIRTH, now, (topic.device,))
            return []
        unit.seen_at = self.epoch + now
        outputs += refusals(topic, self._take_values(node, topic, unit, payload, now))
        if self.on_values is not None:
            self.on_values(topic, unit, payload)
        return outputs

    def _take_values(
        self, node: NodeState, topic: Topic, unit: UnitState, payload: Payload, now: int
    ) -> list[tuple[Metric, str]]:
        """Take in the metrics of a DATA message; return those that cannot be used, and why."""
        time, meter = payload.timestamp or unit.seen_at, EntryMeter(DEFAULT_BUDGET.entries)
        refused: list[tuple[Metric, str]] = []
        for metric in payload.metrics:
            state = unit.find(metric)
            if state is None:
                self.counters.unknown_metrics += 1
                unknown = RebirthReason.UNKNOWN_METRIC if metric.name else RebirthReason.UNKNOWN_ALIAS
                self.rebirths.want(node.key, unknown, now, (topic.device, metric.name or metric.alias))
                refused.append((metric, metric.fault or "no birth told of it"))
                continue
            if metric.is_historical:
                self.counters.historical += 1
                continue
            if is_light(metric, state):
                reason = state.take(metric, time, meter)
            else:
                reason = self._take_heavy(node, unit, state, metric, time, meter)
            if reason is not None:
                self.counters.undecodable += 1
                self.rebirths.want(node.key, RebirthReason.UNDECODABLE, now, (topic.device, state.name))
            if unit.confirmed is not None:
                unit.confirmed.add(state.name)
            if reason or metric.property_fault:
                refused.append((metric, reason or metric.property_fault or ""))
        return refused
