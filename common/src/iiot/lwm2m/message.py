"""One model of LwM2M 1.2 requests and responses, for both directions, both roles and both profiles.

A profile (`json_profile`, `oma_profile`) translates these to topics and bytes and back; server and
client know only what stands here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Final, TypeAlias

from iiot.errors import InvalidValueError, shown
from iiot.lwm2m.path import Path


class Operation(StrEnum):
    """Every operation of the registration, device management, reporting and bootstrap interfaces (Core 6)."""

    REGISTER = "register"
    UPDATE = "update"
    DEREGISTER = "deregister"
    READ = "read"
    READ_COMPOSITE = "read-composite"
    DISCOVER = "discover"
    WRITE = "write"
    WRITE_PARTIAL = "write-partial"
    WRITE_ATTRIBUTES = "write-attributes"
    WRITE_COMPOSITE = "write-composite"
    EXECUTE = "execute"
    CREATE = "create"
    DELETE = "delete"
    OBSERVE = "observe"
    OBSERVE_COMPOSITE = "observe-composite"
    CANCEL_OBSERVE = "cancel-observe"
    NOTIFY = "notify"
    SEND = "send"
    BOOTSTRAP_REQUEST = "bootstrap-request"
    BOOTSTRAP_PACK = "bootstrap-pack"
    BOOTSTRAP_WRITE = "bootstrap-write"
    BOOTSTRAP_READ = "bootstrap-read"
    BOOTSTRAP_DELETE = "bootstrap-delete"
    BOOTSTRAP_DISCOVER = "bootstrap-discover"
    BOOTSTRAP_FINISH = "bootstrap-finish"


class Code(IntEnum):
    """Result of a request: the CoAP code without its dot, named as Leshan names it."""

    CREATED = 201
    DELETED = 202
    CHANGED = 204
    CONTENT = 205
    BAD_REQUEST = 400
    UNAUTHORIZED = 401
    FORBIDDEN = 403
    NOT_FOUND = 404
    METHOD_NOT_ALLOWED = 405
    NOT_ACCEPTABLE = 406
    REQUEST_ENTITY_INCOMPLETE = 408
    CONFLICT = 409
    PRECONDITION_FAILED = 412
    REQUEST_ENTITY_TOO_LARGE = 413
    UNSUPPORTED_CONTENT_FORMAT = 415
    INTERNAL_SERVER_ERROR = 500
    NOT_IMPLEMENTED = 501
    SERVICE_UNAVAILABLE = 503

    @property
    def dotted(self) -> str:
        """The usual notation, `2.05`."""
        return f"{self // 100}.{self % 100:02}"

    @property
    def is_success(self) -> bool:
        """True for class 2."""
        return self < 300

    @classmethod
    def parse(cls, text: str) -> "Code":
        """Read `2.05`.

        Raises:
            InvalidValueError: no such code in LwM2M.
        """
        for code in cls:
            if code.dotted == text:
                return code
        raise InvalidValueError("code", text, ", ".join(code.dotted for code in cls))


SUCCESS: Final[dict[Operation, Code]] = {
    Operation.REGISTER: Code.CREATED,
    Operation.UPDATE: Code.CHANGED,
    Operation.DEREGISTER: Code.DELETED,
    Operation.READ: Code.CONTENT,
    Operation.READ_COMPOSITE: Code.CONTENT,
    Operation.DISCOVER: Code.CONTENT,
    Operation.WRITE: Code.CHANGED,
    Operation.WRITE_PARTIAL: Code.CHANGED,
    Operation.WRITE_ATTRIBUTES: Code.CHANGED,
    Operation.WRITE_COMPOSITE: Code.CHANGED,
    Operation.EXECUTE: Code.CHANGED,
    Operation.CREATE: Code.CREATED,
    Operation.DELETE: Code.DELETED,
    Operation.OBSERVE: Code.CONTENT,
    Operation.OBSERVE_COMPOSITE: Code.CONTENT,
    Operation.CANCEL_OBSERVE: Code.CONTENT,
    Operation.NOTIFY: Code.CHANGED,
    Operation.SEND: Code.CHANGED,
    Operation.BOOTSTRAP_REQUEST: Code.CHANGED,
    Operation.BOOTSTRAP_PACK: Code.CONTENT,
    Operation.BOOTSTRAP_WRITE: Code.CHANGED,
    Operation.BOOTSTRAP_READ: Code.CONTENT,
    Operation.BOOTSTRAP_DELETE: Code.DELETED,
    Operation.BOOTSTRAP_DISCOVER: Code.CONTENT,
    Operation.BOOTSTRAP_FINISH: Code.CHANGED,
}
"""The code that says that an operation was done (Core 6.1.7, 6.2 to 6.4)."""


@dataclass(frozen=True, slots=True, order=True)
class ObjectLink:
    """A value of type Objlnk: a reference to an object instance, written `66:0` (Core appendix C)."""

    object_id: int
    instance_id: int

    def __str__(self) -> str:
        return f"{self.object_id}:{self.instance_id}"


Value: TypeAlias = bool | int | float | str | bytes | ObjectLink
"""A resource's value; Time is an int of seconds since 1970, UTC."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a value was refused: which field, what it held, what would have been right."""

    field: str
    value: object
    allowed: str

    def __str__(self) -> str:
        return f"{self.field}: got {shown(self.value)}, allowed: {self.allowed}"

    @classmethod
    def of(cls, error: InvalidValueError) -> "Refusal":
        """The refusal that tells a peer about `error`."""
        return cls(error.field, error.value, error.allowed)


