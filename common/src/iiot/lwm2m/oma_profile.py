"""The OMA profile: LwM2M 1.2 over MQTT as CBOR maps on one topic per device (Transport 8).

    [PREFIX/]lwm2m/rd/{endpoint}    registration, device management, reporting
    [PREFIX/]lwm2m/bs/{endpoint}    bootstrap

Both sides publish to the same topic and so receive their own messages: requests tell by their operation
who sent them, responses do not (`iiot.lwm2m.oma_exchange` has what helps). Operation codes overlap
between the two topics, so the topic is needed to read a message.

The binding has holes: no key for the attributes `lt` and `con`, no way to unset an attribute, none at all
in an Observe, no Profile ID, no queue mode, no location of what was created, no reason in a refusal, no
ledger. With `extensions` they are filled by text keys, null and a
payload that a strict peer ignores; without, what cannot be said is refused here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from iiot.errors import DecodeError, InvalidValueError
from iiot.identity import check_device_id
from iiot.lwm2m import profile_id
from iiot.lwm2m.alternate_path import NONE, joined, required
from iiot.lwm2m.content import link
from iiot.lwm2m.message import (
    Attributes,
    BootstrapRequest,
    Command,
    Deregister,
    DeviceRequest,
    Downlink,
    Link,
    Notify,
    Operation,
    Register,
    Response,
    Send,
    Update,
    Uplink,
)
from iiot.lwm2m.oma_body import Reader, Writer, utf8
from iiot.lwm2m.oma_keys import COMMANDS, Key, Up
from iiot.lwm2m.registration import MAX_LIFETIME, check_binding

MANAGEMENT: Final = "rd"
BOOTSTRAP: Final = "bs"
_FROM_DEVICES: Final = {
    *((MANAGEMENT, code) for code in (Up.REGISTER, Up.UPDATE, Up.DEREGISTER, Up.NOTIFY, Up.SEND)),
    *((BOOTSTRAP, code) for code in (Up.BOOTSTRAP_REQUEST, Up.BOOTSTRAP_PACK)),
}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the binding; `interface` is `rd` or `bs`."""

    endpoint: str
    interface: str = MANAGEMENT
    prefix: str = ""

    def __str__(self) -> str:
        root = f"{self.prefix}/lwm2m" if self.prefix else "lwm2m"
        return f"{root}/{self.interface}/{self.endpoint}"


def server_filters(prefix: str = "") -> tuple[str, ...]:
    """What a server subscribes to: the management and the bootstrap topic of every device."""
    return tuple(str(Topic("+", interface, prefix)) for interface in (MANAGEMENT, BOOTSTRAP))


def device_filters(endpoint: str, prefix: str = "") -> tuple[str, ...]:
    """What a device subscribes to."""
    return tuple(str(Topic(endpoint, interface, prefix)) for interface in (MANAGEMENT, BOOTSTRAP))


def parse_topic(topic: str, prefix: str = "") -> Topic:
    """Take a topic apart.

    Raises:
        DecodeError: the topic belongs to something else.
        InvalidValueError: the endpoint is not a legal device id.
    """
    root = f"{prefix}/lwm2m/" if prefix else "lwm2m/"
    parts = topic[len(root) :].split("/") if topic.startswith(root) else []
    if len(parts) != 2 or parts[0] not in (MANAGEMENT, BOOTSTRAP):
        raise DecodeError(f"{topic}: not a topic of the OMA MQTT binding")
    return Topic(check_device_id(parts[1]), parts[0], prefix)


