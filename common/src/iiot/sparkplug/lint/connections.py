"""Judges connections, where the observer can see them: CONNECT, SUBSCRIBE, first publish, DISCONNECT."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from iiot.errors import DecodeError
from iiot.sparkplug.lint.findings import Findings, Kind, Subject
from iiot.sparkplug.lint.metrics import bd_seq_of, read_payload
from iiot.sparkplug.lint.times import CLOCKS_AGREE
from iiot.sparkplug.payload import read_message
from iiot.sparkplug.sequence import follows
from iiot.sparkplug.state import decode_state
from iiot.sparkplug.topic import MessageType, StateTopic, Topic, parse_topic

if TYPE_CHECKING:
    from iiot.sparkplug.lint.events import Connect, Disconnect, Publish, Subscribe

_MQTT_5: Final = 5
_WITH_WILL: Final = 4


@dataclass(slots=True)
class _Client:
    connect: Connect
    subject: Subject | None = None
    bd_seq: int | None = None
    host_time: int | None = None
    filters: dict[str, int] = field(default_factory=dict)
    published: bool = False
    born: bool = False
    died: bool = False


class ConnectionWatch:
    """All clients whose CONNECT was seen; who connected before the observation is not judged."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._clients: dict[str, _Client] = {}
        self._bd_seqs: dict[Subject, int] = {}
        self._clients_of: dict[Subject, str] = {}
        self._hosts: dict[str, Subject] = {}

    def reset(self) -> None:
        """The observer missed messages."""
        self._clients.clear()
        self._bd_seqs.clear()
        self._hosts.clear()

    def sender_of(self, event: Publish) -> Subject:
        """Who published a command: a host only if the client has spoken for it on STATE."""
        client = event.client or ""
        return self._hosts.get(client) or Subject(Kind.CLIENT, name=client)

    def saw_connect(self, client: str) -> bool:
        """Whether the client's connection was seen from its beginning."""
        return client in self._clients

    def connected(self, event: Connect) -> None:
        """Judge the will of a CONNECT; clients without a Sparkplug will are judged when they publish."""
        client = self._clients[event.client] = _Client(event)
        if event.will is None:
            return
        try:
            topic = parse_topic(event.will.topic)
        except DecodeError:
            return
        if isinstance(topic, StateTopic):
            self._host_will(client, topic)
        elif topic.message_type is MessageType.NDEATH:
            self._edge_will(client, topic)

    def subscribed(self, event: Subscribe) -> None:
        """Remember what a client subscribed to."""
        client = self._clients.get(event.client)
        if client is not None:
            client.filters[event.topic_filter] = event.qos

    def published(self, event: Publish, topic: Topic | StateTopic | None) -> None:
        """Judge what a client does first, and its births against its will."""
        if isinstance(topic, StateTopic) and event.client:
            self._hosts[event.client] = Subject(Kind.HOST, name=topic.host_id)
        client = self._clients.get(event.client or "")
        if client is None:
            return
        first, client.published = not client.published, True
        if isinstance(topic, StateTopic):
            self._host_publish(client, topic, event)
        elif topic is not None and topic.message_type is MessageType.NBIRTH:
            self._edge_birth(client, topic, event)
        elif topic is not None and topic.message_type is MessageType.NDEATH:
            client.died = True
        elif first and client.subject is not None:
            variant = "host" if client.subject.kind is Kind.HOST else ""
            self._report("first-publish", client.subject, f"first came {event.topic}", variant)

    def disconnected(self, event: Disconnect) -> None:
        """Judge a clean stop."""
        client = self._clients.pop(event.client, None)
        if client is None or client.subject is None or event.reason is None or not client.born:
            return
        with_will = client.connect.version >= _MQTT_5 and event.reason == _WITH_WILL
        if client.subject.kind is Kind.HOST:
            if not client.died:
                self._report("disconnect-without-death", client.subject, "no STATE offline before", "host")
        elif client.connect.version >= _MQTT_5:
            if not with_will:
                detail = f"DISCONNECT with reason 0x{event.reason:02x}"
                self._report("disconnect-without-death", client.subject, detail, "v5")
        elif not client.died:
            self._report("disconnect-without-death", client.subject, "no NDEATH before DISCONNECT", "v3")

    def _edge_will(self, client: _Client, topic: Topic) -> None:
        will = client.connect.will
        subject = client.subject = Subject(Kind.EDGE_NODE, topic.group, topic.edge_node)
        owner = self._clients_of.setdefault(subject, client.connect.client)
        if owner != client.connect.client and owner in self._clients:
            self._report("edge-node-not-unique", subject, f"clients {owner!r} and {client.connect.client!r}")
        self._clients_of[subject] = client.connect.client
        self._check_clean(client, "edge")
        if will is None:
            return
        if will.qos != 1:
            self._report("will-qos", subject, f"QoS {will.qos}", "edge")
        if will.retain:
            self._report("will-retain", subject, "retained", "edge")
        payload = read_payload(MessageType.NDEATH, will.payload, partial(self._report_will, subject))
        if payload is None:
            return
        client.bd_seq = bd_seq_of(payload)
        if client.bd_seq is None:
            self._report("bdseq-missing", subject, "the will has none", MessageType.NDEATH)
            return
        before = self._bd_seqs.get(subject)
        if before is not None and not follows(before, client.bd_seq):
            self._report("bdseq-order", subject, f"CONNECT with bdSeq {client.bd_seq} after {before}")
        self._bd_seqs[subject] = client.bd_seq

    def _host_will(self, client: _Client, topic: StateTopic) -> None:
        will = client.connect.will
        subject = client.subject = self._hosts[client.connect.client] = Subject(Kind.HOST, name=topic.host_id)
        self._check_clean(client, "host")
        if will is None:
            return
        if will.qos != 1:
            self._report("will-qos", subject, f"QoS {will.qos}", "host")
        if not will.retain:
            self._report("will-retain", subject, "not retained", "host")
        try:
            state = decode_state(will.payload)
        except DecodeError as exc:
            self._report("state-payload", subject, f"will: {exc}", "death")
            return
        client.host_time = state.timestamp
        if state.online:
            self._report("state-payload", subject, "the will says online", "death")
        if abs(client.connect.time - state.timestamp) > CLOCKS_AGREE:
            late = (client.connect.time - state.timestamp) / 60_000
            self._report("will-timestamp", subject, f"the time is {late:.0f} min off")

    def _check_clean(self, client: _Client, role: str) -> None:
        connect, subject = client.connect, client.subject
        is_v5 = connect.version >= _MQTT_5
        if subject is not None and (not connect.clean or (is_v5 and connect.session_expiry)):
            detail = f"clean {connect.clean}, session expiry {connect.session_expiry} s"
            self._report("clean-session", subject, detail, f"{role}_v{5 if is_v5 else 3}")

    def _edge_birth(self, client: _Client, topic: Topic, event: Publish) -> None:
        subject = Subject(Kind.EDGE_NODE, topic.group, topic.edge_node)
        if client.connect.will is None:
            self._report("will-missing", subject, "no will in CONNECT", "edge")
            client.subject = subject
            self._check_clean(client, "edge")
        elif client.subject != subject:
            self._report("will-topic", subject, f"the will's topic is {client.connect.will.topic}", "edge")
        client.subject = subject
        try:
            bd_seq = bd_seq_of(read_message(event.payload))
        except DecodeError:  # told where messages are judged
            bd_seq = None
        if None not in (bd_seq, client.bd_seq) and bd_seq != client.bd_seq:
            self._report("will-bdseq", subject, f"will {client.bd_seq}, NBIRTH {bd_seq}")
        if not client.born:
            own = f"{topic.group}/{{}}/{topic.edge_node}"
            self._check_subscription(client, "ncmd-subscription", f"spBv1.0/{own.format('NCMD')}")
            if any("/DCMD/" in topic_filter for topic_filter in client.filters):
                self._check_subscription(client, "dcmd-subscription", f"spBv1.0/{own.format('DCMD')}/+")
        client.born = True

    def _check_subscription(self, client: _Client, key: str, wanted: str) -> None:
        qos = max((qos for name, qos in client.filters.items() if covers(name, wanted)), default=None)
        if client.subject is not None and (qos is None or qos < 1):
            detail = f"{wanted}: " + ("not subscribed" if qos is None else "QoS 0")
            self._report(key, client.subject, detail)

    def _host_publish(self, client: _Client, topic: StateTopic, event: Publish) -> None:
        subject = Subject(Kind.HOST, name=topic.host_id)
        try:
            state = decode_state(event.payload)
        except DecodeError:
            return
        if not state.online:
            client.died = True
            return
        if client.connect.will is None:
            self._report("will-missing", subject, "no will in CONNECT", "host")
        elif client.subject != subject:
            self._report("will-topic", subject, f"the will's topic is {client.connect.will.topic}", "host")
        client.subject = subject
        if client.host_time not in (None, state.timestamp):
            detail = f"will {client.host_time}, birth {state.timestamp}"
            self._report("state-birth-timestamp", subject, detail)
        if not client.born and not any(covers(name, str(topic)) for name in client.filters):
            self._report("state-subscription", subject, f"{topic} not subscribed before the birth")
        client.born, client.died = True, False

    def _report_will(self, subject: Subject, key: str, detail: str, variant: str = "") -> None:
        self._report(key, subject, f"the will: {detail}", variant)

    def _report(self, key: str, subject: Subject, detail: str, variant: str = "") -> None:
        self._findings.report(key, subject, detail, variant)


def covers(topic_filter: str, wanted: str) -> bool:
    """Whether a filter takes in everything that the topic, or filter with `+`, `wanted` stands for."""
    have, need = topic_filter.split("/"), wanted.split("/")
    for position, level in enumerate(have):
        if level == "#":
            return True
        if position >= len(need) or level not in ("+", need[position]):
            return False
    return len(have) == len(need)
