"""Writes, rebirth requests, and what a person says is gone for good."""

from collections.abc import Callable

from aiohttp import web

from iiot.errors import SessionStateError
from iiot.rest import Answer, Route
from iiot.sparkplug.composite import MetaData
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.host_state import MetricState, NodeState, UnitState
from iiot.sparkplug.metric_json import value_from_json, value_to_json
from iiot.sparkplug.payload import BD_SEQ, REBIRTH, Value
from iiot.telemetry import json_response, problem
from sparkplug_host.host import HostApplication
from sparkplug_host.lookup import Lookup, metric_of, unit_of
from sparkplug_host.outcomes import TooManyWaitError
from sparkplug_host.schemas import (
    DevicePath,
    DeviceWrite,
    NewValue,
    NodePath,
    NodeWrite,
    Outcome,
    RebirthRequested,
    Written,
)

NODE = "/api/nodes/{node}"
DEVICE = f"{NODE}/devices/{{device}}"
UNKNOWN = {404: "No such edge node, device or metric is known"}
_UNSENT = {**UNKNOWN, 409: "It is offline", 503: "The broker is away"}
_UNOBSERVED = {**_UNSENT, 409: "It is offline; or this host only observes, and asks for no rebirth"}
_UNWRITTEN = {
    **_UNOBSERVED,
    422: "The metric cannot be written",
    503: "The broker is away, or too many writes wait for their outcome",
}
_SENT = {
    200: Answer("With `wait`: what the edge node reported back", Outcome),
    202: Answer("The command left", Written),
}


class Commands:
    """The routes that change something."""

    def __init__(self, application: HostApplication, find: Lookup) -> None:
        self._application = application
        self._find = find

    def routes(self) -> tuple[Route, ...]:
        """PUT of metrics, POST of rebirth, DELETE."""
        return (
            Route(
                "PUT", f"{NODE}/metrics/{{metric:.+}}", self._write_metric, "Write a metric with NCMD",
                _SENT, NodeWrite, NewValue, _UNWRITTEN, tag="Edge nodes",
            ),
            Route(
                "PUT", f"{DEVICE}/metrics/{{metric:.+}}", self._write_metric, "Write a metric with DCMD",
                _SENT, DeviceWrite, NewValue, _UNWRITTEN, tag="Devices",
            ),
            Route(
                "POST", f"{NODE}/rebirth", self._request_rebirth, "Ask for all births",
                {202: Answer("The request left", RebirthRequested)}, NodePath,
                errors=_UNOBSERVED, tag="Edge nodes",
            ),
            Route(
                "DELETE", NODE, self._forget_node, "Forget an edge node that is gone for good",
                {204: Answer("Forgotten")}, NodePath, tag="Edge nodes",
                errors={**UNKNOWN, 409: "It is online"},
                description="Its devices and metrics go with it. If it sends again, it is found anew.",
            ),
            Route(
                "DELETE", DEVICE, self._forget_device, "Forget a device that is gone for good",
                {204: Answer("Forgotten")}, DevicePath, tag="Devices",
                errors={**UNKNOWN, 409: "It is online"},
                description="Its metrics go with it. If it is born again, it is found anew.",
            ),
        )  # fmt: skip

    async def _write_metric(
        self, _: web.Request, wanted: NodeWrite | DeviceWrite, body: NewValue
    ) -> web.Response:
        node = self._find.node(wanted)
        device, unit = unit_of(node, wanted)
        metric = metric_of(unit, wanted.metric)
        _check_writable(metric)
        value = value_from_json(metric.datatype, body.value, like=metric.value)
        if device is None and metric.name == REBIRTH:
            self._check_rebirth(value)
        self._check_online(node, device, unit)
        told = None if body.metadata is None else MetaData(**body.metadata.model_dump())
        sent = {"edge_node": node.edge_node, "device": device, "metric": metric.name}
        if not wanted.wait:
            self._application.write(node, device, metric, value, told)
            return json_response({**sent, "value": value_to_json(value)}, status=202)
        try:
            with self._application.outcomes.expect(node, device, metric, value) as report:
                self._application.write(node, device, metric, value, told)
                await report.wait(wanted.wait)
        except TooManyWaitError as exc:
            raise problem(503, str(exc)) from exc
        outcome = {
            "outcome": "accepted" if report.is_accepted else "unchanged",
            "reported": value_to_json(report.value),
            "timed_out": not report.is_reported,
        }
        return json_response({**sent, "value": value_to_json(value), **outcome})

    async def _request_rebirth(self, _: web.Request, wanted: NodePath) -> web.Response:
        node = self._find.node(wanted)
        self._check_rebirth(True)
        if node.dead:
            raise _offline("node", node.edge_node)
        self._application.request_rebirth(node)
        return json_response({"edge_node": node.edge_node, "rebirth": "requested"}, status=202)

    async def _forget_node(self, _: web.Request, wanted: NodePath) -> web.Response:
        node = self._find.node(wanted)
        return _forgotten(lambda: self._application.forget(node), "node", wanted.node)

    async def _forget_device(self, _: web.Request, wanted: DevicePath) -> web.Response:
        node = self._find.node(wanted)
        unit_of(node, wanted)
        return _forgotten(
            lambda: self._application.forget_device(node, wanted.device), "device", wanted.device
        )

    def _check_rebirth(self, value: Value | None) -> None:
        if self._application.observe_only:
            raise problem(409, "this host only observes (REBIRTH_MODE=observe)")
        if value is not True:  # operational-behavior-data-commands-ncmd-rebirth-value
            raise problem(400, "a rebirth request writes true", field="value", value=value, allowed="true")

    def _check_online(self, node: NodeState, device: str | None, unit: UnitState) -> None:
        """A command to what is offline is lost. While the broker is away, that is the reason to tell."""
        if unit.online:
            return
        if not node.dead and not node.is_online:
            self._application.check_connected()
        if device is None or not node.is_online:
            raise _offline("node", node.edge_node)
        raise _offline("device", device)


def _check_writable(metric: MetricState) -> None:
    reason = None
    if metric.name == BD_SEQ:
        reason = "bdSeq counts the sessions of the edge node, and nobody may write it"
    elif metric.read_only is not None:
        reason = f"the edge node says in the property {metric.read_only!r} that nobody may write it"
    elif metric.datatype is DataType.UNKNOWN:
        reason = f"its datatype is not known: {metric.fault}"
    if reason is not None:
        raise problem(422, reason, field="metric", value=metric.name, allowed="a metric that can be written")


def _offline(field: str, name: str) -> web.HTTPException:
    return problem(409, f"{field} {name!r} is offline", field=field, value=name, allowed="one that is online")


def _forgotten(forget: Callable[[], None], field: str, name: str) -> web.Response:
    try:
        forget()
    except SessionStateError as exc:
        raise problem(409, str(exc), field=field, value=name, allowed="one that is offline") from exc
    return web.Response(status=204)