def encode_uplink(message: Uplink, *, extensions: bool = True, root: str = NONE) -> bytes:
    """A device's message as bytes for its topic; values must be in `content`.

    `root` is the alternate path below which a response names nodes.

    Raises:
        InvalidValueError: the binding cannot say it.
    """
    body = Writer(message.token, extensions, root)
    match message:
        case Register():
            body.operation(Up.REGISTER)
            body.put(Key.LIFETIME, message.lifetime)
            body.put(Key.VERSION, message.version)
            body.put(Key.BINDING, _binding(message.binding, extensions))
            body.put(Key.SMS, message.sms)
            body.extend("pid", message.profile_id)
            body.put(Key.PAYLOAD, _object_list(message.links, message.root, message.formats) or None)
        case Update():
            body.operation(Up.UPDATE)
            body.put(Key.LIFETIME, message.lifetime)
            body.put(Key.BINDING, message.binding and _binding(message.binding, extensions))
            body.put(Key.SMS, message.sms)
            body.extend("pid", message.profile_id)
            if message.links is not None:
                root, formats = message.root or NONE, message.formats or ()
                body.put(Key.PAYLOAD, _object_list(message.links, root, formats))
        case Deregister():
            body.operation(Up.DEREGISTER)
        case Notify() | Send():
            body.operation(Up.NOTIFY if isinstance(message, Notify) else Up.SEND)
            body.content(message.content, required=True)
        case BootstrapRequest():
            body.operation(Up.BOOTSTRAP_PACK if message.pack else Up.BOOTSTRAP_REQUEST)
            body.put(Key.FORMAT_WISH, message.preferred_format)
        case Response():
            body.response(message)
    if isinstance(message, DeviceRequest):
        body.extend("seq", message.seq)
        body.extend("ts", message.timestamp)
    return body.dump()


def encode_downlink(message: Downlink, *, extensions: bool = True, root: str = NONE) -> bytes:
    """A server's message as bytes for the device's topic; values must be in `content`.

    `root` is the device's alternate path, which a bootstrap server does not use.

    Raises:
        InvalidValueError: the binding cannot say it.
    """
    body = Writer(message.token, extensions, root)
    if isinstance(message, Response):
        body.response(message)
        return body.dump()
    if message.operation not in COMMANDS:
        raise InvalidValueError("operation", message.operation, ", ".join(COMMANDS))
    body.operation(COMMANDS[message.operation][1])
    body.put(Key.URI, None if message.path is None else joined(root, message.path))
    body.paths(message.paths, message.path_format)
    body.content(message.content, required=bool(message.records))
    body.put(Key.PAYLOAD, message.arguments.encode() or None)
    body.put(Key.DEPTH, message.depth)
    if message.attributes is not None:
        if message.operation is not Operation.WRITE_ATTRIBUTES and not extensions:
            raise InvalidValueError("attributes", None, "none: not expressible in an Observe over MQTT")
        body.attributes(message.attributes)
    if message.format is not None and extensions:
        body.put(Key.FORMAT_WISH, message.format)
    return body.dump()


def decode_uplink(topic: Topic, payload: bytes) -> Uplink | None:
    """What a device said; None for a request that only servers send, that is the echo of our own.

    Raises:
        DecodeError: not a message of the binding.
        InvalidValueError: a field is wrong, or the operation unknown.
    """
    body = Reader(payload)
    if body.is_response:
        return body.response()
    code = body.operation
    match topic.interface, code:
        case "rd", Up.REGISTER:
            return _register(topic.endpoint, body)
        case "rd", Up.UPDATE:
            return _update(body)
        case "rd", Up.DEREGISTER:
            return Deregister(**body.ledger())
        case "rd", Up.NOTIFY:
            return Notify(content=body.content(required=True), **body.ledger())
        case "rd", Up.SEND:
            return Send(content=body.content(required=True), **body.ledger())
        case "bs", Up.BOOTSTRAP_REQUEST | Up.BOOTSTRAP_PACK:
            wish = body.integer(Key.FORMAT_WISH, 65535)
            return BootstrapRequest(token=body.token, preferred_format=wish, pack=code == Up.BOOTSTRAP_PACK)
    if (topic.interface, code) in COMMANDS.values():
        return None
    allowed = "6 to 8, 23, 24" if topic.interface == MANAGEMENT else "0, 6"
    raise InvalidValueError("operation", code, f"{allowed} from a device on {topic.interface}")


