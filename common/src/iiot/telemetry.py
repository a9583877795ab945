"""What every service shows of itself: logs, Prometheus metrics, health, and its HTTP server."""

import asyncio
import json
import logging
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, cast

import orjson
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from iiot import correlation
from iiot.http_guard import RequestRefusedError, check_request, hosts_of

MAX_BODY_BYTES = 1 << 20
"""Largest accepted request body."""

MAX_LINE_BYTES = 16 << 10
"""Longest request line: a list of paths, each character of it in percent encoding, is long."""
IDLE_TIMEOUT = 75
"""Seconds without a complete request after which a connection is closed."""
SEND_TIMEOUT = 30
"""Seconds in which a client must take some of an answer; else the kernel resets its connection."""

MESSAGE_FAILURES = Counter(
    "iiot_message_failures",
    "MQTT messages that tripped over a fault of the service itself; logged, and acknowledged",
    registry=None,
)
"""One for the process; in the registry of every service."""

Logger = structlog.stdlib.BoundLogger


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Whether a service does its job now, and the figures that `/api/health` shows beside it."""

    healthy: bool
    details: Mapping[str, object] = field(default_factory=dict)


HealthCheck = Callable[[], HealthReport]
_CORRELATION_ID = web.RequestKey(correlation.FIELD, str)
_HOSTS = web.AppKey[frozenset[str] | None]("hosts")
_REFUSED = web.AppKey("refused", Counter)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_DEFAULT_HOSTS = hosts_of(())


def configure_logging(service: str, level: str, log_format: str) -> None:
    """Send one line per event to stderr: JSON for machines, coloured text on a terminal.

    Args:
        service: name put on every line.
        level: lowest level shown.
        log_format: `json`, `console`, or `auto` (console on a terminal).
    """
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_dumps_text)
        if as_json
        else structlog.dev.ConsoleRenderer()
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        correlation.add_to_log,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").addFilter(_is_our_fault)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


def get_logger(name: str) -> Logger:
    """A structured logger: `log.info("event", key=value)`."""
    logger: Logger = structlog.stdlib.get_logger(name)
    return logger


def json_response(data: object, status: int = 200) -> web.Response:
    """Answer with `data` as JSON."""
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


def problem(status: int, detail: str, **extra: object) -> web.HTTPException:
    """An error answer as problem+json (RFC 9457), to be raised by a handler.

    Args:
        status: HTTP status code.
        detail: what is wrong with this request, for a person.
        extra: further members, such as `field`, `value`, `allowed`.
    """
    return _Problem(status, detail, extra)


class _Problem(web.HTTPException):
    def __init__(
        self, status: int, detail: str, extra: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> None:
        self.status_code = status
        title = HTTPStatus(status).phrase
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra}
        if correlation.current():
            body[correlation.FIELD] = correlation.current()
        super().__init__(
            headers=headers, reason=title, text=json.dumps(body), content_type="application/problem+json"
        )


def make_app(registry: CollectorRegistry, health: HealthCheck) -> web.Application:
    """An application that answers `/metrics` and `/api/health`, with JSON errors and bounded bodies."""
    app = web.Application(middlewares=[_in_front], client_max_size=MAX_BODY_BYTES)
    app.on_response_prepare.append(_tell_correlation)
    app[_REFUSED] = Counter(
        "iiot_http_refused",
        "Requests refused before any handler, by reason: host (for another name), encoding (compressed body)",
        ["reason"],
        registry=registry,
    )
    for reason in ("host", "encoding"):
        app[_REFUSED].labels(reason)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def show_health(_: web.Request) -> web.Response:
        report = health()
        body = {
            "status": "healthy" if report.healthy else "unhealthy",
            "timestamp": datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds"),
            **report.details,
        }
        return json_response(body, status=200 if report.healthy else 503)

    app.router.add_get("/metrics", metrics)
    app.router.add_get("/api/health", show_health)
    return app


@asynccontextmanager
async def serve(app: web.Application, host: str, port: int, names: Iterable[str] = ()) -> AsyncIterator[int]:
    """Serve `app` while the context lasts; yields the bound port (useful with port 0).

    Args:
        app: the application.
        host: where to listen; a name is also one that requests may be for.
        port: 0 lets the system choose.
        names: further names that requests may be for, as in `ALLOWED_HOSTS`.
    """
    runner = make_runner(app, hosts_of((host, *names)))
    await runner.setup()
    try:
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(cast("web.Server", runner.server), host, port, backlog=1024)
        for listener in listening.sockets:  # connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SEND_TIMEOUT * 1000)
        bound: int = listening.sockets[0].getsockname()[1]
        get_logger("iiot.http").info("http_listening", host=host, port=bound)
        try:
            yield bound
        finally:
            listening.close()
    finally:
        await runner.cleanup()


def make_runner(app: web.Application, hosts: frozenset[str] | None) -> web.AppRunner:
    """The one way to serve an application: nothing inflates, and foreign names are refused.

    Args:
        app: the application; gets the checks in front when it was not made by `make_app`.
        hosts: names that requests may be for; None where TLS has proved the name already.
    """
    app[_HOSTS] = hosts
    if _in_front not in app.middlewares:
        app.middlewares.insert(0, _in_front)
    return web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=2.0,
        keepalive_timeout=IDLE_TIMEOUT,
        max_line_size=MAX_LINE_BYTES,
        # The parser would inflate a body as it comes, before anybody asks for it: 1 MB becomes 1 GB.
        auto_decompress=False,
    )


@web.middleware
async def _in_front(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Run a handler under its request's correlation id; whatever it raises becomes problem+json."""
    # Streams send their headers inside the handler, other answers after it: so it is kept on the request.
    correlation_id = request[_CORRELATION_ID] = correlation.of_headers(request.headers)
    with correlation.bound(correlation_id):
        try:
            check_request(request, request.app.get(_HOSTS, _DEFAULT_HOSTS))
            return await handler(request)
        except RequestRefusedError as exc:
            raise _refused(request.app, exc) from exc
        except web.HTTPException as exc:
            if exc.status < 400 or exc.content_type == "application/problem+json":
                raise
            # Some errors say more in a header: which methods are allowed, when to come again.
            headers = {name: exc.headers[name] for name in ("Allow", "Retry-After") if name in exc.headers}
            raise _Problem(exc.status, f"{request.method} {request.path}: {exc.reason}", {}, headers) from exc
        except Exception as exc:
            get_logger("iiot.http").exception("request_failed", method=request.method, path=request.path)
            raise problem(500, "internal error; see the service's log") from exc


def _refused(app: web.Application, refusal: RequestRefusedError) -> web.HTTPException:
    if _REFUSED in app:
        app[_REFUSED].labels(refusal.reason).inc()
    error = problem(
        refusal.status, str(refusal), field=refusal.field, value=refusal.value, allowed=refusal.allowed
    )
    if refusal.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        error.headers["Accept-Encoding"] = "identity"
    return error


async def _tell_correlation(request: web.Request, response: web.StreamResponse) -> None:
    correlation_id = request.get(_CORRELATION_ID)
    if correlation_id is not None:
        response.headers[correlation.HEADER] = correlation_id


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Whether a line of the HTTP server tells more than that a client sent something other than HTTP."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


def _dumps_text(event: object, **_: object) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except TypeError:  # half a surrogate pair, or an integer beyond 64 bits
        return json.dumps(event, default=str)
