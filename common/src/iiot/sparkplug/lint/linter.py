"""The linter: takes events in order of time, hands each to those who judge it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from iiot.errors import DecodeError
from iiot.sparkplug.lint.broker import BrokerWatch
from iiot.sparkplug.lint.commands import check_command
from iiot.sparkplug.lint.connections import ConnectionWatch
from iiot.sparkplug.lint.events import Connect, Cut, Disconnect, Event, Publish, Subscribe, Vantage
from iiot.sparkplug.lint.findings import Finding, Findings, Kind, Subject
from iiot.sparkplug.lint.host import HostWatch
from iiot.sparkplug.lint.metrics import check_metrics, read_payload
from iiot.sparkplug.lint.node import NodeWatch
from iiot.sparkplug.lint.primary import PrimaryWatch
from iiot.sparkplug.lint.timers import Timers
from iiot.sparkplug.lint.times import CLOCKS_AGREE, MINUTE, describe_wrong_unit, is_zone_offset
from iiot.sparkplug.lint.topics import check_topic
from iiot.sparkplug.topic import CERTIFICATES, COMMANDS, MessageType, StateTopic, Topic, parse_topic

if TYPE_CHECKING:
    from iiot._pb.sparkplug_b_pb2 import Payload as Pb
    from iiot.sparkplug.lint.content import Note

HOST_PATIENCE: Final = 120_000
"""ms in which a host asks for a rebirth after a gap: its reorder time-out, and limits of its requests."""
_UNTIMED: Final = (MessageType.NDEATH,)
_OUT_OF_SEQUENCE: Final = (MessageType.NDEATH, *COMMANDS)


class Linter:
    """Judges a broker's traffic.

    Args:
        vantage: how the observer looks.
        primary_host: id of the host that all edge nodes are configured to wait for; None: they are not.

    Attributes:
        nodes: by group id and edge node id.
        hosts: by host id.
        messages: Sparkplug messages judged.
        first, last: time of the first and the latest event, ms; None before the first.
    """

    def __init__(self, vantage: Vantage | None = None, primary_host: str | None = None) -> None:
        self.vantage = vantage or Vantage()
        self.nodes: dict[tuple[str, str], NodeWatch] = {}
        self.hosts: dict[str, HostWatch] = {}
        self.messages = 0
        self.cuts = 0
        self.first: int | None = None
        self.last = 0
        self._findings = Findings()
        self._timers = Timers()
        self._broker = BrokerWatch(self._findings, self._timers, self.vantage)
        self._connections = ConnectionWatch(self._findings)
        self._primary = None
        if primary_host is not None:
            known = self.vantage.begins_with_stored
            self._primary = PrimaryWatch(primary_host, self._findings, known=known)
        self._saw_qos_0 = False
        self._missed_in: dict[Subject, int] = {}
        self._ids: dict[tuple[str, str], dict[str, str]] = {}

    @property
    def sees_qos(self) -> bool:
        """Whether the broker hands messages on with the publisher's QoS, as far as is known."""
        known = self.vantage.qos_as_published
        return self._saw_qos_0 if known is None else known

    def feed(self, event: Event) -> None:
        """Take in the next event."""
        self._advance(event)
        match event:
            case Publish():
                self._publish(event)
            case Connect():
                self._connections.connected(event)
                self._broker.connected(event)
            case Subscribe():
                self._connections.subscribed(event)
            case Disconnect():
                self._connections.disconnected(event)
                self._broker.disconnected(event)
            case Cut():
                self._cut()

    def finish(self, now: int | None = None) -> list[Finding]:
        """The observation ends (`now`, or with the latest event); return all findings."""
        self._findings.event = None
        self._timers.run(self.last if now is None else now)
        for node in self.nodes.values():
            node.finish()
        return self._findings.results(with_qos=self.sees_qos)

    def _advance(self, event: Event) -> None:
        begins, self.first = self.first is None, event.time if self.first is None else self.first
        self.last = max(self.last, event.time)
        self._findings.event, self._findings.now = None, self.last
        if begins:
            self._broker.begin()
        self._timers.run(self.last)
        self._findings.event = event

    def _cut(self) -> None:
        self.cuts += 1
        self._timers.clear()
        self._connections.reset()
        self._broker.reset()
        if self._primary is not None:
            self._primary.reset()
        for node in self.nodes.values():
            node.reset()
        for host in self.hosts.values():
            host.reset()

    def _publish(self, event: Publish) -> None:
        if event.topic.startswith(CERTIFICATES):
            self._broker.offered(event)
            return
        self._broker.published(event)
        try:
            topic = parse_topic(event.topic)
        except DecodeError:
            self.messages += check_topic(event.topic, self._findings)
            self._connections.published(event, None)
            return
        self.messages += 1
        self._saw_qos_0 = self._saw_qos_0 or event.qos == 0
        self._connections.published(event, topic)
        if isinstance(topic, StateTopic):
            self._state(topic, event)
        else:
            self._sparkplug(topic, event)

    def _state(self, topic: StateTopic, event: Publish) -> None:
        host = self.hosts.get(topic.host_id)
        stored = event.retain and host is None
        if host is None:
            host = self.hosts[topic.host_id] = HostWatch(topic.host_id, self._findings, self._timers)
        if self._primary is not None and event.topic == self._primary.topic:
            self._primary.on_state(event)
        host.receive(event, stored=stored, retain_known=self.vantage.retain_as_published)

    def _sparkplug(self, topic: Topic, event: Publish) -> None:
        verb = topic.message_type
        node = self.nodes.get((topic.group, topic.edge_node))
        subject = self._subject(topic, node, event)
        note = partial(_report, self._findings, subject)
        _check_delivery(verb, event, note)
        if not event.payload and event.retain:
            return  # clears a stored message
        payload = read_payload(verb, event.payload, note)
        if payload is None:
            return
        if node is None and verb not in COMMANDS:
            node = self._new_node(topic)
        if topic.device is not None:
            self._check_case("device", f"{topic.group}/{topic.edge_node}", topic.device, subject)
        _check_counters(verb, payload, event, note)
        check_metrics(verb, payload, event.time, note)
        if verb in COMMANDS:
            self._check_sender(subject, note)
            check_command(verb, topic.device, payload, node, event, note)
        elif node is not None and not _may_be_old(event, node):
            if self._primary is not None:
                self._primary.check(verb, node, event)
            node.receive(verb, topic.device, payload, event)

    def _subject(self, topic: Topic, node: NodeWatch | None, event: Publish) -> Subject:
        if topic.message_type in COMMANDS:
            return self._connections.sender_of(event)
        if topic.device is None:
            return node.subject if node else Subject(Kind.EDGE_NODE, topic.group, topic.edge_node)
        return Subject(Kind.DEVICE, topic.group, topic.edge_node, topic.device)

    def _new_node(self, topic: Topic) -> NodeWatch:
        node = NodeWatch(topic.group, topic.edge_node, self._findings, self._timers, self._missed)
        self.nodes[topic.group, topic.edge_node] = node
        self._check_case("group", "", topic.group, node.subject)
        self._check_case("edge_node", topic.group, topic.edge_node, node.subject)
        return node

    def _check_case(self, what: str, scope: str, name: str, subject: Subject) -> None:
        first = self._ids.setdefault((what, scope), {}).setdefault(name.casefold(), name)
        if first != name:
            self._findings.report("id-case", subject, f"{first!r} and {name!r}")

    def _missed(self, node: NodeWatch, event: Publish) -> None:
        """Messages are missing for good: a host that orders messages asks for a rebirth, once."""
        if self._missed_in.get(node.subject) == node.round:
            return
        self._missed_in[node.subject] = node.round
        check = partial(self._check_asked, node, node.round, event)
        self._timers.at(event.time + HOST_PATIENCE, check)

    def _check_asked(self, node: NodeWatch, missed_in: int, event: Publish) -> None:
        online = [host for host in self.hosts.values() if host.online]
        if len(online) == 1 and online[0].since < event.time and node.round == missed_in and not node.asked:
            detail = f"no rebirth request to {node.subject.group}/{node.subject.name} within 2 min"
            self._findings.report("gap-not-asked", online[0].subject, detail, event=event)

    def _check_sender(self, sender: Subject, note: Note) -> None:
        """Judge whether who sends a command has said on STATE that it is online."""
        if sender.kind is Kind.HOST:
            host = self.hosts.get(sender.name)
            if host is not None and host.online is False:
                note("command-without-host", "its STATE says offline")
        elif self._connections.saw_connect(sender.name):
            note("command-without-host", f"client {sender.name!r} has said nothing on STATE")
        else:
            states = [host.online for host in self.hosts.values()]
            known = self.vantage.begins_with_stored or (states and None not in states)
            if known and True not in states:
                note("command-without-host", "no host has said on STATE that it is online")


