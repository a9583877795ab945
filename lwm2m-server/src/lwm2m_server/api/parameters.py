"""Path and query parameters of the API."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, Field, create_model

from iiot.lwm2m.message import Attributes
from iiot.lwm2m.observe import NAMES
from iiot.lwm2m.path import MAX_ID, Path
from iiot.rest import PARAMETERS
from iiot.rest.allowed import ALLOWED
from lwm2m_server.api.formats import FormatName, NodesFormat, PathsFormat, WrittenFormat, number_of

LEVELS: Final = ("object", "instance", "resource", "resource_instance")
MAX_PATHS: Final = 100
_Id = Annotated[int, Field(ge=0, le=MAX_ID - 1)]
_Seconds = Annotated[
    Annotated[int, Field(ge=0, lt=2**32)] | Literal[""] | None,
    Field(json_schema_extra={ALLOWED: "seconds, or nothing to unset it"}),
]
_Number = Annotated[
    float | Literal[""] | None, Field(json_schema_extra={ALLOWED: "a number, or nothing to unset it"})
]
_Flag = Annotated[
    Literal["0", "1", ""] | None, Field(json_schema_extra={ALLOWED: "0 or 1, or nothing to unset it"})
]
M = TypeVar("M", bound=BaseModel)


class Device(BaseModel):
    """A device."""

    model_config = PARAMETERS

    endpoint: str
    """Name of the device."""


class Target(Device):
    """A node of a device's tree; the ids come from the path, as many as the route has."""

    @property
    def node(self) -> Path:
        """The node."""
        return Path.of(*(getattr(self, level) for level in LEVELS if level in type(self).model_fields))


class Timed(BaseModel):
    """How long to wait."""

    model_config = PARAMETERS

    timeout: Annotated[float, Field(gt=0, le=600)] = 5.0
    """Seconds to wait for the answer."""
    ttl: Annotated[float, Field(gt=0, le=30 * 86400)] | None = None
    """Seconds for which the request waits in the queue when the device sleeps or is offline."""


class Formatted(Timed):
    """In which content format."""

    format: FormatName = None
    """Content format: of what is written, or wished for what is read (OMA profile; the JSON profile has its
    own). In any case, or as a number; `JSON`, which LwM2M 1.1 replaced, stands for `SENML_JSON`."""

    @property
    def number(self) -> int | None:
        """The format's number."""
        return number_of(self.format)


class Request(Target, Timed):
    """A request to a node."""


class Reading(Target, Formatted):
    """A request whose answer holds values."""


class Writing(Reading):
    """A Write."""

    replace: bool = True
    """Replace what is there; false adds and overwrites (Write partial)."""


class Discovering(Target, Timed):
    """A Discover."""

    depth: Annotated[int, Field(ge=0, le=3)] | None = None
    """Levels below the node; by default 2 for an object, 1 for the rest."""


class Attributed(BaseModel):
    """Notification attributes."""

    model_config = PARAMETERS

    pmin: _Seconds = None
    pmax: _Seconds = None
    gt: _Number = None
    lt: _Number = None
    st: _Number = None
    epmin: _Seconds = None
    epmax: _Seconds = None
    edge: _Flag = None
    con: _Flag = None
    hqmax: _Seconds = None

    def attributes(self, body: Mapping[str, object] | None = None) -> Attributes:
        """The attributes given in the query, and in a JSON body, where null unsets one.

        Raises:
            InvalidValueError: a value of the wrong kind, or an unknown attribute.
        """
        given: dict[str, Any] = {name: getattr(self, name) for name in NAMES}
        known = {name: value for name, value in given.items() if value is not None}
        flags = {name: int(known[name]) for name in ("edge", "con") if known.get(name)}
        query = {name: None if v == "" else v for name, v in (known | flags).items()}
        return Attributes.parse({**(body or {}), **query})


class Attaching(Target, Timed, Attributed):
    """A Write-Attributes: one without value is unset."""


class Observing(Target, Formatted, Attributed):
    """An Observe; the attributes hold for this observation alone."""


