"""From an MQTT message to a Kafka record: key, value, headers; one encoder per MQTT topic, reused."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson

from iiot import dead_letters, schemas
from iiot._pb.sparkplug_b_pb2 import Payload as _Pb
from iiot.budgets import BudgetError
from iiot.errors import DecodeError, InvalidValueError
from iiot.identity import check_device_id
from iiot.json_input import check_nesting
from iiot.kafka import Headers
from iiot.lwm2m import json_profile
from iiot.sparkplug.births import BirthCatalog, is_removal
from iiot.sparkplug.output import check_output
from iiot.sparkplug.payload import Payload, decode_message, decode_payload, read_sized
from iiot.sparkplug.plain import resolve_plain
from iiot.sparkplug.topic import BIRTHS, COMMANDS, DATA, Topic, parse_topic
from iiot.sparkplug.wire import DEFAULT_BUDGET, PayloadBudget
from mqtt_redpanda_bridge.devices import DeviceStates
from mqtt_redpanda_bridge.events import EventHeaders
from mqtt_redpanda_bridge.metric_json import metric_to_json, plain_to_json
from mqtt_redpanda_bridge.oma import Lwm2mOma
from mqtt_redpanda_bridge.routes import Format, Route
from mqtt_redpanda_bridge.store import Store

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"
_OPERATIONS = {
    "reg": "register",
    "dereg": "deregister",
    "update": "update",
    "send": "send",
    "notify": "notify",
    "resp": "response",
}
_WITH_TOKEN = ("notify", "resp")
_REGISTRATION = ("register", "update", "deregister")
_NULL: Final = b'"value":null'
_BAD: Final = b'"quality":"bad"'
_SHORT: Final = 4096
_SHORT_NAME: Final = 512
"""A message of so many bytes, and names of so many characters, never make too much JSON."""


@dataclass(slots=True)
class Context:
    """What encoders share.

    Attributes:
        births: names and datatypes learnt so far.
        store: where births are kept, if anywhere.
        non_conformant: messages on the short Sparkplug topic form.
        unresolved: metrics passed on without a name or datatype, because no birth told them.
        bad_metrics: metrics passed on without their value, because it cannot be read.
        over_budget: messages refused because they hold or would make too much.
        budget: the most that a Sparkplug payload may hold.
        prefixes: what precedes the values of a route, by its name.
        states: what is known of each device.
    """

    births: BirthCatalog = field(default_factory=BirthCatalog)
    store: Store | None = None
    non_conformant: int = 0
    unresolved: int = 0
    bad_metrics: int = 0
    over_budget: int = 0
    budget: PayloadBudget = DEFAULT_BUDGET
    prefixes: dict[str, bytes] = field(default_factory=dict)
    states: DeviceStates = field(default_factory=DeviceStates)


class Encoder(Protocol):
    """Turns the payloads of one MQTT topic into records with one key."""

    key: bytes

    def encode(self, payload: bytes, now_ms: int) -> tuple[bytes, Headers]:
        """Value and headers of the record.

        Args:
            payload: as received.
            now_ms: the time for messages that carry none, UTC ms.

        Raises:
            DecodeError: the payload is not what the route's format says.
        """


def open_encoder(route: Route, topic: str, context: Context) -> Encoder:
    """The encoder for an MQTT topic of a route.

    Raises:
        DecodeError: the topic is not one of the route's format.
    """
    return _ENCODERS[route.format](route, topic, context)


class _Sparkplug:
    """What both Sparkplug formats do: check topic and payload, learn from births, name the event."""

    def __init__(self, route: Route, topic: str, context: Context, content_type: str, schema: str) -> None:
        parsed = parse_topic(topic, accept_short_form=True)
        if not isinstance(parsed, Topic) or parsed.message_type in COMMANDS:
            raise DecodeError(f"topic {topic!r}: not a birth, data or death of an edge node or device")
        self.topic = parsed
        self._is_short = parsed.short_form
        self.context = context
        self.key = (parsed.edge_node if route.key == "device" else route.key_of(topic)).encode()
        kind = f"iot.sparkplug.{parsed.message_type.lower()}"
        self.headers = EventHeaders(topic, kind, parsed.edge_node, content_type, schema)
        self.is_birth = parsed.message_type in BIRTHS

    def take(self, payload: bytes, message: Payload, now_ms: int) -> None:
        """Learn from a message.

        Raises:
            BudgetError: the births of its edge node are too large to be kept.
            DecodeError: it says nothing.
        """
        context, topic = self.context, self.topic
        if is_removal(topic, message):
            raise DecodeError("empty, which removes a retained message and says nothing of a device")
        self.count_short_form()
        if not self.is_birth:
            context.states.sparkplug(topic, message, now_ms)
        elif context.births.learn(topic, message, 0 if context.store is None else len(payload)):
            context.states.sparkplug(topic, message, now_ms)
            if context.store is not None:
                context.store.put(topic, payload)
        else:
            context.states.seen(topic.edge_node, now_ms)

    def count_short_form(self) -> None:
        if self._is_short:
            self.context.non_conformant += 1

    def headers_of(self, timestamp: int | None, seq: int | None, now_ms: int) -> Headers:
        if timestamp is None:
            return self.headers.at(None, now_ms)
        # seq grows with every message, so with the time it tells messages of a topic apart.
        return self.headers.at(None if seq is None else f"{timestamp}-{seq}", timestamp)


class SparkplugJson(_Sparkplug):
    """Sparkplug B payloads as JSON, metric names and types resolved through births."""

    def __init__(self, route: Route, topic: str, context: Context) -> None:
        super().__init__(route, topic, context, JSON, schemas.uri(schemas.SPARKPLUG_JSON))
        described = {
            "topic": topic,
            "group": self.topic.group,
            "edge_node": self.topic.edge_node,
            "device": self.topic.device,
            "message_type": self.topic.message_type,
        }
        self._opening = orjson.dumps(described)[:-1] + b","
        self._is_data = self.topic.message_type in DATA

    def encode(self, payload: bytes, now_ms: int) -> tuple[bytes, Headers]:
        """See `Encoder.encode`."""
        try:
            message, size = read_sized(payload, self.context.budget)
            if self._is_data and (record := self._plain_record(message, size, now_ms)) is not None:
                return record
            return self._any_record(payload, message, size, now_ms)
        except BudgetError:
            self.context.over_budget += 1
            raise

    def _plain_record(self, message: _Pb, size: int, now_ms: int) -> tuple[bytes, Headers] | None:
        known = self.context.births.known(self.topic)
        plain = resolve_plain(message, known, size)
        if not plain:
            return None
        timestamp = message.timestamp if message.HasField("timestamp") else None
        seq = message.seq if message.HasField("seq") else None
        time_ms = now_ms if timestamp is None else timestamp
        metrics = [plain_to_json(metric, time_ms) for metric in plain]
        if size > _SHORT or known.longest > _SHORT_NAME:
            check_output(metrics)
        value = self._value(seq, time_ms, metrics)
        if _NULL in value:
            return None  # of a number that JSON does not know
        self.count_short_form()
        self.context.states.seen(self.topic.edge_node, now_ms)
        return value, self.headers_of(timestamp, seq, now_ms)

    def _any_record(self, payload: bytes, read: _Pb, size: int, now_ms: int) -> tuple[bytes, Headers]:
        message, context = decode_message(read, self.context.budget), self.context
        self.take(payload, message, now_ms)
        time_ms = now_ms if message.timestamp is None else message.timestamp
        if not self.is_birth:
            context.unresolved += len(context.births.resolve(self.topic, message, context.budget))
        metrics = [metric_to_json(metric, time_ms) for metric in message.metrics]
        if size > _SHORT or context.births.known(self.topic).longest > _SHORT_NAME:
            check_output(metrics)
        value = self._value(message.seq, time_ms, metrics)
        if _BAD in value:
            context.bad_metrics += sum("reason" in metric for metric in metrics)
        return value, self.headers_of(message.timestamp, message.seq, now_ms)

    def _value(self, seq: int | None, time_ms: int, metrics: list[dict[str, Any]]) -> bytes:
        return self._opening + orjson.dumps({"seq": seq, "timestamp": time_ms, "metrics": metrics})[1:]


class SparkplugProtobuf(_Sparkplug):
    """Sparkplug B payloads as they are, once they proved to be such."""

    def __init__(self, route: Route, topic: str, context: Context) -> None:
        super().__init__(route, topic, context, PROTOBUF, schemas.SPARKPLUG_PROTOBUF_URI)

    def encode(self, payload: bytes, now_ms: int) -> tuple[bytes, Headers]:
        """See `Encoder.encode`."""
        try:
            message = decode_payload(payload, self.context.budget)
            self.take(payload, message, now_ms)
        except BudgetError:
            self.context.over_budget += 1
            raise
        return payload, self.headers_of(message.timestamp, message.seq, now_ms)


class Lwm2mJson:
    """LwM2M JSON profile: the payload in an envelope with endpoint and operation."""

    def __init__(self, route: Route, topic: str, context: Context) -> None:
        root, *levels = topic.split("/")
        if levels[:1] == ["lwm2m"]:
            root, *levels = levels  # below a tenant's prefix
        operation = _OPERATIONS.get(levels[1]) if len(levels) > 1 else None
        if root != "lwm2m" or operation is None or len(levels) != 2 + (levels[1] in _WITH_TOKEN):
            raise DecodeError(f"topic {topic!r}: not an uplink topic of the LwM2M JSON profile")
        try:
            endpoint = check_device_id(levels[0])
        except InvalidValueError as exc:
            raise DecodeError(f"topic {topic!r}: {exc}") from exc
        self.key = (endpoint if route.key == "device" else route.key_of(topic)).encode()
        self._topic = json_profile.Topic(endpoint, *levels[1:])
        self._endpoint, self._operation, self._states = endpoint, operation, context.states
        schema = schemas.uri(schemas.LWM2M_JSON)
        self._headers = EventHeaders(topic, f"iot.lwm2m.{operation}", endpoint, JSON, schema)
        described = {"endpoint": endpoint, "operation": operation, "topic": topic}
        self._opening = orjson.dumps(described)[:-1] + b","

    def encode(self, payload: bytes, now_ms: int) -> tuple[bytes, Headers]:
        """See `Encoder.encode`. An empty payload, legal in `update` and `dereg`, is an empty object."""
        try:
            content = orjson.loads(payload) if payload else {}
        except orjson.JSONDecodeError as exc:
            raise DecodeError(f"not JSON: {exc}") from exc
        if not isinstance(content, dict):
            raise DecodeError(f"a JSON object was expected, got {type(content).__name__}")
        check_nesting(payload, "payload")
        sent, seq = content.get("timestamp"), content.get("seq")
        time_ms = sent if type(sent) is int else now_ms
        self._note(payload, now_ms)
        # The payload's own bytes: they need no second serializing.
        value = b'%s"timestamp":%d,"payload":%s}' % (self._opening, time_ms, payload or b"{}")
        return value, self._headers.at(str(seq) if type(seq) is int else None, time_ms)

    def _note(self, payload: bytes, now_ms: int) -> None:
        """Tell the device's state, in which what the server refuses changes nothing."""
        message = None
        if self._operation in _REGISTRATION:
            with suppress(DecodeError, InvalidValueError):
                message = json_profile.decode_uplink(self._topic, payload)
        self._states.lwm2m(self._endpoint, message, "json", now_ms)


