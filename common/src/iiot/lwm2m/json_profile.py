"""The JSON profile: LwM2M operations as topics and JSON bodies that a person can type.

    up    lwm2m/{endpoint}/reg|update|dereg|send|bootstrap      lwm2m/{endpoint}/notify|resp/{token}
    down  lwm2m/{endpoint}/ack/{reg|update|dereg|send|bootstrap}      lwm2m/{endpoint}/cmd/{token}

`docs/lwm2m.md` describes the bodies. All of it travels at QoS 1 and is never retained.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from iiot import json_input
from iiot.errors import DecodeError, InvalidValueError
from iiot.identity import check_device_id
from iiot.lwm2m import json_values as values
from iiot.lwm2m import profile_id
from iiot.lwm2m.message import (
    Attributes,
    BootstrapRequest,
    Code,
    Command,
    Deregister,
    DeviceRequest,
    Downlink,
    Notify,
    Operation,
    Register,
    Response,
    Send,
    Update,
    Uplink,
)
from iiot.lwm2m.observe import given
from iiot.lwm2m.path import MAX_ID, Path
from iiot.lwm2m.records import distinct
from iiot.lwm2m.registration import MAX_LIFETIME, check_binding

UP_KINDS = ("reg", "update", "dereg", "send", "bootstrap")
UP_TOKEN_KINDS = ("notify", "resp")
DOWN_KINDS = ("ack", "cmd")
_ACK = {
    Operation.REGISTER: "reg",
    Operation.UPDATE: "update",
    Operation.DEREGISTER: "dereg",
    Operation.SEND: "send",
    Operation.BOOTSTRAP_REQUEST: "bootstrap",
}
_ACKNOWLEDGED = {name: operation for operation, name in _ACK.items()}
_COMMANDS = frozenset(Operation) - {*_ACK, Operation.NOTIFY, Operation.BOOTSTRAP_PACK}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the profile; `token` is the last level of `notify`, `resp` and `cmd`, for `ack` the kind."""

    endpoint: str
    kind: str
    token: str = ""


def up_filters(prefix: str = "") -> tuple[str, ...]:
    """What a server subscribes to: everything that devices send, and nothing of its own."""
    plain = [f"{_root(prefix)}+/{kind}" for kind in UP_KINDS]
    return (*plain, *(f"{_root(prefix)}+/{kind}/+" for kind in UP_TOKEN_KINDS))


def down_filters(endpoint: str, prefix: str = "") -> tuple[str, ...]:
    """What a device subscribes to."""
    return tuple(f"{_root(prefix)}{endpoint}/{kind}/+" for kind in DOWN_KINDS)


def parse_topic(topic: str, prefix: str = "") -> Topic:
    """Take a topic apart.

    Raises:
        DecodeError: the topic belongs to something else.
        InvalidValueError: the endpoint is not a legal device id.
    """
    root = _root(prefix)
    parts = topic[len(root) :].split("/") if topic.startswith(root) else []
    with_token = len(parts) == 3 and parts[1] in (*UP_TOKEN_KINDS, *DOWN_KINDS) and parts[2] != ""
    if not (with_token or (len(parts) == 2 and parts[1] in UP_KINDS)):
        raise DecodeError(f"{topic}: not a topic of the LwM2M JSON profile")
    return Topic(check_device_id(parts[0]), *parts[1:])


def decode_uplink(topic: Topic, payload: bytes) -> Uplink:
    """What a device said. Of a Send or Notify, records that cannot be used have a fault.

    Raises:
        DecodeError: not a JSON object, or a topic that only servers publish to.
        InvalidValueError: a field is wrong.
    """
    body = _body(payload)
    match topic.kind:
        case "reg":
            return _register(topic.endpoint, body)
        case "update":
            links, records = values.links_and_records(body["objects"]) if "objects" in body else (None, ())
            lifetime = values.integer(body, "lifetime", 0, MAX_LIFETIME)
            binding = _binding(body)
            return Update(
                lifetime=lifetime,
                binding=binding,
                links=links,
                records=records,
                profile_id=profile_id.check(values.text(body, "pid")),
                **_ledger(body),
            )
        case "dereg":
            return Deregister(**_ledger(body))
        case "send":
            return Send(records=values.records(body, keep_faults=True), **_ledger(body))
        case "notify":
            records = values.records(body, keep_faults=True)
            return Notify(records=records, **_ledger(body) | {"token": topic.token})
        case "resp":
            return _response(topic.token, None, body)
        case "bootstrap":
            preferred = values.integer(body, "format", 0, 65535)
            return BootstrapRequest(
                token=_token(body), preferred_format=preferred, pack=body.get("pack") is True
            )
    raise DecodeError(f"{topic.kind}: only servers publish there")


