"""How an HTTP API is used: requests by route and status, durations, sizes."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

SECONDS: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    10,
)
"""Bucket bounds of durations: an event page takes 0.1 ms, a command to a device may take seconds."""
BYTES: Final = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Series = tuple[Counter, Histogram, Histogram]


class HttpMetrics:
    """Counts the requests to an application; of streams, which last, neither time nor size.

    Args:
        registry: where the metrics are exported.
        prefix: what their names begin with, such as `lwm2m`.
    """

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self._requests = Counter(
            f"{prefix}_http_requests", "HTTP requests", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            f"{prefix}_http_request_duration_seconds", "Time to answer",
            ["route"], buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._bytes = Histogram(
            f"{prefix}_http_response_size_bytes", "Size of the answers' bodies",
            ["route"], buckets=BYTES, registry=registry,
        )  # fmt: skip
        self._known: dict[tuple[str, str, int], _Series] = {}

    def watch(self, app: web.Application) -> None:
        """Count all requests to `app`, whose routes show from its start on with 0."""
        app.middlewares.append(self.count)
        app.on_startup.append(self._show_routes)

    @web.middleware
    async def count(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Middleware that measures a request."""
        started = time.perf_counter()
        status, size = 500, None
        try:
            response = await handler(request)
            status = response.status
            if isinstance(response, web.Response):
                size = response.body_length if response.prepared else response.content_length or 0
            return response
        except web.HTTPException as error:
            status, size = error.status, error.content_length or 0
            raise
        finally:
            resource = request.match_info.route.resource
            route = resource.canonical if resource else "unknown"
            requests, seconds, sizes = self._series(request.method if resource else "unknown", route, status)
            requests.inc()
            if size is not None:
                seconds.observe(time.perf_counter() - started)
                sizes.observe(size)

    async def _show_routes(self, app: web.Application) -> None:
        for route in app.router.routes():
            if route.resource is not None and route.method != "*":
                for status in (200, 500):
                    self._series(route.method, route.resource.canonical, status)

    def _series(self, method: str, route: str, status: int) -> _Series:
        found = self._known.get((method, route, status))
        if found is None:
            found = self._known[method, route, status] = (
                self._requests.labels(method, route, str(status)),
                self._seconds.labels(route),
                self._bytes.labels(route),
            )
        return found
