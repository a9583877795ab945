"""Prometheus metrics of the server. Label sets are complete from the start; no label names a device."""

import time
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from iiot.lwm2m.message import Operation

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_MESSAGES = ("register", "update", "deregister", "send", "notify", "bootstrap-request")
_EVENTS = "registered updated deregistered expired send notification online offline refused"
DROPPED = ("retained", "topic", "undecodable", "operation", "echo", "repeated")
"""Why messages have no effect: kept by the broker, on a topic of nobody, not CBOR, an operation that no
device sends; on the shared topics of the OMA binding also our own ones, and repeated requests."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Metrics:
    """Counts what the server does; the methods are what its parts call."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._messages = Counter(
            "lwm2m_messages", "Messages of devices", ["operation", "outcome"], registry=registry
        )
        for operation in _MESSAGES:
            for outcome in ("accepted", "refused", "duplicate"):
                self._messages.labels(operation, outcome)
        self._foreign = Counter(
            "lwm2m_messages_dropped", "Messages that belong to no operation", ["reason"], registry=registry
        )
        for reason in DROPPED:
            self._foreign.labels(reason)
        self._commands = Counter(
            "lwm2m_commands",
            "Commands to devices by how they ended",
            ["operation", "code"],
            registry=registry,
        )
        self._command_seconds = Histogram(
            "lwm2m_command_duration_seconds", "From request to answer", ["operation"],
            buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        for operation in ("read", "write", "execute"):
            for code in ("2.05" if operation == "read" else "2.04", "timeout", "unavailable"):
                self._commands.labels(operation, code)
            self._command_seconds.labels(operation)
        self._unmatched = Counter(
            "lwm2m_responses_unmatched", "Responses that nobody waited for", registry=registry
        )
        self._events = Counter("lwm2m_events", "Events appended to the feed", ["type"], registry=registry)
        for kind in _EVENTS.split():
            self._events.labels(kind)
        self._requests = Counter(
            "lwm2m_http_requests", "HTTP requests", ["method", "route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "lwm2m_http_request_duration_seconds",
            "Time to answer",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._response_bytes = Counter(
            "lwm2m_http_response_bytes", "Size of the answers' bodies", ["route"], registry=registry
        )
        self._ws_closed = Counter(
            "lwm2m_ws_closed", "WebSocket connections closed", ["reason"], registry=registry
        )
        for reason in ("client", "slow", "stopping"):
            self._ws_closed.labels(reason)
        self._routes: dict[tuple[str, str, int], tuple[Counter, Histogram, Counter]] = {}

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Export a figure that is asked for at each scrape."""
        Gauge(f"lwm2m_{name}", text, registry=self._registry).set_function(value)

    def lags(self, lags: Callable[[], dict[str, int]]) -> None:
        """Export how far each named consumer of the feed is behind."""
        self._registry.register(_Lags(lags))

    def message(self, operation: Operation, outcome: str) -> None:
        """A device's message was `accepted`, `refused` or a `duplicate`."""
        self._messages.labels(operation.value, outcome).inc()

    def foreign(self, reason: str) -> None:
        """A message had no effect, and why: one of `DROPPED`."""
        self._foreign.labels(reason).inc()

    def command(self, operation: Operation, outcome: str, seconds: float) -> None:
        """A command ended with a code such as `2.05`, with `timeout` or with `unavailable`."""
        self._commands.labels(operation.value, outcome).inc()
        self._command_seconds.labels(operation.value).observe(seconds)

    def unmatched_response(self) -> None:
        """A response came that nobody waits for."""
        self._unmatched.inc()

    def event(self, kind: str) -> None:
        """An event was appended."""
        self._events.labels(kind).inc()

    def ws_closed(self, reason: str) -> None:
        """A WebSocket connection ended: by the `client`, for being `slow`, or `stopping`."""
        self._ws_closed.labels(reason).inc()

    @web.middleware
    async def count_requests(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Middleware that measures every request by route and status."""
        started = time.perf_counter()
        status, size = 500, 0
        try:
            response = await handler(request)
            status, size = response.status, response.body_length if response.prepared else _length(response)
            return response
        except web.HTTPException as error:
            status, size = error.status, error.content_length or 0
            raise
        finally:
            requests, seconds, sizes = self._route(request, status)
            requests.inc()
            seconds.observe(time.perf_counter() - started)
            sizes.inc(size)

    def _route(self, request: web.Request, status: int) -> tuple[Counter, Histogram, Counter]:
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "unknown"
        method = request.method if resource else "unknown"
        found = self._routes.get((method, route, status))
        if found is None:
            found = self._routes[method, route, status] = (
                self._requests.labels(method, route, str(status)),
                self._request_seconds.labels(route),
                self._response_bytes.labels(route),
            )
        return found


class _Lags(Collector):
    def __init__(self, lags: Callable[[], dict[str, int]]) -> None:
        self._lags = lags

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "lwm2m_events_consumer_lag", "Events a named consumer has not taken", labels=["consumer"]
        )
        for name, lag in self._lags().items():
            family.add_metric([name], lag)
        yield family


def _length(response: web.StreamResponse) -> int:
    return response.content_length or 0