def decode_downlink(topic: Topic, payload: bytes) -> Downlink:
    """What the server said: a command, or the acknowledgement of a request.

    Raises:
        DecodeError: not a JSON object, or a topic that only devices publish to.
        InvalidValueError: a field is wrong.
    """
    body = _body(payload)
    if topic.kind == "cmd":
        return _command(topic.token, body)
    if topic.kind == "ack" and topic.token in _ACKNOWLEDGED:
        return _response(_token(body), _ACKNOWLEDGED[topic.token], body)
    raise DecodeError(f"{topic.kind}/{topic.token}: only devices publish there")


def encode_uplink(endpoint: str, message: Uplink, prefix: str = "") -> tuple[str, bytes]:
    """Topic and payload of a device's message.

    Raises:
        InvalidValueError: a value that JSON cannot express.
    """
    root = f"{_root(prefix)}{endpoint}/"
    match message:
        case Register():
            body = {
                "endpoint": message.endpoint,
                "lifetime": message.lifetime,
                "version": message.version,
                "bindingMode": message.binding,
                "objects": values.objects(message.links, message.records),
            } | ({} if message.profile_id is None else {"pid": message.profile_id})
            return root + "reg", _dump(body | _ledger_body(message))
        case Update():
            changed = {
                "lifetime": message.lifetime,
                "bindingMode": message.binding,
                "pid": message.profile_id,
            }
            body = {name: value for name, value in changed.items() if value is not None}
            if message.links is not None:
                body["objects"] = values.objects(message.links, message.records)
            return root + "update", _dump(body | _ledger_body(message))
        case Deregister():
            return root + "dereg", _dump(_ledger_body(message))
        case Send():
            return root + "send", _dump(values.bodies(message.records) | _ledger_body(message))
        case Notify():
            ledger = _ledger_body(message)
            ledger.pop("token", None)
            return f"{root}notify/{message.token}", _dump(values.bodies(message.records) | ledger)
        case BootstrapRequest():
            wish = {"token": message.token, "format": message.preferred_format, "pack": message.pack or None}
            return root + "bootstrap", _dump({k: v for k, v in wish.items() if v not in (None, "")})
        case Response():
            return f"{root}resp/{message.token}", _dump(_response_body(message))


def encode_downlink(endpoint: str, message: Downlink, prefix: str = "") -> tuple[str, bytes]:
    """Topic and payload of a server's message; a response is the acknowledgement of its `operation`.

    Raises:
        InvalidValueError: a value that JSON cannot express.
    """
    root = f"{_root(prefix)}{endpoint}/"
    if isinstance(message, Command):
        return f"{root}cmd/{message.token}", _dump(_command_body(message))
    if message.operation not in _ACK:
        raise InvalidValueError(
            "operation", message.operation, "one that a device sends and has acknowledged"
        )
    body = _response_body(message) | ({"token": message.token} if message.token else {})
    return f"{root}ack/{_ACK[message.operation]}", _dump(body)


def _root(prefix: str) -> str:
    return f"{prefix}/lwm2m/" if prefix else "lwm2m/"


def _dump(body: dict[str, Any]) -> bytes:
    return orjson.dumps(body)


def _body(payload: bytes) -> dict[str, Any]:
    body = json_input.loads(payload) if payload.strip() else {}
    if not isinstance(body, dict):
        raise DecodeError("not a JSON object")
    return body


def _token(body: dict[str, Any]) -> str:
    return values.text(body, "token", 64) or ""


def _ledger(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "seq": values.integer(body, "seq", 0, 2**63 - 1),
        "timestamp": values.integer(body, "timestamp", 0, 2**53),
        "token": _token(body),
    }


