"""The API of the page, all on its own origin. `docs/console.md` describes it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

import orjson
from aiohttp import web

from console.alerts import MAX_BODY, Alerts
from console.devices import Devices
from console.overview import Overview
from console.streams import Streams, device_messages, events
from console.tap import Tap
from console.topics import MAX_RECORDS, Topics
from console.upstream import Upstreams
from iiot.errors import InvalidValueError, KafkaError
from iiot.lwm2m.model import built_in
from iiot.rest import Access
from iiot.rest.access import check_origin
from iiot.rest.app import BODY_TIMEOUT
from iiot.rest.parameters import read_json, shortened
from iiot.sparkplug.topic import check_id
from iiot.telemetry import json_response, problem

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_READS: Final = ("GET", "HEAD")
_PROXIED: Final = {"lwm2m": "lwm2m-server", "sparkplug": "sparkplug-host"}
_OPEN: Final = ("/api/health", "/api/alerts/webhook")
"""For the health check, and for Alertmanager, which has a token of its own."""
_PROMETHEUS: Final = ("query", "query_range")
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def guard(access: Access) -> Any:
    """Middleware: writes need the token where there is one, and pages of other sites may never write."""

    @web.middleware
    async def check(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path.startswith("/api/") and request.path not in _OPEN:
            writes = request.method not in _READS
            if writes:
                check_origin(request)
            if access.needs_token(writes=writes):
                access.check_token(request, streams=False)
        return await handler(request)

    return check


class Api:
    """Handlers of the page's API."""

    def __init__(
        self,
        upstreams: Upstreams,
        devices: Devices,
        overview: Overview,
        topics: Topics,
        alerts: Alerts,
        tap: Tap,
        streams: Streams,
        webhook_access: Access | None,
    ) -> None:
        self._upstreams = upstreams
        self._devices = devices
        self._overview = overview
        self._topics = topics
        self._alerts = alerts
        self._tap = tap
        self._streams = streams
        self._webhook_access = webhook_access

    def add_routes(self, app: web.Application) -> None:
        """Add the API's and the page's routes."""
        add = app.router.add_get
        add("/api/overview", self.overview)
        add("/api/devices", self.devices)
        add("/api/devices/{device}/messages", self.messages)
        add("/api/objects", self.objects)
        add("/api/events", self.events)
        add("/api/topics", self.topics)
        add("/api/topics/{topic}/records", self.records)
        add("/api/alerts", self.alerts)
        app.router.add_post("/api/alerts/webhook", self.webhook)
        add("/api/prometheus/{query}", self.prometheus)
        app.router.add_route("*", "/api/{part:lwm2m|sparkplug}/{path:.+}", self.pass_on)
        add("/", page)
        add("/{file:[a-z-]+[.](?:html|css|js|svg)}", page)

    async def overview(self, _: web.Request) -> web.Response:
        """Health and rates of every part."""
        return json_response(await self._overview.look())

    async def devices(self, request: web.Request) -> web.Response:
        """Every device with its registration and its Sparkplug state."""
        response = json_response(await self._devices.all(request.headers.get("Authorization")))
        response.enable_compression()
        return response

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """A device's MQTT messages as server-sent events."""
        try:
            device = check_id("device", request.match_info["device"])
        except InvalidValueError as exc:
            raise problem(400, str(exc), field=exc.field, value=exc.value, allowed=exc.allowed) from exc
        authorization = request.headers.get("Authorization")
        batches = device_messages(self._tap, self._devices, device, authorization)
        return await self._streams.serve(request, batches)

    async def objects(self, _: web.Request) -> web.Response:
        """Definitions of the LwM2M objects that the project knows."""
        return web.Response(body=_objects(), content_type="application/json")

    async def events(self, request: web.Request) -> web.StreamResponse:
        """What happens, of both protocols, as server-sent events."""
        batches = events(self._upstreams, request.query.get("endpoint"), request.headers.get("Authorization"))
        return await self._streams.serve(request, batches)

    async def topics(self, _: web.Request) -> web.Response:
        """Kafka topics with counts and rates."""
        try:
            return json_response({"topics": await self._topics.counts()})
        except KafkaError as exc:
            raise problem(502, f"Kafka does not answer: {exc}", part="kafka") from exc

    async def records(self, request: web.Request) -> web.Response:
        """The newest records of a topic."""
        text = request.query.get("limit", "20")
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_RECORDS):
            allowed = f"an integer from 1 to {MAX_RECORDS}"
            raise problem(
                400, f"limit={text!r}: allowed: {allowed}", field="limit", value=text, allowed=allowed
            )
        topic = request.match_info["topic"]
        try:
            return json_response({"topic": topic, "records": await self._topics.newest(topic, int(text))})
        except KeyError as exc:
            raise problem(404, f"there is no topic {topic!r}") from exc
        except KafkaError as exc:
            raise problem(502, f"Kafka does not answer: {exc}", part="kafka") from exc

    async def alerts(self, _: web.Request) -> web.Response:
        """Alerts of Prometheus, and those that came by webhook."""
        return json_response(await self._alerts.all())

    async def webhook(self, request: web.Request) -> web.Response:
        """Alertmanager's notifications."""
        check_origin(request)
        if self._webhook_access is None:
            self._alerts.turned_away("token")
            raise problem(403, "the webhook is closed: ALERTS_TOKEN_FILE names the file with its token")
        try:
            self._webhook_access.check_token(request, streams=False)
        except web.HTTPException:
            self._alerts.turned_away("token")
            raise
        try:
            return json_response(self._alerts.receive(await self._notification(request)))
        except InvalidValueError as exc:
            self._alerts.turned_away("body")
            raise problem(
                400, str(exc), field=exc.field, value=shortened(exc.value), allowed=exc.allowed
            ) from exc
        except web.HTTPException:
            self._alerts.turned_away("body")
            raise

    async def _notification(self, request: web.Request) -> object:
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                return await read_json(request.clone(client_max_size=MAX_BODY))
        except TimeoutError as exc:
            raise problem(408, f"the body did not arrive within {BODY_TIMEOUT:g} s") from exc

    async def prometheus(self, request: web.Request) -> web.Response:
        """A query of Prometheus."""
        query = request.match_info["query"]
        if query not in _PROMETHEUS:
            raise problem(404, f"only {' and '.join(_PROMETHEUS)} are passed on")
        return await self._upstreams.pass_on(request, "prometheus", f"/api/v1/{query}")

    async def pass_on(self, request: web.Request) -> web.Response:
        """A request to the LwM2M server or the Sparkplug host."""
        part = _PROXIED[request.match_info["part"]]
        # As it was sent: a device id or a metric's name may hold an escaped slash.
        _, _, path = request.rel_url.raw_path.removeprefix("/api/").partition("/")
        return await self._upstreams.pass_on(request, part, f"/api/{path}")


@cache
def _objects() -> bytes:
    objects = {
        str(known.id): {
            "name": known.name,
            "version": known.version,
            "multiple": known.multiple,
            "resources": {
                str(resource.id): {
                    "name": resource.name,
                    "type": resource.type.value,
                    "operations": resource.operations,
                    "unit": resource.unit,
                    "range": resource.range,
                    "multiple": resource.multiple,
                }
                for resource in known.resources.values()
            },
        }
        for known in built_in().values()
    }
    return orjson.dumps(objects)


@cache
def _files() -> dict[str, Traversable]:
    """By name, so that a request's text is never a path: the file system refuses some."""
    return {file.name: file for file in (resources.files("console") / "static").iterdir()}


async def page(request: web.Request) -> web.Response:
    """A file of the page."""
    name = request.match_info.get("file", "index.html")
    file = _files().get(name)
    if file is None:
        raise problem(404, f"there is no {name[:100]}")
    content_type = _TYPES[name[name.rindex(".") :]]
    return web.Response(
        body=file.read_bytes(), content_type=content_type, charset="utf-8", headers=_PAGE_HEADERS
    )
