"""Sparkplug topics (specification 3.0, chapter 4).

`spBv1.0/{group}/{N…}/{edge node}`, `spBv1.0/{group}/{D…}/{edge node}/{device}` and
`spBv1.0/STATE/{host id}`. Older devices of this testbed send a short form without the edge
node's level, `spBv1.0/{group}/DBIRTH/{device}`; it is read on request and never written.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from iiot.budgets import TOPIC_CHARS, BudgetError
from iiot.errors import DecodeError, InvalidValueError

NAMESPACE = "spBv1.0"
CERTIFICATES = "$sparkplug/certificates/"
"""Where a Sparkplug-aware broker offers stored births, followed by their own topic."""
_STATE = "STATE"
_SHOWN: Final = 60


class MessageType(StrEnum):
    """The verb in a topic: N for the edge node itself, D for a device behind it."""

    NBIRTH = "NBIRTH"
    NDEATH = "NDEATH"
    NDATA = "NDATA"
    NCMD = "NCMD"
    DBIRTH = "DBIRTH"
    DDEATH = "DDEATH"
    DDATA = "DDATA"
    DCMD = "DCMD"

    @property
    def of_device(self) -> bool:
        """Whether messages of this type name a device."""
        return self in _OF_DEVICE


BIRTHS: Final = (MessageType.NBIRTH, MessageType.DBIRTH)
DATA: Final = (MessageType.NDATA, MessageType.DDATA)
COMMANDS: Final = (MessageType.NCMD, MessageType.DCMD)
_OF_DEVICE = frozenset({MessageType.DBIRTH, MessageType.DDEATH, MessageType.DDATA, MessageType.DCMD})
_SHORT_FORM = frozenset({MessageType.DBIRTH, MessageType.DDEATH, MessageType.DDATA})
_BY_VERB = {member.value: member for member in MessageType}


@dataclass(frozen=True, slots=True)
class Topic:
    """The parts of a topic of an edge node or a device; `str()` gives the topic.

    `device` is None for the N verbs. `short_form` marks input without the edge node's level: then
    the one id stands for both, and `str()` gives the legal topic, not the one received.
    """

    message_type: MessageType
    group: str
    edge_node: str
    device: str | None = None
    short_form: bool = False

    def __str__(self) -> str:
        node_level = f"{NAMESPACE}/{self.group}/{self.message_type}/{self.edge_node}"
        return node_level if self.device is None else f"{node_level}/{self.device}"


@dataclass(frozen=True, slots=True)
class StateTopic:
    """The topic on which the host application `host_id` says whether it is online."""

    host_id: str

    def __str__(self) -> str:
        return f"{NAMESPACE}/{_STATE}/{self.host_id}"


def check_id(field: str, text: str) -> str:
    """Return `text` when it may be a group, edge node, device or host id.

    Raises:
        InvalidValueError: it is empty, has one of `/ + #` or a NUL, or is not valid Unicode; or it
            is the group `STATE`, which would make topics ambiguous.
    """
    legal = bool(text) and not any(c in "/+#\0" for c in text) and _is_unicode(text)
    if not legal or (field == "group" and text == _STATE):
        allowed = "non-empty text without / + # and NUL"
        raise InvalidValueError(field, text, f"{allowed}, not {_STATE}" if field == "group" else allowed)
    return text


def format_topic(message_type: MessageType, group: str, edge_node: str, device: str | None = None) -> str:
    """Compose a topic.

    Raises:
        InvalidValueError: an id is not legal, a D verb lacks its device, or an N verb has one.
    """
    check_id("group", group)
    check_id("edge_node", edge_node)
    if message_type.of_device != (device is not None):
        allowed = f"an id in {message_type}" if message_type.of_device else f"none in {message_type}"
        raise InvalidValueError("device", device, allowed)
    if device is not None:
        check_id("device", device)
    return str(Topic(message_type, group, edge_node, device))


@lru_cache(maxsize=65_536)
def parse_topic(text: str, *, accept_short_form: bool = False) -> Topic | StateTopic:
    """Take a topic apart; results are cached, a fleet uses the same topics again and again.

    With `accept_short_form`, `spBv1.0/{group}/{DBIRTH|DDATA|DDEATH}/{id}` is read as edge node
    `id`, device `id`, with `short_form` set.

    Raises:
        BudgetError: longer than `TOPIC_CHARS`.
        DecodeError: not a Sparkplug B topic; the text says which level is wrong.
    """
    if len(text) > TOPIC_CHARS:
        raise BudgetError("characters", TOPIC_CHARS, f"topic {text[:_SHOWN]!r}…")
    namespace, *levels = text.split("/")
    if namespace != NAMESPACE:
        raise DecodeError(f"topic {text!r}: does not start with {NAMESPACE}/")
    if not all(levels):
        raise DecodeError(f"topic {text!r}: an empty level")
    if levels[:1] == [_STATE]:
        if len(levels) != 2:
            raise DecodeError(f"topic {text!r}: STATE takes exactly 3 levels")
        return StateTopic(levels[1])
    if len(levels) < 2 or (message_type := _BY_VERB.get(levels[1])) is None:
        raise DecodeError(f"topic {text!r}: the third level is not a Sparkplug message type")
    group, _, *ids = levels
    if len(ids) == 1 + message_type.of_device:
        return Topic(message_type, group, ids[0], ids[1] if message_type.of_device else None)
    if accept_short_form and len(ids) == 1 and message_type in _SHORT_FORM:
        return Topic(message_type, group, ids[0], ids[0], short_form=True)
    raise DecodeError(f"topic {text!r}: {message_type} takes exactly {4 + message_type.of_device} levels")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
