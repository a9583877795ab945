"""REST view of edge nodes, devices and metrics, commands to them, and a stream of what happens.

Metric names keep their slashes. `?group=` names the group where the host watches all of them.
All times are UTC, ms since 1970; null when it never happened.
"""

import asyncio

from aiohttp import web

from iiot.errors import MqttError, SessionStateError
from iiot.rest import Answer, Api, EventStreams, Route, StreamParameters
from iiot.sparkplug.host_state import MetricState, NodeState, UnitState
from iiot.sparkplug.metric_json import value_from_json, value_to_json
from iiot.sparkplug.payload import REBIRTH
from iiot.telemetry import json_response, problem
from sparkplug_host.events import VALUES
from sparkplug_host.host import HostApplication
from sparkplug_host.schemas import (
    Device,
    DeviceMetricPath,
    DevicePath,
    Metric,
    NewValue,
    Node,
    NodeMetricPath,
    NodePage,
    NodePath,
    Nodes,
    RebirthRequested,
    Written,
)
from sparkplug_host.views import metric_view, metric_views, node_view, unit_view

_NODE = "/api/nodes/{node}"
_DEVICE = f"{_NODE}/devices/{{device}}"
_DESCRIPTION = """State of all edge nodes and devices that this host application follows.

Times are UTC, ms since 1970, and null when it never happened. A write or a rebirth request is answered when
the command left; the next message of the edge node tells whether it was followed.

`GET /api/events/stream` sends server-sent events: `node_born`, `node_died`, `node_stale`, `device_born`,
`device_died`, `device_stale`, `node_forgotten`, `rebirth_requested`, `written`, and `values` for every
data message."""
_UNKNOWN = {404: "No such edge node, device or metric is known"}
_UNSENT = {**_UNKNOWN, 503: "The broker is away"}
_UNOBSERVED = {**_UNSENT, 409: "This host only observes, and asks for no rebirth"}


def host_api(application: HostApplication, group: str, stopping: asyncio.Event) -> Api:
    """The API; `group` is the one meant when a request names none."""
    nodes = _Nodes(application, group)
    events = application.events
    everything, life = EventStreams(events.ring, stopping), EventStreams(events.life, stopping)
    events.listening = lambda: everything.clients > 0

    async def stream_events(request: web.Request, wanted: StreamParameters) -> web.StreamResponse:
        streams = everything if not wanted.type or VALUES in wanted.type else life
        return await streams.stream_events(request, wanted)

    stream = Route(
        "GET", "/api/events/stream", stream_events, "What happens, as server-sent events",
        {200: Answer("`id`, `event` and `data` of each event", str, "text/event-stream")},
        StreamParameters, errors={503: "Too many streams are open"}, tag="Events", streams=True,
    )  # fmt: skip
    routes = (*nodes.reads(), *nodes.commands(), stream)
    return Api("Sparkplug host", _DESCRIPTION, routes, {MqttError: 503})