@dataclass(frozen=True, slots=True)
class Record:
    """One value of one resource or resource instance, as SenML has it.

    Attributes:
        value: None where there is none: a path to fetch, or a resource instance to remove.
        time: seconds since 1970 at which the value held, or relative to now (see `records.absolute`); None
            means now.
        fault: why what stood in place of the value cannot be used; the value is None then.
    """

    path: Path
    value: Value | None = None
    time: float | None = None
    fault: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """A payload still encoded in an LwM2M content format (OMA profile); see `iiot.lwm2m.content`."""

    format: int | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """A CoRE link to an object, instance or resource with its attributes, e.g. `</3303>;ver=1.1`."""

    path: Path
    attributes: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attributes:
    """Notification attributes (Core 7.3.1.2); None leaves an attribute as it is, `unset` removes it."""

    pmin: int | None = None
    pmax: int | None = None
    gt: float | None = None
    lt: float | None = None
    st: float | None = None
    epmin: int | None = None
    epmax: int | None = None
    edge: bool | None = None
    con: bool | None = None
    hqmax: int | None = None
    unset: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> "Attributes":
        """Attributes by name; null unsets one, 0 and 1 stand for booleans.

        Raises:
            InvalidValueError: unknown name, or a value of the wrong kind.
        """
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name not in _ATTRIBUTES:
                raise InvalidValueError("attribute", name, ", ".join(_ATTRIBUTES))
            if value is not None:
                values[name] = _ATTRIBUTES[name](name, value)
        values["unset"] = frozenset(name for name, value in given.items() if value is None)
        return cls(**values)


def _seconds(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32:
        return value
    raise InvalidValueError(name, value, "an integer from 0 to 4294967295")


def _threshold(name: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**1023:
        return value
    raise InvalidValueError(name, value, "a finite number")


def _flag(name: str, value: object) -> bool:
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise InvalidValueError(name, value, "0 or 1")


_ATTRIBUTES: dict[str, Callable[[str, object], int | float | bool]] = {
    **dict.fromkeys(("pmin", "pmax", "epmin", "epmax", "hqmax"), _seconds),
    **dict.fromkeys(("gt", "lt", "st"), _threshold),
    **dict.fromkeys(("edge", "con"), _flag),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What both sides' requests share.

    Attributes:
        token: matches the response to the request. Text, since a device may choose its own and the
            OMA binding's exceed 2^53; empty when the sender wants no answer.
    """

    token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRequest(Request):
    """What a device's own messages share in the JSON profile.

    Attributes:
        seq: number in the device's ledger stream, strictly increasing; None when it keeps none.
        timestamp: ms since 1970, UTC, at which the device made the message.
    """

    seq: int | None = None
    timestamp: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Register(DeviceRequest):
    """Register (Core 6.2.1).

    Attributes:
        lifetime: s, 0 never expires.
        records: values that come with the object list.
        root: the alternate path; paths are without it here.
        formats: content formats that the device says it speaks; none when it does not say.
        profile_id: stands for an object list that the server may know (`pid`); commas separate several.
    """

    endpoint: str
    lifetime: int
    version: str = "1.2"
    binding: str = "U"
    sms: str | None = None
    links: tuple[Link, ...] = ()
    records: tuple[Record, ...] = ()
    root: str = "/"
    formats: tuple[int, ...] = ()
    profile_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update(DeviceRequest):
    """Update (Core 6.2.2): only what changed; `links`, when given, is the complete new object list."""

    lifetime: int | None = None
    binding: str | None = None
    sms: str | None = None
    links: tuple[Link, ...] | None = None
    records: tuple[Record, ...] = ()
    root: str | None = None
    formats: tuple[int, ...] | None = None
    profile_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deregister(DeviceRequest):
    """De-register (Core 6.2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send(DeviceRequest):
    """Send (Core 6.4.7): values that nobody asked for."""

    records: tuple[Record, ...] = ()
    content: Content | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify(DeviceRequest):
    """Notify (Core 6.4.6); `token` is that of the observation."""

    records: tuple[Record, ...] = ()
    content: Content | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Request):
    """A request of the server or bootstrap server to a device.

    Attributes:
        operation: which one; the other fields are used as the operation needs them (Core 6.3, 6.4, 6.1.7).
        path: the node it is about; None for composite operations and Cancel-Observe.
        paths: nodes of a Read-Composite or Observe-Composite.
        records: values of a write or Create.
        content: the same, still encoded (OMA profile).
        arguments: of an Execute, e.g. `0='x',1`.
        attributes: of a Write-Attributes.
        depth: of a Discover, 0 to 3.
        format: content format wished for the answer.
        path_format: content format of `paths`; None leaves it to the profile.
    """

    operation: Operation
    path: Path | None = None
    paths: tuple[Path, ...] = ()
    records: tuple[Record, ...] = ()
    content: Content | None = None
    arguments: str = ""
    attributes: Attributes | None = None
    depth: int | None = None
    format: int | None = None
    path_format: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapRequest(Request):
    """Bootstrap-Request, or with `pack` Bootstrap-Pack-Request (Core 6.1.7)."""

    preferred_format: int | None = None
    pack: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Response(Request):
    """The answer to any request.

    Attributes:
        operation: the operation answered; what `ack` topics need, else None.
        records: values of a Read or Observe.
        links: of a Discover.
        content: values or links, still encoded (OMA profile).
        location: path of a created instance.
        error: why not, for a person, or as a refusal of one field.
    """

    code: Code
    operation: Operation | None = None
    records: tuple[Record, ...] = ()
    links: tuple[Link, ...] = ()
    content: Content | None = None
    location: Path | None = None
    error: str | Refusal | None = None


Uplink: TypeAlias = Register | Update | Deregister | Send | Notify | BootstrapRequest | Response
"""What a device sends."""

Downlink: TypeAlias = Command | Response
"""What a server sends."""
