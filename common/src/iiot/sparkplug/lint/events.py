"""What an observer of a broker can notice, and its form as JSON lines.

A recording is one JSON object a line. The first says how the observer looked (`vantage`), the others
have the member `event` with the name of a class here in lower case, and that class's members;
payloads are base64. Times are UTC, ms since 1970.
"""

import base64
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, TypeAlias, get_args

import orjson

from iiot.errors import DecodeError


@dataclass(frozen=True, slots=True)
class Vantage:
    """How the observer looks.

    Attributes:
        retain_as_published: messages keep the publisher's retain flag (MQTT 5, retain as published).
            Otherwise only stored messages have it.
        qos_as_published: the broker hands messages on with the publisher's QoS, up to 1. None: unknown;
            then the first message with QoS 0 proves it (Mosquitto can be told to raise QoS).
        begins_with_stored: the broker handed over its retained messages first, so that a host without
            STATE has none.
        maximum_qos, retain_available: what the broker says of itself in CONNACK (MQTT 5).
    """

    retain_as_published: bool = False
    qos_as_published: bool | None = None
    begins_with_stored: bool = False
    maximum_qos: int = 2
    retain_available: bool = True


@dataclass(frozen=True, slots=True)
class Publish:
    """A message that reached the observer. `client`: who published it, where that is known."""

    time: int
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    duplicate: bool = False
    client: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectWill:
    """The will of a CONNECT."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Connect:
    """A client connected. `version`: 3 or 4 for MQTT 3.1 and 3.1.1, 5; `session_expiry` in s, MQTT 5."""

    time: int
    client: str
    version: int
    clean: bool
    session_expiry: int = 0
    will: ConnectWill | None = None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A client subscribed to one filter."""

    time: int
    client: str
    topic_filter: str
    qos: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A client sent DISCONNECT (`reason` of MQTT 5), or its socket closed without one (`reason` None)."""

    time: int
    client: str
    reason: int | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """The observer itself lost its connection: messages may be missing here."""

    time: int


Event: TypeAlias = Publish | Connect | Subscribe | Disconnect | Cut

_KINDS: Final[dict[str, type[Any]]] = {
    kind.__name__.lower(): kind for kind in (Publish, Connect, Subscribe, Disconnect, Cut)
}


def encode_vantage(vantage: Vantage) -> bytes:
    """The first line of a recording."""
    return orjson.dumps({"vantage": asdict(vantage)}) + b"\n"


def encode_event(event: Event) -> bytes:
    """One line of a recording."""
    content = {"event": type(event).__name__.lower(), **asdict(event)}
    for holder in (content, content.get("will")):
        if holder and "payload" in holder:
            holder["payload"] = base64.b64encode(holder["payload"]).decode()
    return orjson.dumps(content) + b"\n"


def decode_line(line: bytes) -> Event | Vantage:
    """Read one line of a recording.

    Raises:
        DecodeError: the line is not of this form.
    """
    try:
        content = orjson.loads(line)
        if "vantage" in content:
            vantage: Vantage = _build(Vantage, content["vantage"])
            return vantage
        kind = _KINDS[content.pop("event")]
        for holder in (content, content.get("will")):
            if holder and "payload" in holder:
                holder["payload"] = base64.b64decode(holder["payload"], validate=True)
        if content.get("will"):
            content["will"] = _build(ConnectWill, content["will"])
        event: Event = _build(kind, content)
        return event
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise DecodeError(f"not an event of a recording: {exc!r:.80}") from None


def _build(kind: type[Any], content: dict[str, Any]) -> Any:
    for entry in fields(kind):
        allowed = get_args(entry.type) or (entry.type,)  # members that may be null are unions
        if entry.name in content and type(content[entry.name]) not in allowed:
            raise TypeError(f"{entry.name} is not of type {entry.type}")
    return kind(**content)