class Cancelling(Target, Timed):
    """The end of an observation."""

    active: Annotated[str, Field(max_length=16)] | None = None
    """Tell the device at once, with any value but `false`; else it learns it by its next notification."""

    @property
    def tells(self) -> bool:
        """Whether the device is told."""
        return self.active is not None and self.active.lower() != "false"


class History(Target):
    """Values kept."""

    limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Values of each resource at most, the newest."""
    since: Annotated[int, Field(ge=0, le=2**53)] = 0
    """Only values newer than this, ms since 1970."""


class Composite(Device, Timed):
    """A request about several paths."""

    paths: Annotated[
        str,
        Field(
            max_length=4000, pattern=r"^[0-9/, ]+$", json_schema_extra={ALLOWED: "paths such as /3/0/9,/3303"}
        ),
    ]
    """Paths, separated by commas."""
    pathformat: PathsFormat = None
    """Content format of the paths (OMA profile). The binding itself knows SENML_ETCH_CBOR only, which is the
    same as SENML_CBOR here; the others are an extension."""
    nodeformat: NodesFormat = None
    """Content format wished for the values."""

    @property
    def nodes(self) -> tuple[Path, ...]:
        """The paths.

        Raises:
            InvalidValueError: one is no path.
        """
        found = dict.fromkeys(Path.parse(text) for text in self.paths.split(",")[:MAX_PATHS])
        return tuple(found)

    @property
    def number(self) -> int | None:
        """The number of the values' format."""
        return number_of(self.nodeformat)

    @property
    def path_number(self) -> int | None:
        """The number of the paths' format."""
        return number_of(self.pathformat)


class CompositeObserving(Composite, Attributed):
    """An Observe-Composite; pmin, pmax, epmin, epmax and con hold for this observation alone."""


class CompositeWriting(Device, Timed):
    """A Write-Composite."""

    nodeformat: WrittenFormat = None
    """Content format of the values."""

    @property
    def number(self) -> int | None:
        """The format's number."""
        return number_of(self.nodeformat)


class CompositeCancelling(Composite):
    """The end of a composite observation."""

    active: Annotated[str, Field(max_length=16)] | None = None
    """Tell the device at once, with any value but `false`; else it learns it by its next notification."""

    @property
    def tells(self) -> bool:
        """Whether the device is told."""
        return self.active is not None and self.active.lower() != "false"


class Queued(Device):
    """One request in the queue."""

    request: Annotated[str, Field(pattern="^[0-9]{1,20}$")]
    """Its `requestId`."""


class Newest(Device):
    """A list, newest first."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    """Entries at most."""


class Clients(BaseModel):
    """Which registrations, in which order."""

    model_config = PARAMETERS

    filter: Annotated[str, Field(max_length=64)] = ""
    """Only endpoints that contain this."""
    online: bool | None = None
    """Only those that are, or are not, connected."""
    sleeping: bool | None = None
    """Only those in queue mode that sleep, or do not."""
    profile: Literal["json", "oma"] | None = None
    """Only those that speak this profile."""
    object: Annotated[int, Field(ge=0, le=MAX_ID)] | None = None
    """Only those that have this object."""
    sort: Literal[
        "endpoint", "-endpoint", "registrationDate", "-registrationDate", "lastUpdate", "-lastUpdate",
        "lifetime", "-lifetime",
    ] | None = None  # fmt: skip
    """Order; `-` for descending."""
    limit: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Page size; all by default."""
    offset: Annotated[int, Field(ge=0, le=10**9)] = 0
    """Registrations to leave out."""


@cache
def at_level(model: type[M], depth: int) -> type[M]:
    """The model for routes with `depth` ids in the path."""
    fields: dict[str, Any] = dict.fromkeys(LEVELS[:depth], (_Id, ...))
    # Ids have no docstrings, and to look for the source of a made class takes longer than to make it.
    plain = {"use_attribute_docstrings": False}
    return create_model(f"{model.__name__}{depth}", __base__=model, __cls_kwargs__=plain, **fields)


def template(depth: int, suffix: str = "") -> str:
    """Path of a route with `depth` ids."""
    return "/api/clients/{endpoint}/" + "/".join(f"{{{level}}}" for level in LEVELS[:depth]) + suffix
