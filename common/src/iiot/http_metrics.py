"""How an HTTP API is used: requests by route and status, durations, sizes."""

import math
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

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
_UNKNOWN: Final = "unknown"


class HttpMetrics(Collector):
    """Counts the requests to an application; of streams, which last, neither time nor size.

    The library's counters and histograms take a lock and walk the buckets for each observation: a
    twentieth of what a request for one event cost. All requests run in one thread: integers in lists do.

    Args:
        registry: where the metrics are exported.
        prefix: what their names begin with, such as `lwm2m`.
    """

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self._prefix = prefix
        self._requests: dict[tuple[str, str, int], _Requests] = {}
        self._routes: dict[str, tuple[_Distribution, _Distribution]] = {}
        self._known: dict[tuple[web.AbstractRoute | None, str, int], _Requests] = {}
        registry.register(self)

    def watch(self, app: web.Application) -> None:
        """Count all requests to `app`, whose routes show from its start on with 0."""
        app.middlewares.append(self.count)
        app.on_startup.append(self._show_routes)

    def collect(self) -> Iterator[Metric]:
        """The metrics, as a scrape sees them."""
        requests = CounterMetricFamily(
            f"{self._prefix}_http_requests", "HTTP requests", labels=["method", "route", "status"]
        )
        seconds = HistogramMetricFamily(
            f"{self._prefix}_http_request_duration_seconds", "Time to answer", labels=["route"]
        )
        sizes = HistogramMetricFamily(
            f"{self._prefix}_http_response_size_bytes", "Size of the answers' bodies", labels=["route"]
        )
        for (method, route, status), found in self._requests.items():
            requests.add_metric([method, route, str(status)], found.count)
        for route, (durations, bodies) in self._routes.items():
            durations.add_to(seconds, route)
            bodies.add_to(sizes, route)
        yield from (requests, seconds, sizes)

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
            requests = self._of(request, status)
            requests.count += 1
            if size is not None:
                requests.seconds.observe(time.perf_counter() - started)
                requests.sizes.observe(size)

    async def _show_routes(self, app: web.Application) -> None:
        for route in app.router.routes():
            if route.resource is not None and route.method != "*":
                for status in (200, 500):
                    self._named(route.method, route.resource.canonical, status)

    def _of(self, request: web.Request, status: int) -> "_Requests":
        route = request.match_info.route
        # What nobody answers has a route of its own each time.
        key = (route, request.method, status) if route.resource is not None else (None, _UNKNOWN, status)
        found = self._known.get(key)
        if found is None:
            name = _UNKNOWN if route.resource is None else route.resource.canonical
            found = self._known[key] = self._named(key[1], name, status)
        return found

    def _named(self, method: str, route: str, status: int) -> "_Requests":
        found = self._requests.get((method, route, status))
        if found is None:
            distributions = self._routes.setdefault(route, (_Distribution(SECONDS), _Distribution(BYTES)))
            found = self._requests[method, route, status] = _Requests(*distributions)
        return found


class _Requests:
    """Requests of one method to one route with one status."""

    __slots__ = ("count", "seconds", "sizes")

    def __init__(self, seconds: "_Distribution", sizes: "_Distribution") -> None:
        self.count = 0
        self.seconds = seconds
        self.sizes = sizes


class _Distribution:
    """A histogram of one route."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Note a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, route: str) -> None:
        """Export it."""
        names = map(floatToGoString, (*self._bounds, math.inf))
        family.add_metric([route], [*zip(names, accumulate(self._counts), strict=True)], self._sum)
