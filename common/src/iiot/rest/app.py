"""From a table of routes to an aiohttp application."""

import asyncio
import importlib.resources
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry

from iiot.errors import InvalidValueError
from iiot.rest.access import Access, check_origin
from iiot.rest.openapi import document
from iiot.rest.parameters import check_body, parameter_reader, read_json, shortened
from iiot.rest.route import RawBody, Route
from iiot.telemetry import MAX_BODY_BYTES, HealthCheck, HealthReport, get_logger, make_app, problem

BODY_TIMEOUT: Final = 30.0
"""Seconds in which a client must have sent the body."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_PAGE: Final = (
    ("/api/docs", "docs.html", "text/html"),
    ("/api/docs.css", "docs.css", "text/css"),
    ("/api/docs.js", "docs.js", "text/javascript"),
)
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Api:
    """A service's API.

    Attributes:
        title: names it in the documentation.
        description: what it is for, Markdown.
        routes: the table.
        errors: HTTP status of exceptions that handlers raise; InvalidValueError is 400 always.
    """

    title: str
    description: str
    routes: Sequence[Route]
    errors: Mapping[type[Exception], int] = field(default_factory=dict)


def make_api(registry: CollectorRegistry, health: HealthCheck, api: Api, access: Access) -> web.Application:
    """An application that serves the API with its documentation, beside `/metrics` and `/api/health`."""

    def report() -> HealthReport:
        found = health()
        return replace(found, details={**found.details, **access.details})

    app = make_app(registry, report)
    for route in api.routes:
        handler = _handler(route, api.errors, access)
        if route.writes and not route.routine:
            handler = _logged(handler)
        app.router.add_route(route.method, route.path, handler)
        if route.method == "GET" and not route.streams:
            app.router.add_route("HEAD", route.path, handler)
    _add_documentation(app, cache(partial(document, api.title, api.description, api.routes, access)))
    if not access.needs_token(writes=True):
        get_logger("iiot.http").warning(
            "api_open", api=api.title, reason="whoever reaches the port may write; API_TOKEN_FILE closes it"
        )
    return app


def _handler(route: Route, errors: Mapping[type[Exception], int], access: Access) -> _Handler:
    """The route's handler behind the checks that its declaration asks for."""
    handler, guard, read = route.handler, _guard(route, access), parameter_reader(route)
    body = route.body

    async def call(request: web.Request) -> web.StreamResponse:
        try:
            if guard is not None:
                guard(request)
            parameters = () if read is None else (read(request),)
            if body is None:
                return await handler(request, *parameters)
            request = await _with_body(request, route.max_body)
            if isinstance(body, RawBody):
                return await handler(request, *parameters)
            return await handler(request, *parameters, check_body(body, await read_json(request)))
        except InvalidValueError as error:
            raise _invalid(error) from error
        except tuple(errors) as error:
            status = next(code for kind, code in errors.items() if isinstance(error, kind))
            raise problem(status, str(error)) from error

    return call


def _logged(handler: _Handler) -> _Handler:
    """The handler with a log line for each call: what changes something is traced by its correlation id."""
    log = get_logger("iiot.http")

    async def call(request: web.Request) -> web.StreamResponse:
        started, status = time.perf_counter(), 500
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            milliseconds = round((time.perf_counter() - started) * 1000, 1)
            log.info("request", method=request.method, path=request.path, status=status, ms=milliseconds)

    return call


def _guard(route: Route, access: Access) -> Callable[[web.Request], None] | None:
    if access.needs_token(writes=route.writes):
        return partial(access.check_token, streams=route.streams)
    return check_origin if route.writes or route.streams else None


async def _with_body(request: web.Request, limit: int) -> web.Request:
    """The request with its body read, so that handlers do not wait for a slow client."""
    if limit != MAX_BODY_BYTES:
        request = request.clone(client_max_size=limit)
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            await request.read()
    except TimeoutError as exc:
        raise problem(408, f"the body did not arrive within {BODY_TIMEOUT:g} s") from exc
    return request


def _invalid(error: InvalidValueError) -> web.HTTPException:
    return problem(400, str(error), field=error.field, value=shortened(error.value), allowed=error.allowed)


def _add_documentation(app: web.Application, openapi: Callable[[], bytes]) -> None:
    # Made when somebody asks: it would be a tenth of the time of a start.
    async def show_document(_: web.Request) -> web.Response:
        return web.Response(
            body=openapi(), content_type="application/json", headers={"Cache-Control": "no-cache"}
        )

    app.router.add_get("/api/openapi.json", show_document)
    for path, name, content_type in _PAGE:
        app.router.add_get(path, _static(name, content_type))


def _static(name: str, content_type: str) -> _Handler:
    text = importlib.resources.files("iiot.rest").joinpath("page", name).read_text()

    async def show(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type, headers=_PAGE_HEADERS)

    return show