def _ledger_body(message: DeviceRequest) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if message.seq is not None:
        body["seq"] = message.seq
    if message.timestamp is not None:
        body["timestamp"] = message.timestamp
    if message.token:
        body["token"] = message.token
    return body


def _binding(body: dict[str, Any]) -> str | None:
    return check_binding(values.text(body, "bindingMode"), "bindingMode")


def _register(endpoint: str, body: dict[str, Any]) -> Register:
    named = values.text(body, "endpoint")
    if named not in (None, endpoint):
        raise InvalidValueError("endpoint", named, f"{endpoint}, as in the topic")
    lifetime = values.integer(body, "lifetime", 0, MAX_LIFETIME)
    if lifetime is None:
        raise InvalidValueError("lifetime", None, f"an integer from 0 to {MAX_LIFETIME}")
    links, records = values.links_and_records(body.get("objects", {}))
    return Register(
        endpoint=endpoint,
        lifetime=lifetime,
        version=values.text(body, "version") or "1.2",
        binding=_binding(body) or "U",
        links=links,
        records=records,
        profile_id=profile_id.check(values.text(body, "pid")),
        **_ledger(body),
    )


def _response(token: str, operation: Operation | None, body: dict[str, Any]) -> Response:
    links = body.get("links", [])
    if not isinstance(links, list):
        raise InvalidValueError("links", links, "a list")
    location = values.text(body, "location")
    return Response(
        token=token,
        code=Code.parse(values.text(body, "code") or ""),
        operation=operation,
        records=values.records(body),
        links=tuple(map(values.attribute_link, links)),
        location=None if location is None else Path.parse(location),
        error=values.error(body),
    )


def _response_body(message: Response) -> dict[str, Any]:
    body: dict[str, Any] = {"code": message.code.dotted}
    if message.records:
        body |= values.bodies(message.records)
    if message.links:
        body["links"] = [{"path": str(link.path)} | dict(link.attributes) for link in message.links]
    if message.location is not None:
        body["location"] = str(message.location)
    if message.error is not None:
        body["error"] = values.error_body(message.error)
    return body


def _command(token: str, body: dict[str, Any]) -> Command:
    name = values.text(body, "operation")
    if name not in _COMMANDS:
        raise InvalidValueError("operation", name, ", ".join(sorted(_COMMANDS)))
    path = values.text(body, "path")
    paths = body.get("paths", [])
    if not isinstance(paths, list) or not all(isinstance(entry, str) for entry in paths):
        raise InvalidValueError("paths", paths, "a list of paths")
    target = None if path is None else Path.parse(path)
    records = values.records(body, creates=name == Operation.CREATE)
    if "value" in body:
        if target is None:
            raise InvalidValueError("path", None, "the path to write")
        picks = name == Operation.CREATE and target.level == "object"
        records += tuple((values.flatten_new if picks else values.flatten)(target, body["value"]))
    return Command(
        token=token,
        operation=Operation(name),
        path=target,
        paths=tuple(map(Path.parse, paths)),
        records=records,
        arguments=values.text(body, "arguments", 65535) or "",
        attributes=_attributes(body["attributes"]) if "attributes" in body else None,
        depth=values.integer(body, "depth", 0, 3),
    )


def _command_body(message: Command) -> dict[str, Any]:
    distinct(message.records)
    body: dict[str, Any] = {"operation": message.operation.value}
    if message.path is not None:
        body["path"] = str(message.path)
    if message.paths:
        body["paths"] = [str(path) for path in message.paths]
    if len(message.records) == 1 and message.records[0].path == message.path:
        body["value"] = values.json_value(message.records[0])
    elif message.records and all(record.path.ids[1:2] == (MAX_ID,) for record in message.records):
        body["value"] = values.new_instance(message.records)
    elif message.records:
        body |= values.bodies(message.records)
    if message.arguments:
        body["arguments"] = message.arguments
    if message.attributes is not None:
        body["attributes"] = given(message.attributes) | dict.fromkeys(sorted(message.attributes.unset))
    if message.depth is not None:
        body["depth"] = message.depth
    return body


def _attributes(body: object) -> Attributes:
    if not isinstance(body, dict):
        raise InvalidValueError("attributes", body, "an object of attributes")
    return Attributes.parse(body)