class _Nodes:
    def __init__(self, application: HostApplication, group: str) -> None:
        self._application = application
        self._nodes = application.state.nodes
        self._group = group

    def reads(self) -> tuple[Route, ...]:
        metric, shown = self.show_metric, {200: Answer("The metric", Metric)}
        return (
            Route(
                "GET", "/api/nodes", self.list_nodes, "Edge nodes",
                {200: Answer("A page", Nodes)}, NodePage, tag="Edge nodes",
            ),
            Route(
                "GET", _NODE, self.show_node, "An edge node with its metrics and devices",
                {200: Answer("The edge node", Node)}, NodePath, errors=_UNKNOWN, tag="Edge nodes",
            ),
            Route(
                "GET", _DEVICE, self.show_device, "A device with its metrics",
                {200: Answer("The device", Device)}, DevicePath, errors=_UNKNOWN, tag="Devices",
            ),
            Route(
                "GET", f"{_NODE}/metrics/{{metric:.+}}", metric, "A metric of an edge node",
                shown, NodeMetricPath, errors=_UNKNOWN, tag="Edge nodes",
            ),
            Route(
                "GET", f"{_DEVICE}/metrics/{{metric:.+}}", metric, "A metric of a device",
                shown, DeviceMetricPath, errors=_UNKNOWN, tag="Devices",
            ),
        )  # fmt: skip

    def commands(self) -> tuple[Route, ...]:
        sent = {202: Answer("The command left", Written)}
        return (
            Route(
                "PUT", f"{_NODE}/metrics/{{metric:.+}}", self.write_metric, "Write a metric with NCMD",
                sent, NodeMetricPath, NewValue, _UNOBSERVED, tag="Edge nodes",
            ),
            Route(
                "PUT", f"{_DEVICE}/metrics/{{metric:.+}}", self.write_metric, "Write a metric with DCMD",
                sent, DeviceMetricPath, NewValue, _UNSENT, tag="Devices",
            ),
            Route(
                "POST", f"{_NODE}/rebirth", self.request_rebirth, "Ask for all births",
                {202: Answer("The request left", RebirthRequested)}, NodePath,
                errors=_UNOBSERVED, tag="Edge nodes",
            ),
            Route(
                "DELETE", _NODE, self.forget_node, "Forget an edge node that is gone for good",
                {204: Answer("Forgotten")}, NodePath, tag="Edge nodes",
                errors={**_UNKNOWN, 409: "It is online"},
                description="Its devices and metrics go with it. If it sends again, it is found anew.",
            ),
        )  # fmt: skip

    async def list_nodes(self, _: web.Request, wanted: NodePage) -> web.Response:
        found = [
            node
            for node in self._nodes.values()
            if wanted.online in (None, node.is_online) and wanted.group in (None, node.group)
        ]
        page = [node_view(node) for node in found[wanted.offset : wanted.offset + wanted.limit]]
        return json_response(
            {"nodes": page, "total": len(found), "offset": wanted.offset, "limit": wanted.limit}
        )

    async def show_node(self, _: web.Request, wanted: NodePath) -> web.Response:
        node = self._node(wanted)
        devices = [{"device": name, **unit_view(unit)} for name, unit in node.devices.items()]
        return json_response({**node_view(node), "devices": devices, "metrics": metric_views(node.unit)})

    async def show_device(self, _: web.Request, wanted: DevicePath) -> web.Response:
        node = self._node(wanted)
        name, unit = _unit(node, wanted)
        return json_response(
            {
                "group": node.group,
                "edge_node": node.edge_node,
                "device": name,
                **unit_view(unit),
                "metrics": metric_views(unit),
            }
        )

    async def show_metric(self, _: web.Request, wanted: NodeMetricPath | DeviceMetricPath) -> web.Response:
        _device, unit = _unit(self._node(wanted), wanted)
        return json_response(metric_view(unit, _metric(unit, wanted.metric)))

    async def write_metric(
        self, _: web.Request, wanted: NodeMetricPath | DeviceMetricPath, body: NewValue
    ) -> web.Response:
        node = self._node(wanted)
        device, unit = _unit(node, wanted)
        metric = _metric(unit, wanted.metric)
        value = value_from_json(metric.datatype, body.value, like=metric.value)
        if device is None and metric.name == REBIRTH:
            self._check_rebirth(value)
        self._application.write(node, device, metric, value)
        sent = {
            "edge_node": node.edge_node,
            "device": device,
            "metric": metric.name,
            "value": value_to_json(value),
        }
        return json_response(sent, status=202)

    async def request_rebirth(self, _: web.Request, wanted: NodePath) -> web.Response:
        node = self._node(wanted)
        self._check_rebirth(True)
        self._application.request_rebirth(node)
        return json_response({"edge_node": node.edge_node, "rebirth": "requested"}, status=202)

    def _check_rebirth(self, value: object) -> None:
        if self._application.observe_only:
            raise problem(409, "this host only observes (REBIRTH_MODE=observe)")
        if value is not True:  # operational-behavior-data-commands-ncmd-rebirth-value
            raise problem(400, "a rebirth request writes true", field="value", value=value, allowed="true")

    async def forget_node(self, _: web.Request, wanted: NodePath) -> web.Response:
        node = self._node(wanted)
        try:
            self._application.forget(node)
        except SessionStateError as exc:
            raise problem(
                409, str(exc), field="node", value=wanted.node, allowed="one that is offline"
            ) from exc
        return web.Response(status=204)

    def _node(self, wanted: NodePath) -> NodeState:
        name = wanted.node
        group = self._group if wanted.group is None else wanted.group
        keys = [(group, name)] if group != "+" else [key for key in self._nodes if key[1] == name]
        if len(keys) > 1:
            groups = sorted(key[0] for key in keys)
            raise problem(
                400, f"several groups have an edge node {name!r}", field="group", value=None, allowed=groups
            )
        for key in keys:
            if key in self._nodes:
                return self._nodes[key]
        raise problem(
            404, f"edge node {name!r} is not known", field="node", value=name, allowed="see GET /api/nodes"
        )


def _unit(node: NodeState, wanted: NodePath) -> tuple[str | None, UnitState]:
    if not isinstance(wanted, DevicePath):
        return None, node.unit
    name = wanted.device
    if name not in node.devices:
        detail = f"edge node {node.edge_node!r} has no device {name!r}"
        raise problem(404, detail, field="device", value=name, allowed=sorted(node.devices))
    return name, node.devices[name]


def _metric(unit: UnitState, name: str) -> MetricState:
    if name not in unit.metrics:
        detail = f"no birth announced a metric {name!r}"
        raise problem(404, detail, field="metric", value=name, allowed=sorted(unit.metrics))
    return unit.metrics[name]
