"""REST view of edge nodes, devices and metrics, and commands to them.

    GET  /api/nodes?offset=&limit=&online=&group=
    GET  /api/nodes/{node}
    POST /api/nodes/{node}/rebirth
    GET  /api/nodes/{node}/devices/{device}
    GET, PUT  /api/nodes/{node}/metrics/{metric}
    GET, PUT  /api/nodes/{node}/devices/{device}/metrics/{metric}

Metric names keep their slashes. `?group=` names the group where the host watches all of them.
All times are UTC, ms since 1970; null when it never happened.
"""

from typing import Any

import orjson
from aiohttp import web

from iiot.errors import InvalidValueError, MqttError
from iiot.sparkplug.host_state import MetricState, NodeState, UnitState
from iiot.sparkplug.metric_json import properties_to_json, value_from_json, value_to_json
from iiot.telemetry import json_response, problem
from sparkplug_host.host import HostApplication

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
_BOOLEANS = {"true": True, "false": False}


def add_routes(app: web.Application, application: HostApplication, group: str) -> None:
    """Add the routes; `group` is the one meant when a request names none."""
    api = _Api(application, group)
    node, device = "/api/nodes/{node}", "/api/nodes/{node}/devices/{device}"
    app.router.add_get("/api/nodes", api.list_nodes)
    app.router.add_get(node, api.show_node)
    app.router.add_post(f"{node}/rebirth", api.request_rebirth)
    app.router.add_get(device, api.show_device)
    for path in (f"{node}/metrics/{{metric:.+}}", f"{device}/metrics/{{metric:.+}}"):
        app.router.add_get(path, api.show_metric)
        app.router.add_put(path, api.write_metric)