class Raw:
    """Payloads as they are."""

    def __init__(self, route: Route, topic: str, _: Context) -> None:
        key = route.key_of(topic)
        self.key = key.encode()
        self._headers = EventHeaders(topic, "iot.mqtt.message", key, "application/octet-stream")

    def encode(self, payload: bytes, now_ms: int) -> tuple[bytes, Headers]:
        """See `Encoder.encode`."""
        return payload, self._headers.at(None, now_ms)


_ENCODERS: dict[Format, Callable[[Route, str, Context], Encoder]] = {
    Format.SPARKPLUG_JSON: SparkplugJson,
    Format.SPARKPLUG_PROTOBUF: SparkplugProtobuf,
    Format.LWM2M_JSON: Lwm2mJson,
    Format.LWM2M_OMA: lambda route, topic, context: Lwm2mOma(route, topic, context.states),
    Format.RAW: Raw,
}


def dead_letter(topic: str, payload: bytes, reason: str, subject: str, now_ms: int) -> tuple[bytes, Headers]:
    """Value and headers of the record that tells of a message nobody could deliver."""
    value = dead_letters.write(topic, payload, reason)
    schema = schemas.uri(schemas.DEAD_LETTER)
    headers = EventHeaders(topic, "iot.dead-letter", subject, JSON, schema).at(None, now_ms)
    return value, [*headers, ("error", reason[: dead_letters.REASON_CHARS])]
