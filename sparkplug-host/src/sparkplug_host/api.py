"""REST view of edge nodes, devices and metrics, commands to them, and a stream of what happens.

Metric names keep their slashes. `?group=` names the group where the host watches all of them.
All times are UTC, ms since 1970; null when it never happened.
"""

import asyncio

from aiohttp import web

from iiot.errors import MqttError
from iiot.rest import Answer, Api, EventStreams, Route, StreamParameters
from iiot.telemetry import json_response
from sparkplug_host.commands import DEVICE, NODE, UNKNOWN, Commands
from sparkplug_host.events import VALUES
from sparkplug_host.host import HostApplication
from sparkplug_host.lookup import Lookup, metric_of, unit_of
from sparkplug_host.schemas import (
    Device,
    DeviceMetricPath,
    DevicePath,
    Metric,
    Node,
    NodeMetricPath,
    NodePage,
    NodePath,
    Nodes,
)
from sparkplug_host.views import metric_view, metric_views, node_view, unit_view

_DESCRIPTION = """State of all edge nodes and devices that this host application follows.

Times are UTC, ms since 1970, and null when it never happened. A write or a rebirth request is answered when
the command left; `?wait=` makes a write answer with what the edge node reported back.

`GET /api/events/stream` sends server-sent events: `node_born`, `node_died`, `node_stale`, `node_replaced`,
`node_duplicate`, `node_forgotten`, `device_born`, `device_died`, `device_forgotten`, `rebirth_requested`,
`written`, and `values` for every data message. They tell every change of `online` and `stale`: after
`node_born` its devices are offline until `device_born`; after `node_stale` and `node_died` they are as stale
as the edge node, and offline when its `online` is false."""


def host_api(application: HostApplication, group: str, stopping: asyncio.Event) -> Api:
    """The API; `group` is the one meant when a request names none."""
    find = Lookup(application.state.nodes, group)
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
    routes = (*_Nodes(find).routes(), *Commands(application, find).routes(), stream)
    return Api("Sparkplug host", _DESCRIPTION, routes, {MqttError: 503})


class _Nodes:
    def __init__(self, find: Lookup) -> None:
        self._find = find

    def routes(self) -> tuple[Route, ...]:
        metric, shown = self.show_metric, {200: Answer("The metric", Metric)}
        return (
            Route(
                "GET", "/api/nodes", self.list_nodes, "Edge nodes",
                {200: Answer("A page", Nodes)}, NodePage, tag="Edge nodes",
            ),
            Route(
                "GET", NODE, self.show_node, "An edge node with its metrics and devices",
                {200: Answer("The edge node", Node)}, NodePath, errors=UNKNOWN, tag="Edge nodes",
            ),
            Route(
                "GET", DEVICE, self.show_device, "A device with its metrics",
                {200: Answer("The device", Device)}, DevicePath, errors=UNKNOWN, tag="Devices",
            ),
            Route(
                "GET", f"{NODE}/metrics/{{metric:.+}}", metric, "A metric of an edge node",
                shown, NodeMetricPath, errors=UNKNOWN, tag="Edge nodes",
            ),
            Route(
                "GET", f"{DEVICE}/metrics/{{metric:.+}}", metric, "A metric of a device",
                shown, DeviceMetricPath, errors=UNKNOWN, tag="Devices",
            ),
        )  # fmt: skip

    async def list_nodes(self, _: web.Request, wanted: NodePage) -> web.Response:
        found = [
            node
            for node in self._find.nodes.values()
            if wanted.online in (None, node.is_online) and wanted.group in (None, node.group)
        ]
        page = [node_view(node) for node in found[wanted.offset : wanted.offset + wanted.limit]]
        return json_response(
            {"nodes": page, "total": len(found), "offset": wanted.offset, "limit": wanted.limit}
        )

    async def show_node(self, _: web.Request, wanted: NodePath) -> web.Response:
        node = self._find.node(wanted)
        devices = [{"device": name, **unit_view(unit)} for name, unit in node.devices.items()]
        return json_response({**node_view(node), "devices": devices, "metrics": metric_views(node.unit)})

    async def show_device(self, _: web.Request, wanted: DevicePath) -> web.Response:
        node = self._find.node(wanted)
        name, unit = unit_of(node, wanted)
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
        _device, unit = unit_of(self._find.node(wanted), wanted)
        return json_response(metric_view(unit, metric_of(unit, wanted.metric)))
