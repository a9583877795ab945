"""Prometheus metrics of the server. Label sets are complete from the start; no label names a device."""

from collections.abc import Callable, Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from iiot.http_metrics import HttpMetrics
from iiot.lwm2m.message import SUCCESS, Operation

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_MESSAGES = ("register", "update", "deregister", "send", "notify", "bootstrap-request")
_EVENTS = (
    "registered updated deregistered expired send notification online offline awake sleeping response"
    " bootstrap firmware refused"
)
DROPPED = ("retained", "topic", "undecodable", "operation", "echo", "repeated", "failed")
"""Why messages have no effect: kept by the broker, on a topic of nobody, not CBOR, an operation that no
device sends; on the shared topics of the OMA binding also our own ones, and repeated requests; and those on
which the server
itself failed."""

_UNANSWERED = ("timeout", "unavailable", "delayed", "refused")
"""How a command ends beside the device's code: too late, not to be reached, kept until it is, too many."""
_COMMANDS = tuple(
    operation
    for operation in SUCCESS
    if operation.value not in _MESSAGES and not operation.value.startswith("bootstrap")
)
"""Operations that the server sends."""
BUDGETS = ("elements", "levels", "levels of JSON", "links", "records")
"""What a message can have too many of (`iiot.budgets`)."""


class Metrics:
    """Counts what the server does; the methods are what its parts call.

    Attributes:
        http: how its API is used.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        messages = Counter(
            "lwm2m_messages", "Messages of devices", ["operation", "outcome"], registry=registry
        )
        self._messages = cache(messages.labels)
        for operation in _MESSAGES:
            for outcome in ("accepted", "refused", "duplicate"):
                self._messages(operation, outcome)
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
        self._unfit = Counter(
            "lwm2m_answers_unfit",
            "Answers and notifications that could not be read, or did not fit what was asked",
            ["operation"],
            registry=registry,
        )
        for operation in _COMMANDS:
            for outcome in (SUCCESS[operation].dotted, *_UNANSWERED):
                self._commands.labels(operation.value, outcome)
            self._command_seconds.labels(operation.value)
            self._unfit.labels(operation.value)
        self._unfit.labels(Operation.NOTIFY.value)
        self._records_refused = Counter(
            "lwm2m_records_refused",
            "Records that were refused while others of their message were accepted",
            ["operation"],
            registry=registry,
        )
        for reporting in (Operation.SEND, Operation.NOTIFY):
            self._records_refused.labels(reporting.value)
        self._budgets = Counter(
            "lwm2m_over_budget",
            "Messages refused since they had more of something than a message may",
            ["budget"],
            registry=registry,
        )
        for budget in BUDGETS:
            self._budgets.labels(budget)
        self._unmatched = Counter(
            "lwm2m_responses_unmatched", "Responses that nobody waited for", registry=registry
        )
        events = Counter("lwm2m_events", "Events appended to the feed", ["type"], registry=registry)
        self._events = cache(events.labels)
        for kind in _EVENTS.split():
            self._events(kind)
        self.http = HttpMetrics(registry, "lwm2m")
        self._ws_closed = Counter(
            "lwm2m_ws_closed", "WebSocket connections closed", ["reason"], registry=registry
        )
        for reason in ("client", "slow", "stopping"):
            self._ws_closed.labels(reason)

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Export a figure that is asked for at each scrape."""
        Gauge(f"lwm2m_{name}", text, registry=self._registry).set_function(value)

    def lags(self, lags: Callable[[], dict[str, int]]) -> None:
        """Export how far each named consumer of the feed is behind."""
        self._registry.register(_Lags(lags))

    def message(self, operation: Operation, outcome: str) -> None:
        """A device's message was `accepted`, `refused` or a `duplicate`."""
        self._messages(operation.value, outcome).inc()

    def records_refused(self, operation: Operation, count: int) -> None:
        """Of an accepted message some records were refused."""
        self._records_refused.labels(operation.value).inc(count)

    def unfit(self, operation: Operation) -> None:
        """An answer or notification could not be read, or did not fit what was asked."""
        self._unfit.labels(operation.value).inc()

    def budget_exceeded(self, budget: str) -> None:
        """A message was refused since it would cost more than `budget` allows."""
        self._budgets.labels(budget).inc()

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
        self._events(kind).inc()

    def ws_closed(self, reason: str) -> None:
        """A WebSocket connection ended: by the `client`, for being `slow`, or `stopping`."""
        self._ws_closed.labels(reason).inc()


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
