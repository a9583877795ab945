"""The REST API under /api: clients and their resources, and the event feed. `docs/rest.md` describes it."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from aiohttp import web

from iiot.errors import InvalidValueError
from iiot.lwm2m.message import Command, Operation, Response
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.path import Path
from iiot.telemetry import json_response, problem
from lwm2m_server.events import MAX_LIMIT, EventLog, Page
from lwm2m_server.nodes import from_body, to_node
from lwm2m_server.operations import NoAnswerError, Operations, UnavailableError, UnknownEndpointError
from lwm2m_server.registry import Registration, Registry
from lwm2m_server.store import StoreError

DEFAULT_TIMEOUT: Final = 5.0
MAX_TIMEOUT: Final = 600.0
DEFAULT_LIMIT: Final = 100
MAX_CURSOR: Final = 2**53 - 1
_MAX_ARGUMENTS: Final = 4096
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def errors_as_problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Middleware that gives the project's errors their HTTP status."""
    try:
        return await handler(request)
    except InvalidValueError as error:
        raise problem(
            400, str(error), field=error.field, value=_short(error.value), allowed=error.allowed
        ) from error
    except UnknownEndpointError as error:
        raise problem(404, str(error)) from error
    except (UnavailableError, StoreError) as error:
        raise problem(503, str(error)) from error
    except NoAnswerError as error:
        raise problem(504, str(error)) from error


class Api:
    """Handlers of the REST API."""

    def __init__(
        self, registry: Registry, operations: Operations, events: EventLog, definitions: Definitions
    ) -> None:
        self._registry = registry
        self._operations = operations
        self._events = events
        self._definitions = definitions

    def add_routes(self, app: web.Application) -> None:
        """Add the API's routes."""
        app.router.add_get("/api/events", self.events)
        app.router.add_get("/api/events/consumers", self.consumers)
        consumer = app.router.add_resource("/api/events/consumers/{consumer}")
        consumer.add_route("GET", self.consumer)
        consumer.add_route("PUT", self.move_consumer)
        consumer.add_route("DELETE", self.forget_consumer)
        app.router.add_get("/api/clients", self.clients)
        app.router.add_get("/api/clients/{endpoint}", self.client)
        resource = app.router.add_resource("/api/clients/{endpoint}/{path:.+}")
        resource.add_route("GET", self.read)
        resource.add_route("PUT", self.write)
        resource.add_route("POST", self.execute)

    async def events(self, request: web.Request) -> web.Response:
        """A page of the event feed."""
        events = self._events
        limit = query_int(request, "limit", 1, 2**53)
        after = query_int(request, "after", 0, MAX_CURSOR)
        page = await events.read(after, min(limit or DEFAULT_LIMIT, MAX_LIMIT))
        is_reset = after is not None and after > events.latest
        if "consumer" in request.query and after is not None and not is_reset:
            events.move(consumer_name(request.query["consumer"]), after)
        return web.Response(body=_page(page, events, is_reset), content_type="application/json")

    async def consumers(self, _: web.Request) -> web.Response:
        """Who takes the feed, up to where, and how far that is behind."""
        return json_response([self._consumer(name) for name in sorted(self._events.positions)])

    async def consumer(self, request: web.Request) -> web.Response:
        """One consumer of the feed."""
        return json_response(self._consumer(self._known_consumer(request)))

    async def move_consumer(self, request: web.Request) -> web.Response:
        """Store the position of a consumer; answered when it is durable."""
        name = consumer_name(request.match_info["consumer"])
        body = await _body(request)
        position = body.get("position") if isinstance(body, dict) else body
        if (
            not isinstance(position, int)
            or isinstance(position, bool)
            or not 0 <= position <= self._events.latest
        ):
            raise InvalidValueError("position", position, f"an integer from 0 to {self._events.latest}")
        durable = asyncio.Event()
        self._events.move(name, position, durable.set)
        await durable.wait()
        return json_response(self._consumer(name))

    async def forget_consumer(self, request: web.Request) -> web.Response:
        """Forget a consumer."""
        durable = asyncio.Event()
        self._events.move(self._known_consumer(request), None, durable.set)
        await durable.wait()
        return web.Response(status=204)

    async def clients(self, _: web.Request) -> web.Response:
        """All registrations."""
        return json_response([describe(registration) for registration in self._registry])

    async def client(self, request: web.Request) -> web.Response:
        """One registration."""
        return json_response(describe(self._registered(request)))

    async def read(self, request: web.Request) -> web.Response:
        """Read an object, instance, resource or resource instance."""
        path = self._path(request, ("object", "instance", "resource", "resource instance"))
        response = await self._request(request, Command(operation=Operation.READ, path=path))
        answer = _answer(response)
        if response.code.is_success:
            answer["content"] = to_node(path, response.records, self._definitions)
        return json_response(answer)

    async def write(self, request: web.Request) -> web.Response:
        """Write an instance, resource or resource instance."""
        path = self._path(request, ("instance", "resource", "resource instance"))
        records = from_body(path, await _body(request), self._definitions)
        command = Command(operation=Operation.WRITE, path=path, records=records)
        return json_response(_answer(await self._request(request, command)))

    async def execute(self, request: web.Request) -> web.Response:
        """Execute a resource; the body, if any, holds the arguments."""
        path = self._path(request, ("resource",))
        arguments = await _text(request)
        if len(arguments) > _MAX_ARGUMENTS:
            raise InvalidValueError("arguments", len(arguments), f"at most {_MAX_ARGUMENTS} characters")
        command = Command(operation=Operation.EXECUTE, path=path, arguments=arguments)
        return json_response(_answer(await self._request(request, command)))

    def _known_consumer(self, request: web.Request) -> str:
        name = consumer_name(request.match_info["consumer"])
        if name not in self._events.positions:
            raise problem(404, f"no consumer {name!r} is known")
        return name

    def _consumer(self, name: str) -> dict[str, Any]:
        position = self._events.positions.get(name, 0)
        return {"consumer": name, "position": position, "lag": self._events.lag(name)}

    async def _request(self, request: web.Request, command: Command) -> Response:
        timeout = query_float(request, "timeout", DEFAULT_TIMEOUT, MAX_TIMEOUT)
        return await self._operations.request(request.match_info["endpoint"], command, timeout)

    def _registered(self, request: web.Request) -> Registration:
        endpoint = request.match_info["endpoint"]
        registration = self._registry.get(endpoint)
        if registration is None:
            raise UnknownEndpointError(f"no device {endpoint[:64]!r} is registered")
        return registration

    def _path(self, request: web.Request, levels: tuple[str, ...]) -> Path:
        self._registered(request)
        text = request.match_info["path"]
        path = Path.parse("/" + text)
        if path.level not in levels:
            raise InvalidValueError("path", str(path), f"the path of an {' or '.join(levels)}")
        return path


