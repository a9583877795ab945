"""The OMA profile's uplinks as records: in the words of the JSON profile, so that readers know only one.

One MQTT topic carries all that a device and its server say to each other. Requests tell by their operation
who sent them; responses do not, and no response is telemetry.
"""

import base64
from functools import lru_cache
from typing import Final

import orjson

from iiot import schemas
from iiot.errors import DecodeError, InvalidValueError
from iiot.kafka import Headers
from iiot.lwm2m import content, json_profile, json_values, oma_profile
from iiot.lwm2m.content import Format
from iiot.lwm2m.message import Deregister, Notify, Register, Send, Update
from iiot.lwm2m.model import built_in
from iiot.lwm2m.oma_body import Reader
from iiot.lwm2m.oma_keys import Up
from iiot.lwm2m.path import ROOT
from iiot.lwm2m.records import usable
from mqtt_redpanda_bridge.devices import DeviceStates
from mqtt_redpanda_bridge.events import EventHeaders
from mqtt_redpanda_bridge.routes import Route

_REGISTRATION: Final = (Up.REGISTER, Up.DEREGISTER)
_TELEMETRY: Final = (*_REGISTRATION, Up.UPDATE, Up.SEND, Up.NOTIFY)
_WITH_PATHS: Final = (Format.SENML_JSON, Format.SENML_CBOR, Format.LWM2M_CBOR)
_NAMES: Final[dict[type, str]] = {
    Register: "register",
    Deregister: "deregister",
    Update: "update",
    Send: "send",
    Notify: "notify",
}
_Telemetry = Register | Deregister | Update | Send | Notify


class Lwm2mOma:
    """LwM2M OMA profile: what a device says, decoded, in an envelope with endpoint and operation."""

    def __init__(self, route: Route, topic: str, states: DeviceStates) -> None:
        first, _, rest = topic.partition("/")
        try:
            self._topic = oma_profile.parse_topic(topic, first if rest.startswith("lwm2m/") else "")
        except InvalidValueError as exc:
            raise DecodeError(f"topic {topic!r}: {exc}") from exc
        self.key = (self._topic.endpoint if route.key == "device" else route.key_of(topic)).encode()
        self._route, self._states = route, states
        self._headers = lru_cache(maxsize=None)(self._headers_of)

    def topic_of(self, payload: bytes) -> str | None:
        """The Kafka topic for a payload; None for what a server says, and for responses."""
        route = self._route
        try:
            body = Reader(payload)
            if body.is_response or self._topic.interface != oma_profile.MANAGEMENT:
                return None
            operation = body.operation
            if operation in _REGISTRATION:
                return route.registration_topic or route.topic
            return route.topic if operation in _TELEMETRY else None
        except (DecodeError, InvalidValueError):
            return route.topic  # where it becomes a dead letter

    def encode(self, payload: bytes, now_ms: int) -> tuple[bytes, Headers]:
        """See `Encoder.encode`."""
        endpoint = self._topic.endpoint
        try:
            message = oma_profile.decode_uplink(self._topic, payload)
            if not isinstance(message, _Telemetry):
                raise DecodeError("not what a device tells of itself")
            said = _said(endpoint, message, now_ms)
        except InvalidValueError as exc:
            raise DecodeError(str(exc)) from exc
        operation = _NAMES[type(message)]
        time_ms = now_ms if message.timestamp is None else message.timestamp
        self._states.lwm2m(endpoint, message, "oma", now_ms)
        envelope = {"endpoint": endpoint, "operation": operation, "topic": str(self._topic)}
        value = orjson.dumps(envelope | {"timestamp": time_ms, "payload": orjson.Fragment(said)})
        seq = None if message.seq is None else str(message.seq)
        return value, self._headers(operation).at(seq, time_ms)

    def _headers_of(self, operation: str) -> EventHeaders:
        kind = f"iot.lwm2m.{operation}"
        schema = schemas.uri(schemas.LWM2M_JSON)
        return EventHeaders(str(self._topic), kind, self._topic.endpoint, "application/json", schema)


def _said(endpoint: str, message: _Telemetry, now_ms: int) -> bytes:
    """The body that the JSON profile would have; of records that cannot be used, why."""
    if not isinstance(message, Send | Notify) or message.content is None:
        return json_profile.encode_uplink(endpoint, message)[1]
    body = message.content
    # Only the server knows which path an observation has.
    understood = isinstance(message, Send) or body.format in _WITH_PATHS
    # Which alternate path a device has only the server knows, too: paths in records are without any.
    found = content.decode(body, ROOT, built_in(), None, keep_faults=True) if understood else ()
    records, faults = usable(found, now_ms / 1000)
    if faults and not records:
        raise InvalidValueError(faults[0].field, faults[0].value, faults[0].allowed)
    told = Send(records=records, seq=message.seq, timestamp=message.timestamp, token=message.token)
    said = json_profile.encode_uplink(endpoint, told)[1]
    if understood and not faults:
        return said
    raw = {"format": body.format, "content": base64.b64encode(body.payload).decode()}
    return orjson.dumps(orjson.loads(said) | (json_values.refused(faults) if understood else raw))
