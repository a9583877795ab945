"""Bootstrap configurations."""

from typing import Annotated, Any, Final

import orjson
from aiohttp import web
from pydantic import BaseModel, Field

from iiot.errors import InvalidValueError
from iiot.identity import check_device_id
from iiot.lwm2m.message import Command, Operation
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.path import Path
from iiot.rest import PARAMETERS, Answer, RawBody, Route
from iiot.telemetry import json_response, problem
from lwm2m_server.answers import answer, refusal
from lwm2m_server.api.schemas import ANSWER, REQUEST_ERRORS
from lwm2m_server.bootstrap import Bootstrap
from lwm2m_server.bootstrap_config import check_discover, check_read

_UNKNOWN: Final = {404: "No configuration is stored for this device"}
_ONE: Final = {200: Answer("Configuration, and how the newest session went", {"type": "object"})}
_CONFIG: Final = RawBody(
    {"application/json": {"type": "object"}},
    '`{"delete": ["/1"], "objects": {"1": {"0": {"0": 101, "1": 300}}}}`, or as Leshan takes it: '
    '`{"toDelete": [...], "security": {"0": {...}}, "servers": {"0": {...}}}`; with `discover` and `read`, '
    "lists of paths, the device is asked for these first; with `finish` false the session stays open",
)


class Bootstrapped(BaseModel):
    """A device."""

    model_config = PARAMETERS

    endpoint: Annotated[str, Field(max_length=64)]
    """Name of the device; it need not be registered."""


class Discovered(Bootstrapped):
    """A Bootstrap-Discover."""

    path: Annotated[str, Field(max_length=20)] = "/"
    """`/`, or an object."""


class Read(Bootstrapped):
    """A Bootstrap-Read."""

    path: Annotated[str, Field(max_length=20)] = "/1"
    """`/1`, `/2`, or an instance of them."""


class BootstrapApi:
    """Handlers."""

    def __init__(self, bootstrap: Bootstrap, definitions: Definitions) -> None:
        self._bootstrap = bootstrap
        self._definitions = definitions

    def routes(self) -> list[Route]:
        """The routes."""
        every, one = "/api/bootstrap", "/api/bootstrap/{endpoint}"
        answers, errors = {200: ANSWER}, REQUEST_ERRORS | {409: "The device is in no bootstrap session"}
        return [
            Route(
                "GET", every, self.configurations, "All bootstrap configurations", tag="Bootstrap",
                answers={200: Answer("Configurations by endpoint", {"type": "object"})},
            ),
            Route(
                "GET", one, self.configuration, "One bootstrap configuration", tag="Bootstrap",
                answers=_ONE, parameters=Bootstrapped, errors=_UNKNOWN,
            ),
            Route(
                "POST", one, self.configure, "Store a bootstrap configuration", tag="Bootstrap",
                answers=_ONE, parameters=Bootstrapped, body=_CONFIG,
            ),
            Route(
                "DELETE", one, self.forget, "Remove a bootstrap configuration", tag="Bootstrap",
                answers={204: Answer("Removed")}, parameters=Bootstrapped, errors=_UNKNOWN,
            ),
            Route(
                "GET", one + "/discover", self.discover, "Bootstrap-Discover, in a session that is open",
                tag="Bootstrap", answers=answers, parameters=Discovered, errors=errors,
            ),
            Route(
                "GET", one + "/read", self.read, "Bootstrap-Read, in a session that is open", tag="Bootstrap",
                answers=answers, parameters=Read, errors=errors,
            ),
            Route(
                "POST", one + "/finish", self.finish, "Bootstrap-Finish, which ends a session that is open",
                tag="Bootstrap", answers=answers, parameters=Bootstrapped, errors=errors,
            ),
        ]  # fmt: skip

    async def configurations(self, _: web.Request) -> web.Response:
        """All configurations."""
        return json_response({endpoint: self._bootstrap.config(endpoint) for endpoint in self._bootstrap})

    async def configuration(self, _: web.Request, wanted: Bootstrapped) -> web.Response:
        """One configuration."""
        if self._bootstrap.config(wanted.endpoint) is None:
            raise problem(404, f"no bootstrap configuration is stored for {wanted.endpoint!r}")
        return json_response(self._describe(wanted.endpoint))

    async def configure(self, request: web.Request, wanted: Bootstrapped) -> web.Response:
        """Store a configuration."""
        check_device_id(wanted.endpoint)
        try:
            body = orjson.loads(await request.read())
        except orjson.JSONDecodeError as error:
            raise InvalidValueError("body", None, f"JSON ({error})") from error
        if not isinstance(body, dict):
            raise InvalidValueError("body", None, "a JSON object")
        await self._bootstrap.configure(wanted.endpoint, body)
        return json_response(self._describe(wanted.endpoint))

    async def forget(self, _: web.Request, wanted: Bootstrapped) -> web.Response:
        """Remove a configuration."""
        if not await self._bootstrap.forget(wanted.endpoint):
            raise problem(404, f"no bootstrap configuration is stored for {wanted.endpoint!r}")
        return web.Response(status=204)

    async def discover(self, _: web.Request, wanted: Discovered) -> web.Response:
        """Ask a device what it has."""
        path = check_discover(Path.parse(wanted.path))
        return await self._ask(wanted.endpoint, Operation.BOOTSTRAP_DISCOVER, path)

    async def read(self, _: web.Request, wanted: Read) -> web.Response:
        """Read accounts or access control."""
        return await self._ask(wanted.endpoint, Operation.BOOTSTRAP_READ, check_read(Path.parse(wanted.path)))

    async def finish(self, _: web.Request, wanted: Bootstrapped) -> web.Response:
        """End a session."""
        return await self._ask(wanted.endpoint, Operation.BOOTSTRAP_FINISH, None)

    async def _ask(self, endpoint: str, operation: Operation, path: Path | None) -> web.Response:
        response = await self._bootstrap.ask(endpoint, operation, path)
        if not response.code.is_success:
            raise refusal(endpoint, response)
        command = Command(operation=operation, path=path)
        return json_response(answer(command, response, self._definitions))

    def _describe(self, endpoint: str) -> dict[str, Any]:
        return {
            "endpoint": endpoint,
            "config": self._bootstrap.config(endpoint),
            "session": self._bootstrap.session(endpoint),
        }