class _Api:
    def __init__(self, application: HostApplication, group: str) -> None:
        self._application = application
        self._nodes = application.state.nodes
        self._group = group

    async def list_nodes(self, request: web.Request) -> web.Response:
        offset = _integer(request, "offset", 0, 0, 10_000_000)
        limit = _integer(request, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
        online, group = _boolean(request, "online"), request.query.get("group")
        found = [
            node
            for node in self._nodes.values()
            if online in (None, _online(node)) and group in (None, node.group)
        ]
        page = [_summary(node) for node in found[offset : offset + limit]]
        return json_response({"nodes": page, "total": len(found), "offset": offset, "limit": limit})

    async def show_node(self, request: web.Request) -> web.Response:
        node = self._node(request)
        devices = [{"device": name, **_unit(unit)} for name, unit in node.devices.items()]
        return json_response({**_summary(node), "devices": devices, "metrics": _metrics(node.unit)})

    async def show_device(self, request: web.Request) -> web.Response:
        node = self._node(request)
        name, unit = self._unit(request, node)
        return json_response(
            {
                "group": node.group,
                "edge_node": node.edge_node,
                "device": name,
                **_unit(unit),
                "metrics": _metrics(unit),
            }
        )

    async def show_metric(self, request: web.Request) -> web.Response:
        _, unit = self._unit(request, self._node(request))
        return json_response(_metric(unit, _find_metric(request, unit)))

    async def write_metric(self, request: web.Request) -> web.Response:
        node = self._node(request)
        device, unit = self._unit(request, node)
        metric = _find_metric(request, unit)
        try:
            value = value_from_json(metric.datatype, await _body_value(request))
            self._application.write(node, device, metric, value)
        except InvalidValueError as exc:
            raise problem(400, str(exc), field=exc.field, value=exc.value, allowed=exc.allowed) from exc
        except MqttError as exc:
            raise problem(503, str(exc)) from exc
        sent = {
            "edge_node": node.edge_node,
            "device": device,
            "metric": metric.name,
            "value": value_to_json(value),
        }
        return json_response(sent, status=202)

    async def request_rebirth(self, request: web.Request) -> web.Response:
        node = self._node(request)
        if self._application.observe_only:
            raise problem(409, "this host only observes (REBIRTH_MODE=observe)")
        try:
            self._application.request_rebirth(node)
        except MqttError as exc:
            raise problem(503, str(exc)) from exc
        return json_response({"edge_node": node.edge_node, "rebirth": "requested"}, status=202)

    def _node(self, request: web.Request) -> NodeState:
        name = request.match_info["node"]
        group = request.query.get("group", self._group)
        for key in [(group, name)] if group != "+" else [key for key in self._nodes if key[1] == name]:
            if key in self._nodes:
                return self._nodes[key]
        raise problem(
            404, f"edge node {name!r} is not known", field="node", value=name, allowed="see GET /api/nodes"
        )

    def _unit(self, request: web.Request, node: NodeState) -> tuple[str | None, UnitState]:
        name = request.match_info.get("device")
        if name is None:
            return None, node.unit
        if name not in node.devices:
            detail = f"edge node {node.edge_node!r} has no device {name!r}"
            raise problem(404, detail, field="device", value=name, allowed=sorted(node.devices))
        return name, node.devices[name]


def _find_metric(request: web.Request, unit: UnitState) -> MetricState:
    name = request.match_info["metric"]
    if name not in unit.metrics:
        detail = f"no birth announced a metric {name!r}"
        raise problem(404, detail, field="metric", value=name, allowed=sorted(unit.metrics))
    return unit.metrics[name]


async def _body_value(request: web.Request) -> Any:
    text = await request.read()
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise problem(400, f"the body is not JSON: {exc}") from exc
    if not isinstance(body, dict) or body.keys() != {"value"}:
        allowed = 'a JSON object {"value": …}'
        raise problem(400, f"body: allowed: {allowed}", field="body", value=body, allowed=allowed)
    return body["value"]


def _integer(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        allowed = f"an integer from {low} to {high}"
        raise problem(400, f"{name}={text!r}: allowed: {allowed}", field=name, value=text, allowed=allowed)
    return int(text)


def _boolean(request: web.Request, name: str) -> bool | None:
    text = request.query.get(name)
    if text is not None and text not in _BOOLEANS:
        allowed = "true or false"
        raise problem(400, f"{name}={text!r}: allowed: {allowed}", field=name, value=text, allowed=allowed)
    return None if text is None else _BOOLEANS[text]


def _online(node: NodeState) -> bool:
    """A device that sends the short form makes its node count, too: no node birth ever comes."""
    return any(unit.online for unit in node.units())


def _summary(node: NodeState) -> dict[str, Any]:
    return {
        "group": node.group,
        "edge_node": node.edge_node,
        **_unit(node.unit),
        "online": _online(node),
        "seen_at": max(unit.seen_at for unit in node.units()) or None,
        "bd_seq": node.bd_seq,
        "next_seq": node.order.expected,
        "devices_online": sum(unit.online for unit in node.devices.values()),
        "devices_total": len(node.devices),
        "births": node.births,
        "gaps": node.gaps,
        "reordered": node.reordered,
        "rebirth_requests": node.rebirth_requests,
        "short_form": node.short_form,
        "sessions_replaced": node.replaced,
        "duplicate_id": node.duplicate,
        "from_stored_births": node.unit.confirmed is not None,
    }


def _unit(unit: UnitState) -> dict[str, Any]:
    return {
        "online": unit.online,
        "stale": unit.stale,
        "born_at": unit.born_at or None,
        "died_at": unit.died_at or None,
        "seen_at": unit.seen_at or None,
    }


def _metrics(unit: UnitState) -> list[dict[str, Any]]:
    return [_metric(unit, metric) for metric in unit.metrics.values()]


def _metric(unit: UnitState, metric: MetricState) -> dict[str, Any]:
    shown = {
        "name": metric.name,
        "type": metric.datatype.label,
        "value": value_to_json(metric.value),
        "timestamp": metric.timestamp,
        "quality": unit.quality(metric).value,
    }
    if metric.alias is not None:
        shown["alias"] = metric.alias
    if metric.properties:
        shown["properties"] = properties_to_json(metric.properties)
    return shown
