"""Operations on devices: read, write, execute, create, delete, discover, attributes, observe, composite."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from aiohttp import web
from pydantic import BaseModel

from iiot import json_input
from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m.arguments import check_arguments
from iiot.lwm2m.message import Attributes, Command, Operation, Response
from iiot.lwm2m.observe import NAMES, OwnAttributes
from iiot.lwm2m.path import Path
from iiot.rest import Answer, RawBody, Route
from iiot.telemetry import json_response, problem
from lwm2m_server import created, nodes
from lwm2m_server.answers import answer, refusal
from lwm2m_server.api import parameters as p
from lwm2m_server.api.schemas import ANSWER, REQUEST_ERRORS
from lwm2m_server.models import Models
from lwm2m_server.nodes import from_body, from_paths
from lwm2m_server.observations import MAX_PER_DEVICE, Observations
from lwm2m_server.operations import Operations
from lwm2m_server.request_queue import Delayed

MAX_ARGUMENTS: Final = 4096
_NODE: Final = RawBody(
    {
        "application/json": {},
        "text/plain": {"type": "string"},
        "application/octet-stream": {"type": "string"},
    },
    "A node as a Read answers it, a bare JSON value, plain text, or the bytes of an opaque value",
)
_INSTANCE: Final = RawBody(
    {"application/json": {"type": "object"}}, '`{"id": 1, "resources": [...]}`; without id the device chooses'
)
_VALUES: Final = RawBody(
    {"application/json": {"type": "object"}},
    "`{path: node or value}`; null removes a resource instance",
)
_ARGUMENTS: Final = RawBody(
    {"text/plain": {"type": "string"}}, "Arguments such as `0='now',1`", required=False
)
_ATTRIBUTES: Final = RawBody(
    {"application/json": {"type": "object"}},
    "`{attribute: number}` beside the query; null unsets one",
    required=False,
)
_OK: Final = {200: ANSWER}
_FORGOTTEN: Final = {
    200: ANSWER,
    204: Answer("Forgotten here; the device learns it by its next notification"),
}


class Management:
    """Handlers."""

    def __init__(self, operations: Operations, observations: Observations, models: Models) -> None:
        self._operations = operations
        self._observations = observations
        self._models = models

    def routes(self) -> list[Route]:
        """The routes; those with a word in place of an id come before those with ids."""
        composite, watched, at = "/api/clients/{endpoint}/composite", "/observe", p.at_level
        tag = "Observations"
        return [
            _route("GET", composite, self.read_composite, "Read several nodes at once", p.Composite),
            _route(
                "PUT", composite, self.write_composite, "Write several nodes at once",
                p.CompositeWriting, _VALUES,
            ),
            _route(
                "POST", composite + watched, self.observe_composite, "Observe several nodes as one",
                p.CompositeObserving, tag=tag,
            ),
            _route(
                "DELETE", composite + watched, self.cancel_composite, "End a composite observation",
                p.CompositeCancelling, tag=tag, answers=_FORGOTTEN,
            ),
            *(
                _route(
                    "GET", p.template(n, "/discover"), self.discover,
                    "What there is at a node, and its attributes", at(p.Discovering, n),
                )
                for n in (1, 2, 3)
            ),
            *(
                _route(
                    "PUT", p.template(n, "/attributes"), self.attach,
                    "Set or unset notification attributes", at(p.Attaching, n), _ATTRIBUTES,
                )
                for n in (1, 2, 3, 4)
            ),
            *(
                _route(
                    "POST", p.template(n, watched), self.observe, "Observe a node", at(p.Observing, n),
                    tag=tag,
                )
                for n in (1, 2, 3, 4)
            ),
            *(
                _route(
                    "DELETE", p.template(n, watched), self.cancel, "End an observation",
                    at(p.Cancelling, n), tag=tag, answers=_FORGOTTEN,
                )
                for n in (1, 2, 3, 4)
            ),
            *(_route("GET", p.template(n), self.read, "Read a node", at(p.Reading, n)) for n in (1, 2, 3, 4)),
            *(
                _route("PUT", p.template(n), self.write, "Write a node", at(p.Writing, n), _NODE)
                for n in (2, 3, 4)
            ),
            *(
                _route("POST", p.template(n), self.create, "Create an instance", at(p.Reading, n), _INSTANCE)
                for n in (1, 2)
            ),
            _route("POST", p.template(3), self.execute, "Execute a resource", at(p.Request, 3), _ARGUMENTS),
            *(
                _route(
                    "DELETE", p.template(n), self.delete, "Delete an instance or a resource instance",
                    at(p.Request, n),
                )
                for n in (2, 4)
            ),
        ]  # fmt: skip

    async def read(self, _: web.Request, asked: p.Reading) -> web.Response:
        """Read a node."""
        command = Command(operation=Operation.READ, path=asked.node, format=asked.number)
        return await self._answer(asked, command, asked)

    async def read_composite(self, _: web.Request, asked: p.Composite) -> web.Response:
        """Read several nodes."""
        command = Command(
            operation=Operation.READ_COMPOSITE,
            paths=asked.nodes,
            format=asked.number,
            path_format=asked.path_number,
        )
        return await self._answer(asked, command, asked)

    async def discover(self, _: web.Request, asked: p.Discovering) -> web.Response:
        """Discover a node."""
        command = Command(operation=Operation.DISCOVER, path=asked.node, depth=asked.depth)
        return await self._answer(asked, command, asked)

    async def write(self, request: web.Request, asked: p.Writing) -> web.Response:
        """Write a node, replacing or partially."""
        path = asked.node
        if not asked.replace and path.level == "resource instance":
            raise InvalidValueError("replace", False, "true for a resource instance")
        records = from_body(path, await _body(request), self._models.of(asked.endpoint))
        operation = Operation.WRITE if asked.replace else Operation.WRITE_PARTIAL
        command = Command(operation=operation, path=path, records=records, format=asked.number)
        return await self._answer(asked, command, asked)

    async def write_composite(self, request: web.Request, asked: p.CompositeWriting) -> web.Response:
        """Write several nodes."""
        records = from_paths(await _body(request), self._models.of(asked.endpoint))
        command = Command(operation=Operation.WRITE_COMPOSITE, records=records, format=asked.number)
        return await self._answer(asked, command, asked)

    async def attach(self, request: web.Request, asked: p.Attaching) -> web.Response:
        """Write attributes."""
        body = await _body(request) if await request.read() else {}
        if not isinstance(body, Mapping):
            raise InvalidValueError("body", type(body).__name__, "a JSON object of attributes, or nothing")
        attributes = asked.attributes(body)
        if attributes == type(attributes)():
            raise InvalidValueError("attributes", None, f"at least one of {', '.join(NAMES)}")
        command = Command(operation=Operation.WRITE_ATTRIBUTES, path=asked.node, attributes=attributes)
        return await self._answer(asked, command, asked)

    async def execute(self, request: web.Request, asked: p.Request) -> web.Response:
        """Execute a resource; the body, if any, holds the arguments."""
        arguments = await _text(request)
        if len(arguments) > MAX_ARGUMENTS:
            raise InvalidValueError("arguments", len(arguments), f"at most {MAX_ARGUMENTS} characters")
        check_arguments(arguments)
        command = Command(operation=Operation.EXECUTE, path=asked.node, arguments=arguments)
        return await self._answer(asked, command, asked)

    async def create(self, request: web.Request, asked: p.Reading) -> web.Response:
        """Create an instance."""
        path = asked.node
        body, definitions = await _body(request), self._models.of(asked.endpoint)
        records = nodes.created(path.ids[0], path.instance_id, body, definitions)
        if not records:
            raise InvalidValueError("resources", [], "at least one resource with a value")
        command = Command(
            operation=Operation.CREATE, path=Path.of(path.ids[0]), records=records, format=asked.number
        )
        before = self._operations.check_registered(asked.endpoint).links
        outcome = await self._request(asked, command, asked)
        if isinstance(outcome, Response) and outcome.location is None and records[0].path.is_open:
            target = Path.of(path.ids[0])
            location = await created.find(self._operations, asked.endpoint, target, before, asked.timeout)
            outcome = replace(outcome, location=location)
        return self._told(asked, command, outcome)

    async def delete(self, _: web.Request, asked: p.Request) -> web.Response:
        """Delete an instance or a resource instance."""
        return await self._answer(asked, Command(operation=Operation.DELETE, path=asked.node), asked)

    async def observe(self, _: web.Request, asked: p.Observing) -> web.Response:
        """Observe a node."""
        return await self._observe(asked, (asked.node,), False, asked, asked.number)

    async def observe_composite(self, _: web.Request, asked: p.CompositeObserving) -> web.Response:
        """Observe several nodes."""
        return await self._observe(asked, asked.nodes, True, asked, asked.number, asked.path_number)

    async def cancel(self, _: web.Request, asked: p.Cancelling) -> web.Response:
        """End an observation."""
        return await self._cancel(asked, (asked.node,), False, asked, asked.tells)

    async def cancel_composite(self, _: web.Request, asked: p.CompositeCancelling) -> web.Response:
        """End a composite observation."""
        return await self._cancel(asked, asked.nodes, True, asked, asked.tells)

    async def _observe(
        self,
        device: p.Device,
        paths: tuple[Path, ...],
        composite: bool,
        asked: p.Observing | p.CompositeObserving,
        number: int | None,
        path_number: int | None = None,
    ) -> web.Response:
        endpoint, attributes = device.endpoint, _own(asked.attributes(), composite)
        known = self._observations.find(endpoint, paths, composite)
        if known is None and len(self._observations.of(endpoint)) >= MAX_PER_DEVICE:
            raise problem(409, f"{endpoint} has {MAX_PER_DEVICE} observations already")
        self._operations.check_registered(endpoint)
        observation = known or self._observations.intend(endpoint, paths, composite, attributes)
        try:
            command = replace(
                observation.command, attributes=attributes, format=number, path_format=path_number
            )
            answered = await self._answer(device, command, asked)
        except Exception:
            if known is None:
                self._observations.forget(observation)
            raise
        self._observations.agreed(observation, attributes)
        return answered

    async def _cancel(
        self, device: p.Device, paths: tuple[Path, ...], composite: bool, timed: p.Timed, tell: bool
    ) -> web.Response:
        known = self._observations.find(device.endpoint, paths, composite)
        if known is None:
            what = ", ".join(map(str, paths))
            raise problem(404, f"{device.endpoint[:64]} has no observation of {what}")
        self._observations.forget(known)
        if not tell:
            return web.Response(status=204)
        command = Command(operation=Operation.CANCEL_OBSERVE, token=known.token)
        return await self._answer(device, command, timed)

    async def _answer(self, device: p.Device, command: Command, timed: p.Timed) -> web.Response:
        return self._told(device, command, await self._request(device, command, timed))

    async def _request(self, device: p.Device, command: Command, timed: p.Timed) -> Response | Delayed:
        outcome = await self._operations.request(device.endpoint, command, timed.timeout, timed.ttl)
        if isinstance(outcome, Response) and not outcome.code.is_success:
            raise refusal(device.endpoint, outcome)
        return outcome

    def _told(self, device: p.Device, command: Command, outcome: Response | Delayed) -> web.Response:
        if isinstance(outcome, Response):
            return json_response(answer(command, outcome, self._models.of(device.endpoint)))
        path = None if command.path is None else str(command.path)
        told = {"ep": device.endpoint, "path": path, "requestId": outcome.request_id}
        return json_response(told | {"response": None, "delayed": True})


def _route(
    method: str,
    path: str,
    handler: Callable[..., Awaitable[web.StreamResponse]],
    summary: str,
    parameters: type[BaseModel],
    body: RawBody | None = None,
    *,
    tag: str = "Management",
    answers: Mapping[int, Answer] = _OK,
) -> Route:
    return Route(method, path, handler, summary, answers, parameters, body, errors=REQUEST_ERRORS, tag=tag)


def _own(attributes: Attributes, composite: bool) -> Attributes | None:
    """What an Observe gives for its observation alone, None for nothing.

    Raises:
        InvalidValueError: one that it may not give.
    """
    OwnAttributes(attributes, composite).check()
    return None if attributes == Attributes() else attributes


async def _text(request: web.Request) -> str:
    try:
        return (await request.read()).decode()
    except UnicodeDecodeError as error:
        raise problem(400, "the body is not UTF-8 text", field="body") from error


async def _body(request: web.Request) -> object:
    if request.content_type == "application/octet-stream" and await request.read():
        return await request.read()
    text = await _text(request)
    if request.content_type != "application/json":
        return text
    try:
        return json_input.loads(text.encode())
    except DecodeError as error:
        raise problem(400, f"the body is {error}", field="body") from error
