"""What a host application reports: changes of life, requests to send, counts."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from iiot.sparkplug.topic import MessageType, Topic


class NonConformity(StrEnum):
    """Ways in which a message breaks the specification and is understood all the same."""

    SHORT_FORM = "short_form"
    MISSING_SEQ = "missing_seq"
    NBIRTH_SEQ = "nbirth_seq"
    MISSING_BD_SEQ = "missing_bd_seq"
    NO_REBIRTH_METRIC = "no_rebirth_metric"
    ALIAS_COLLISION = "alias_collision"
    INCOMPLETE_BIRTH_METRIC = "incomplete_birth_metric"
    DUPLICATE_METRIC = "duplicate_metric"
    RETAINED = "retained"
    SESSION_REPLACED = "session_replaced"
    DUPLICATE_EDGE_NODE = "duplicate_edge_node"


class Change(StrEnum):
    """What happened to an edge node or a device."""

    BORN = "born"
    DIED = "died"
    STALE = "stale"
    REPLACED = "replaced"
    DUPLICATE = "duplicate"
    FORGOTTEN = "forgotten"


class Cause(StrEnum):
    """Why values are stale though no death came."""

    GAP = "gap"
    HOST_CUT_OFF = "host_cut_off"


class Limit(StrEnum):
    """What a host keeps at most; see HostPolicy."""

    NODES = "nodes"
    DEVICES = "devices"
    METRICS = "metrics"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class LifeEvent:
    """What happened to an edge node (`device` None) or a device at `time`.

    The events of an edge node tell its whole state and that of its devices: after `born` its devices are
    offline until they are born; when it is `stale` or has `died`, so have they. `online` tells whether it is
    online from now on, None where nothing changes; when it is stale, `cause` says why.

    Beside born, died and stale: an edge node's session was replaced by one with another bdSeq before its
    NDEATH came (replaced), or two sessions take turns, so that two publishers use one id (duplicate), or a
    person had it removed (forgotten).
    """

    change: Change
    group: str
    edge_node: str
    device: str | None
    time: int
    cause: Cause | None = field(default=None, compare=False)
    online: bool | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Parts of a message that have no effect: how many, why the first, and its name if it is a metric."""

    topic: Topic
    metric: str | None
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class RequestRebirth:
    """Send NCMD `Node Control/Rebirth` = true to this edge node."""

    group: str
    edge_node: str


Output: TypeAlias = LifeEvent | RequestRebirth | Refusal


@dataclass(slots=True)
class HostCounters:
    """Counts since the host started.

    Attributes:
        messages: received, by type.
        non_conformant: messages that broke the specification, by kind.
        gaps: times that missing messages did not arrive in time.
        reordered: messages that came too early and were applied in their turn.
        ignored: messages without effect: before birth, of an ended session, or past `max_nodes`.
        unknown_metrics: metrics of DATA messages that no birth announced.
        undecodable: payloads or values that could not be read.
        historical: metrics with stored values; they do not change the current value.
        certificates: stored births that a Sparkplug-aware broker offered and that told something new.
        rebirth_requests: sent to edge nodes.
        over_limit: edge nodes' messages, devices' births, metrics and values that were ignored, by limit.
        over_budget: messages that would have cost too much to read, by the budget of `iiot.budgets`.
        cleared: empty messages, which clear a retained one and say nothing else.
    """

    messages: dict[MessageType, int] = field(default_factory=lambda: dict.fromkeys(MessageType, 0))
    non_conformant: dict[NonConformity, int] = field(default_factory=lambda: dict.fromkeys(NonConformity, 0))
    gaps: int = 0
    reordered: int = 0
    ignored: int = 0
    unknown_metrics: int = 0
    undecodable: int = 0
    historical: int = 0
    certificates: int = 0
    rebirth_requests: int = 0
    over_limit: dict[Limit, int] = field(default_factory=lambda: dict.fromkeys(Limit, 0))
    cleared: int = 0
    over_budget: Counter[str] = field(default_factory=Counter)
