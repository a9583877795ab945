"""The state machine of a Sparkplug edge node (specification 3.0, chapters 5 and 6).

It turns values into messages with the right topics, sequence numbers and metrics, and commands into
actions. Publishing, timing and the values themselves are the caller's. The order on every connection:

1. `next_will()` gives the will for the CONNECT: one call per CONNECT packet.
2. One SUBSCRIBE with `subscriptions` at QoS 1.
3. `births(...)`, all published at once and in order; only then `data(...)`.
4. On `RebirthRequested`: `births(...)` again, on the same connection.
5. To stop: `node_death()` with QoS 1, then DISCONNECT (MQTT 5: reason 0x04, "with will").

Sequence numbers are given when a message is made, so messages are published in the order in which
they were made. `births` makes all of its messages in one call: nothing can come between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple, TypeAlias

from iiot.errors import DecodeError, IiotError, InvalidValueError, MessageTooLargeError, SessionStateError
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge_unit import MetricDefinition, Unit, Values
from iiot.sparkplug.payload import (
    BD_SEQ,
    NEXT_SERVER,
    REBIRTH,
    Metric,
    Payload,
    Value,
    decode_payload,
    encode_payload,
)
from iiot.sparkplug.sequence import Counter
from iiot.sparkplug.state import PrimaryHost, decode_state
from iiot.sparkplug.topic import (
    BIRTHS,
    COMMANDS,
    NAMESPACE,
    MessageType,
    StateTopic,
    check_id,
    parse_topic,
)

__all__ = ["EdgeNode", "MetricDefinition", "ValueSource", "Values"]

_NODE_METRICS = (BD_SEQ, REBIRTH)
_PACKET_OVERHEAD = 8
"""Bytes of an MQTT PUBLISH with QoS 0 beside topic and payload, at most: header, lengths, no properties."""


class Message(NamedTuple):
    """What to publish; never retained. QoS is 0, and 1 for NDEATH."""

    topic: str
    payload: bytes
    qos: int = 0


@dataclass(frozen=True, slots=True)
class RebirthRequested:
    """A host wants `births` again, at once: same connection, same bdSeq, seq from 0."""


@dataclass(frozen=True, slots=True)
class Write:
    """A host sets a writable metric; the value fits the metric's datatype."""

    device: str | None
    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that cannot be carried out, and why."""

    device: str | None
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class PrimaryHostChanged:
    """The primary host is online (send the births), or offline (node death, disconnect, next server)."""

    online: bool


@dataclass(frozen=True, slots=True)
class NextServerRequested:
    """A host wants the edge node on the next server of its list: node death, disconnect, connect there."""


Action: TypeAlias = RebirthRequested | NextServerRequested | Write | Refused | PrimaryHostChanged
ValueSource: TypeAlias = Callable[[str | None], Values | None]
"""Gives all current values of the edge node (None) or of a device; None while a device is not available."""


class EdgeNode:
    """One edge node and its devices over all its MQTT sessions.

    Args:
        group: Sparkplug group id.
        edge_node: edge node id, unique in the group.
        metrics: the edge node's own metrics; bdSeq and `Node Control/Rebirth` are added.
        devices: the metrics of each device.
        bd_seq: the number for the first CONNECT; a caller that keeps `upcoming_bd_seq` over
            restarts lets hosts tell old wills from new ones.
        aliases: whether DATA messages carry aliases in place of names.
        primary_host: id of the host application to wait for, or None.

    Attributes:
        max_packet_size: bytes of an MQTT packet that the broker takes (MQTT 5, CONNACK); None: no limit.

    Raises:
        InvalidValueError: an id is not legal, or a metric's name is empty, reserved or used twice.
    """

    def __init__(
        self,
        group: str,
        edge_node: str,
        metrics: Iterable[MetricDefinition],
        devices: Mapping[str, Iterable[MetricDefinition]],
        *,
        bd_seq: int = 0,
        aliases: bool = False,
        primary_host: str | None = None,
    ) -> None:
        self.group = check_id("group", group)
        self.edge_node = check_id("edge_node", edge_node)
        self.primary_host = (
            None if primary_host is None else PrimaryHost(check_id("primary_host", primary_host))
        )
        self.max_packet_size: int | None = None
        self._seq = Counter()
        self._bd_seqs = Counter(bd_seq)
        self._bd_seq: int | None = None
        self._numbers = numbers = count(1) if aliases else None
        self._units: dict[str | None, Unit] = {None: Unit(metrics, numbers, reserved=_NODE_METRICS)}
        for device, definitions in devices.items():
            self._units[check_id("device", device)] = Unit(definitions, numbers)

    @property
    def subscriptions(self) -> list[str]:
        """Topic filters to subscribe to with QoS 1 before the births."""
        filters = [f"{NAMESPACE}/{self.group}/{verb}/{self.edge_node}" for verb in ("NCMD", "DCMD")]
        filters[1] += "/+"
        return filters if self.primary_host is None else [*filters, self.primary_host.topic]

    @property
    def upcoming_bd_seq(self) -> int:
        """The bdSeq of the next CONNECT."""
        return self._bd_seqs.upcoming

    def define(self, device: str | None, metrics: Iterable[MetricDefinition]) -> None:
        """Change the metrics of the edge node (None) or of a device, or add a device.

        The new set holds from its birth on: `births` when it is the edge node's own, else
        `device_birth`. No data is made before.

        Raises:
            InvalidValueError: an id is not legal, or a metric's name is empty, reserved or used twice.
        """
        unit = self._units.get(device)
        if unit is None:
            self._units[check_id("device", device or "")] = Unit(metrics, self._numbers)
        else:
            unit.define(metrics)
        if device is None:
            self._mark_unborn()

    def remove_device(self, device: str, now: int) -> Message | None:
        """Forget a device; return its DDEATH if it was born.

        Raises:
            InvalidValueError: the device is unknown.
        """
        death = self.device_death(device, now) if self._unit(device).born else None
        del self._units[device]
        return death

    def is_born(self, device: str | None) -> bool:
        """Whether data of the edge node (None) or of a device may be sent now."""
        unit = self._units.get(device)
        return unit is not None and unit.born

    def next_will(self, server: str = "") -> Message:
        """Start a session: return the will of its CONNECT, and take the next bdSeq.

        `server` names the MQTT server, for edge nodes that have several: the primary host has a session
        of its own on each.
        """
        self._bd_seq = self._bd_seqs.take()
        if self.primary_host is not None:
            self.primary_host.connecting(server)
        self._mark_unborn()
        return self._death()

    def births(self, now: int, values: ValueSource) -> list[Message]:
        """Return NBIRTH and the DBIRTH of every available device; also the answer to a rebirth request.

        `values` is called for each message in order; a metric it leaves out is born as null. `now`
        in UTC ms.

        Raises:
            SessionStateError: `next_will` was never called.
            InvalidValueError: a value does not fit its datatype.
            MessageTooLargeError: a birth is larger than the broker takes; nothing is born then.
        """
        if self._bd_seq is None:
            raise SessionStateError("births need a session: call next_will for the CONNECT first")
        try:
            return self._births(self._bd_seq, now, values)
        except IiotError:
            self._mark_unborn()
            raise

    def device_birth(self, device: str, now: int, values: Values) -> Message:
        """Return the DBIRTH of a device that became available, or whose birth has to be repeated.

        Raises:
            SessionStateError: the edge node is not born.
            InvalidValueError: the device is unknown, or a value does not fit its datatype.
        """
        unit = self._unit(device)
        if not self._units[None].born:
            raise SessionStateError("a DBIRTH follows the NBIRTH")
        message = self._message(MessageType.DBIRTH, device, unit.birth_metrics(values, now), now)
        unit.born = True
        return message

    def device_death(self, device: str, now: int) -> Message:
        """Return the DDEATH of a device that is no longer available.

        Raises:
            SessionStateError: the device is not born.
            InvalidValueError: the device is unknown.
        """
        unit = self._born_unit(device)
        unit.born = False
        return self._message(MessageType.DDEATH, device, [], now)

    def data(self, device: str | None, values: Values, now: int, *, acquired: int | None = None) -> Message:
        """Return NDATA (`device` None) or DDATA with these values.

        `acquired` (UTC ms) marks stored values as historical and gives their time.

        Raises:
            SessionStateError: the edge node or the device is not born.
            InvalidValueError: a metric was not in the birth, or a value does not fit its datatype.
        """
        unit = self._born_unit(device)
        metrics = unit.data_metrics(values, now if acquired is None else acquired, acquired is not None)
        return self._message(MessageType.NDATA if device is None else MessageType.DDATA, device, metrics, now)

    def node_death(self) -> Message:
        """End the session: the same NDEATH as its will, to be published before DISCONNECT.

        Raises:
            SessionStateError: `next_will` was never called.
        """
        if self._bd_seq is None:
            raise SessionStateError("no session to end")
        self._mark_unborn()
        return self._death()

    def receive(self, topic: str, payload: bytes) -> list[Action]:
        """Take in a message of one of the `subscriptions`; return what it asks for.

        Raises:
            DecodeError: not a Sparkplug message.
        """
        parsed = parse_topic(topic)
        if isinstance(parsed, StateTopic):
            return self._on_state(topic, payload)
        if parsed.message_type not in COMMANDS or (parsed.group, parsed.edge_node) != (
            self.group,
            self.edge_node,
        ):
            return []
        metrics = decode_payload(payload).metrics
        unit = self._units.get(parsed.device)
        if unit is None:
            return [Refused(parsed.device, "", "no such device")]
        actions = [self._command(unit, parsed.device, metric) for metric in metrics]
        return [action for action in actions if action is not None]

    def _births(self, bd_seq: int, now: int, values: ValueSource) -> list[Message]:
        self._mark_unborn()
        self._seq.reset()
        node = self._units[None]
        own = [
            Metric(BD_SEQ, bd_seq, DataType.INT64, now),
            Metric(REBIRTH, False, DataType.BOOLEAN, now),
        ]
        own += node.birth_metrics(values(None) or {}, now)
        messages = [self._message(MessageType.NBIRTH, None, own, now)]
        node.born = True
        messages.extend(
            self.device_birth(device, now, current)
            for device in self._units
            if device is not None and (current := values(device)) is not None
        )
        return messages

    def _command(self, unit: Unit, device: str | None, metric: Metric) -> Action | None:
        if metric.fault is not None:
            return Refused(device, metric.name or f"alias {metric.alias}", metric.fault)
        if device is None and metric.name == REBIRTH:
            return RebirthRequested() if _is_true(metric) else None
        if device is None and metric.name == NEXT_SERVER and unit.find(metric) is not None:
            return NextServerRequested() if _is_true(metric) else None
        known = unit.find(metric)
        if known is None or not known.definition.writable:
            reason = "no such metric" if known is None else "the metric is not writable"
            return Refused(device, metric.name or f"alias {metric.alias}", reason)
        try:
            return Write(device, known.definition.name, known.accept(metric))
        except (DecodeError, InvalidValueError) as exc:
            return Refused(device, known.definition.name, str(exc))

    def _on_state(self, topic: str, payload: bytes) -> list[Action]:
        if self.primary_host is None or topic != self.primary_host.topic:
            return []
        changed = self.primary_host.on_state(decode_state(payload))
        return [] if changed is None else [PrimaryHostChanged(changed)]

    def _death(self) -> Message:
        payload = encode_payload(Payload(metrics=[Metric(BD_SEQ, self._bd_seq, DataType.INT64)]))
        return Message(self._topic(MessageType.NDEATH, None), payload, qos=1)

    def _message(
        self, message_type: MessageType, device: str | None, metrics: list[Metric], now: int
    ) -> Message:
        payload = Payload(now, metrics, self._seq.upcoming)
        encoded = encode_payload(payload, with_datatypes=message_type in BIRTHS)
        topic = self._topic(message_type, device)
        size = len(topic.encode()) + len(encoded) + _PACKET_OVERHEAD
        if self.max_packet_size is not None and size > self.max_packet_size:
            raise MessageTooLargeError(topic, size, self.max_packet_size)
        self._seq.take()  # only now: a message that cannot be sent must not leave a gap
        return Message(topic, encoded)

    def _topic(self, message_type: MessageType, device: str | None) -> str:
        own = f"{NAMESPACE}/{self.group}/{message_type}/{self.edge_node}"
        return own if device is None else f"{own}/{device}"

    def _unit(self, device: str | None) -> Unit:
        try:
            return self._units[device]
        except KeyError:
            raise InvalidValueError("device", device, f"one of {sorted(filter(None, self._units))}") from None

    def _born_unit(self, device: str | None) -> Unit:
        unit = self._unit(device)
        if not unit.born:
            raise SessionStateError(f"{self.edge_node if device is None else device} is not born")
        return unit

    def _mark_unborn(self) -> None:
        for unit in self._units.values():
            unit.born = False


def _is_true(metric: Metric) -> bool:
    """Whether a command writes true; some peers write 1 and no datatype."""
    return metric.value is True or (metric.datatype is None and metric.value == 1)