def _may_be_old(event: Publish, node: NodeWatch) -> bool:
    """Whether the broker may have stored the message before the observation began."""
    return event.retain and not node.messages


def _report(findings: Findings, subject: Subject, key: str, detail: str, variant: str = "") -> None:
    findings.report(key, subject, detail, variant)


def _check_delivery(verb: MessageType, event: Publish, note: Note) -> None:
    if verb is MessageType.NDEATH:
        if event.qos == 0:
            note("ndeath-qos-not-1", "QoS 0")
    elif event.qos:
        note("qos-not-0", f"QoS {event.qos}", verb)
    if event.retain:
        note("retained", "retained", verb)


def _check_counters(verb: MessageType, payload: Pb, event: Publish, note: Note) -> None:
    """Judge the payload's timestamp, and whether it has a seq that its type may have."""
    if payload.HasField("timestamp"):
        if not event.retain:
            _check_time(payload.timestamp, event.time, note)
    elif verb not in _UNTIMED:
        note("timestamp-missing", "no timestamp", verb)
    if verb in _OUT_OF_SEQUENCE:
        if payload.HasField("seq"):
            note("seq-forbidden", f"seq {payload.seq}", verb)
    elif not payload.HasField("seq"):
        note("seq-missing", "no seq", verb)
    elif payload.seq > 255:
        note("seq-out-of-range", f"seq {payload.seq}", verb)
    elif verb is MessageType.NBIRTH and payload.seq:
        note("nbirth-seq-not-0", f"seq {payload.seq}")


def _check_time(timestamp: int, now: int, note: Note) -> None:
    if wrong := describe_wrong_unit(timestamp):
        note("timestamp-not-utc", wrong)
        return
    difference = timestamp - now
    if is_zone_offset(difference):
        note("timestamp-not-utc", f"{difference / (60 * MINUTE):+.2f} h from the observer: a local time")
    elif abs(difference) > CLOCKS_AGREE:
        note("clock-differs", f"{difference / MINUTE:+.0f} min from the observer")