def describe(registration: Registration) -> dict[str, Any]:
    """A registration as the API shows it, with the names that Leshan's demo server uses."""
    instances: dict[str, list[int]] = {}
    for link in registration.links:
        found = instances.setdefault(str(link.path.object_id), [])
        if link.path.instance_id is not None:
            found.append(link.path.instance_id)
    return {
        "endpoint": registration.endpoint,
        "registrationId": registration.id,
        "registrationDate": _date(registration.registered_ms),
        "lastUpdate": _date(registration.updated_ms),
        "lifetime": registration.lifetime,
        "lwM2mVersion": registration.version,
        "bindingMode": registration.binding,
        "smsNumber": registration.sms,
        "rootPath": "/",
        "objectLinks": [
            {"url": str(link.path), "attributes": dict(link.attributes)} for link in registration.links
        ],
        "availableInstances": instances,
        "profile": registration.profile,
        "online": registration.online,
    }


def query_int(request: web.Request, name: str, low: int, high: int) -> int | None:
    """A query parameter as integer, None when absent.

    Raises:
        InvalidValueError: not an integer from `low` to `high`.
    """
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and low <= int(text) <= high):
        raise InvalidValueError(name, text[:100], f"an integer from {low} to {high}")
    return int(text)


def query_float(request: web.Request, name: str, default: float, high: float) -> float:
    """A query parameter as a positive number.

    Raises:
        InvalidValueError: not a number above 0 and up to `high`.
    """
    text = request.query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= high:
        raise InvalidValueError(name, text[:100], f"a number above 0, at most {high:g}")
    return value


def consumer_name(text: str) -> str:
    """The name of a consumer of the feed.

    Raises:
        InvalidValueError: not 1 to 64 letters, digits, dots, dashes or underscores.
    """
    if not _NAME.fullmatch(text):
        raise InvalidValueError("consumer", text[:100], "1 to 64 letters, digits, dots, dashes, underscores")
    return text


def _page(page: Page, events: EventLog, is_reset: bool) -> bytes:
    next_id, signal = page.next, b""
    if is_reset:
        next_id, signal = events.oldest - 1, b',"reset":true'
    elif page.gap is not None:
        signal = b',"gap":{"from":%d,"to":%d}' % page.gap
    numbers = b'],"next":%d,"oldest":%d,"latest":%d' % (next_id, events.oldest, events.latest)
    return b'{"events":[' + b",".join(page.bodies) + numbers + signal + b"}"


def _answer(response: Response) -> dict[str, Any]:
    success = response.code.is_success
    answer: dict[str, Any] = {
        "status": f"{response.code.name}({response.code.value})",
        "valid": True,
        "success": success,
        "failure": not success,
    }
    error = response.error
    if error is not None:
        answer["errormessage"] = str(error)
    return answer


async def _text(request: web.Request) -> str:
    try:
        return (await request.read()).decode()
    except UnicodeDecodeError as error:
        raise problem(400, "the body is not UTF-8 text") from error


async def _body(request: web.Request) -> object:
    text = await _text(request)
    if request.content_type != "application/json":
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise problem(400, f"the body is not JSON: {error}") from error


def _date(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _short(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float) else str(value)[:100]