def decode_downlink(topic: Topic, payload: bytes, root: str | None = NONE) -> Downlink | None:
    """What a server said; None for a request that only devices send, that is the echo of our own.

    Args:
        topic: where it came.
        payload: the message.
        root: the device's alternate path; None takes any.

    Raises:
        DecodeError: not a message of the binding.
        InvalidValueError: a field is wrong, or the operation unknown.
    """
    body = Reader(payload)
    if body.is_response:
        return body.response()
    code = body.operation
    for operation, pair in COMMANDS.items():
        if pair == (topic.interface, code):
            return _command(operation, body, root if topic.interface == MANAGEMENT else NONE)
    if (topic.interface, code) in _FROM_DEVICES:
        return None
    raise InvalidValueError("operation", code, f"one that a server sends on {topic.interface}")


def _register(endpoint: str, body: Reader) -> Register:
    named = body.text(Key.ENDPOINT)
    if named not in (None, endpoint):
        raise InvalidValueError("ep", named, f"{endpoint}, as in the topic")
    lifetime, version = body.integer(Key.LIFETIME, MAX_LIFETIME), body.text(Key.VERSION)
    if lifetime is None:
        raise InvalidValueError("lifetime", None, "seconds, 0 for ever")
    if version is None:
        raise InvalidValueError("version", None, "the LwM2M version, such as 1.2")
    found = link.decode(utf8(body.data(Key.PAYLOAD) or b""))
    return Register(
        endpoint=endpoint,
        lifetime=lifetime,
        version=version,
        binding=check_binding(body.text(Key.BINDING), "binding") or "M",
        sms=body.text(Key.SMS),
        links=found.links,
        root=found.root,
        formats=found.formats,
        profile_id=profile_id.check(body.text("pid")),
        **body.ledger(),
    )


def _update(body: Reader) -> Update:
    payload = body.data(Key.PAYLOAD)
    # An empty payload is none: on CoAP, which the binding follows, the two are the same.
    found = link.decode(utf8(payload)) if payload else None
    says = found is not None and bool(found.attributes)
    return Update(
        lifetime=body.integer(Key.LIFETIME, MAX_LIFETIME),
        binding=check_binding(body.text(Key.BINDING), "binding"),
        sms=body.text(Key.SMS),
        links=None if found is None else found.links,
        root=found.root if found is not None and says else None,
        formats=found.formats if found is not None and says else None,
        profile_id=profile_id.check(body.text("pid")),
        **body.ledger(),
    )


def _object_list(links: Iterable[Link], root: str, formats: Sequence[int]) -> bytes:
    text = link.encode(links, root)
    if root != NONE or formats:
        text = ",".join(filter(None, (link.root_link(root, formats), text)))
    return text.encode()


def _command(operation: Operation, body: Reader, root: str | None) -> Command:
    uri = body.text(Key.URI)
    executes = operation is Operation.EXECUTE
    return Command(
        token=body.token,
        operation=operation,
        path=None if uri is None else required(uri, root),
        paths=body.paths(root),
        content=None if executes else body.content(required=False),
        arguments=utf8(body.data(Key.PAYLOAD) or b"") if executes else "",
        attributes=_attributes(operation, body),
        depth=body.integer(Key.DEPTH, 3),
        format=body.integer(Key.FORMAT_WISH, 65535),
    )


def _attributes(operation: Operation, body: Reader) -> Attributes | None:
    if operation is Operation.WRITE_ATTRIBUTES:
        return body.attributes()
    if operation not in (Operation.OBSERVE, Operation.OBSERVE_COMPOSITE):
        return None
    given = body.attributes()
    return None if given == Attributes() else given


def _binding(binding: str, extensions: bool) -> str:
    return binding if extensions else binding.replace("Q", "") or "M"
