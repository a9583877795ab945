"""What the REST API takes and answers, for its checks and its documentation."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from iiot.rest import BODY, PARAMETERS

_ANSWER = ConfigDict(use_attribute_docstrings=True)
_Time = int | None
"""UTC, ms since 1970; null when it never happened."""


class NodePage(BaseModel):
    """Which edge nodes to list."""

    model_config = PARAMETERS

    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    """Edge nodes to leave out at the front."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Edge nodes on a page."""
    online: bool | None = None
    """Only edge nodes that are online, or only those that are not."""
    group: str | None = None
    """Only edge nodes of this group."""


class NodePath(BaseModel):
    """Which edge node is meant."""

    model_config = PARAMETERS

    node: str
    """The edge node's id."""
    group: str | None = None
    """Its group; needed where the host watches several that have an edge node of this id."""


class DevicePath(NodePath):
    """Which device is meant."""

    device: str
    """The device's id."""


class NodeMetricPath(NodePath):
    """Which metric of an edge node is meant."""

    metric: str
    """The metric's name; slashes may stand as they are."""


class DeviceMetricPath(DevicePath):
    """Which metric of a device is meant."""

    metric: str
    """The metric's name; slashes may stand as they are."""


_Wait = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]


class NodeWrite(NodeMetricPath):
    """Which metric of an edge node is written."""

    wait: _Wait = 0
    """s to wait for what the edge node reports back; 0: answer when the command left."""


class DeviceWrite(DeviceMetricPath):
    """Which metric of a device is written."""

    wait: _Wait = 0
    """s to wait for what the edge node reports back; 0: answer when the command left."""


_Unsigned = Annotated[int, Field(ge=0, le=2**64 - 1)]


class NewMetaData(BaseModel):
    """What a value is when it is a file or other opaque content."""

    model_config = BODY

    is_multi_part: bool | None = None
    content_type: str | None = None
    size: _Unsigned | None = None
    """Bytes."""
    seq: _Unsigned | None = None
    """Of a part."""
    file_name: str | None = None
    file_type: str | None = None
    md5: str | None = None
    description: str | None = None


class NewValue(BaseModel):
    """A value to write."""

    model_config = BODY

    value: Any
    """As the metric's datatype says: bytes are base64 text, arrays are lists, null is null."""
    metadata: NewMetaData | None = None
    """Goes with the value, of a File for instance."""


class Metric(BaseModel):
    """A metric with its current value."""

    model_config = _ANSWER

    name: str
    type: str
    """Sparkplug datatype."""
    value: Any
    """Bytes are base64 text, arrays lists; null also stands for NaN and infinity."""
    timestamp: _Time
    quality: Literal["good", "bad", "stale"]
    reason: str | None = None
    """Why the quality is bad: the value that came last could not be used, and the last good one is shown."""
    alias: int | None = None
    properties: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    """Name, size, MD5 and the like of a File or Bytes."""


class Unit(BaseModel):
    """Life of an edge node or a device."""

    model_config = _ANSWER

    online: bool
    stale: bool
    """The values are not current: it is dead, or a birth is due."""
    born_at: _Time
    died_at: _Time
    seen_at: _Time


class NodeSummary(Unit):
    """State of an edge node."""

    group: str
    edge_node: str
    bd_seq: int | None
    next_seq: int | None
    """The `seq` that is due."""
    devices_online: int
    devices_total: int
    births: int
    gaps: int
    """Times that missing messages did not come."""
    reordered: int
    rebirth_requests: int
    short_form: bool
    """It sends topics of the short form of older devices."""
    sessions_replaced: int
    """New sessions that came while the old one seemed alive."""
    duplicate_id: bool
    """Two publishers seem to use its id."""
    from_stored_births: bool
    """Known from births that the broker had stored."""


class Nodes(BaseModel):
    """A page of edge nodes."""

    nodes: list[NodeSummary]
    total: int
    offset: int
    limit: int


class NodeDevice(Unit):
    """A device as its edge node lists it."""

    device: str


class Node(NodeSummary):
    """An edge node with its metrics and devices."""

    devices: list[NodeDevice]
    metrics: list[Metric]


class Device(Unit):
    """A device with its metrics."""

    group: str
    edge_node: str
    device: str
    metrics: list[Metric]


class Written(BaseModel):
    """A command that left."""

    edge_node: str
    device: str | None
    metric: str
    value: Any


class Outcome(Written):
    """A command that left, and what the edge node reported of the metric within the time of `wait`."""

    outcome: Literal["accepted", "unchanged"]
    """`accepted`: it reported the value that was written, or followed the rebirth request."""
    reported: Any
    """The last value reported; null where there is none."""
    timed_out: bool
    """It reported nothing of the metric."""


class RebirthRequested(BaseModel):
    """A rebirth request that left."""

    edge_node: str
    rebirth: Literal["requested"]
