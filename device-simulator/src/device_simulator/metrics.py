"""Figures of a fleet, counted in plain numbers and turned into Prometheus metrics when they are asked for."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from iiot import correlation
from iiot.telemetry import get_logger

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
F = TypeVar("F", CounterMetricFamily, GaugeMetricFamily)

LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""s."""
_TYPES: Final = {
    "NBIRTH": ("sparkplug", "nbirth"),
    "DBIRTH": ("sparkplug", "dbirth"),
    "NDATA": ("sparkplug", "ndata"),
    "DDATA": ("sparkplug", "ddata"),
    "DDEATH": ("sparkplug", "ddeath"),
    "NDEATH": ("sparkplug", "ndeath"),
    "reg": ("lwm2m", "register"),
    "update": ("lwm2m", "update"),
    "send": ("lwm2m", "send"),
    "notify": ("lwm2m", "notify"),
    "bootstrap": ("lwm2m", "bootstrap-request"),
    "resp": ("lwm2m", "response"),
    "dereg": ("lwm2m", "deregister"),
}
"""Protocol and message type by the third level of a Sparkplug topic, or the kind of an LwM2M message."""

log = get_logger(__name__)


class Stats:
    """Counters of a fleet, without a lock, since one event loop owns them."""

    def __init__(self) -> None:
        self.devices = 0
        self.connected = 0
        self.registered = 0
        self.backlog = 0
        self.skipped = 0
        self.stored = 0
        self.dropped = 0
        self.reconnects = 0
        self.disconnects = 0
        self.resent = 0
        self.refused = 0
        self.bootstraps_failed = 0
        self.commands: Counter[tuple[str, str]] = Counter()
        self.sent: dict[str, int] = dict.fromkeys(_TYPES, 0)
        self.lag_sum = 0.0
        self.lag_counts = [0] * (len(LAG_BUCKETS) + 1)
        for protocol in ("lwm2m", "sparkplug"):
            for result in ("done", "refused"):
                self.commands[protocol, result] = 0

    def count_sent(self, topic: str) -> None:
        """Count a published Sparkplug message by its topic."""
        self.sent[topic.split("/", 3)[2]] += 1

    def count_command(self, device: str, protocol: str, refused: bool) -> None:
        """Count a command that was answered; one that came from a person's request is worth a log line."""
        result = "refused" if refused else "done"
        self.commands[protocol, result] += 1
        if correlation.current():
            log.info("command", device=device, protocol=protocol, result=result)

    def observe_lag(self, seconds: float) -> None:
        """Note how late a scheduled message left."""
        self.lag_sum += seconds
        self.lag_counts[bisect_left(LAG_BUCKETS, seconds)] += 1


class StatsCollector(Collector):
    """Shows `Stats` to Prometheus.

    Args:
        stats: the figures.
        fleet: the fleet's name, a label of all of them: what an instance's address means to a person.
        refresh: called first, to bring gauges up to date.
    """

    def __init__(self, stats: Stats, fleet: str, refresh: Callable[[], None]) -> None:
        self._stats = stats
        self._fleet = fleet
        self._refresh = refresh

    def collect(self) -> Iterator[Family]:
        """All metric families of the fleet."""
        stats = self._stats
        self._refresh()
        for name, text, value in (
            ("devices", "Devices of this fleet", stats.devices),
            ("devices_connected", "Devices connected to the broker", stats.connected),
            ("devices_registered", "Devices registered with the LwM2M server", stats.registered),
            ("publish_backlog", "Messages not sent or not acknowledged yet", stats.backlog),
            ("samples_stored", "Samples of lost connections that wait to be sent", stats.stored),
        ):
            yield _filled(
                GaugeMetricFamily(f"simulator_{name}", text, labels=["fleet"]), self._fleet, [((), value)]
            )
        for name, text, value in (
            ("reconnects", "Connections made after a device's first one", stats.reconnects),
            ("disconnects", "Connections lost, ended, or not made", stats.disconnects),
            ("messages_resent", "LwM2M messages sent again after a lost connection", stats.resent),
            ("messages_refused", "LwM2M messages answered with an error", stats.refused),
            ("bootstraps_failed", "Bootstraps given up for the account that worked", stats.bootstraps_failed),
            ("messages_skipped", "Messages given up, too far behind schedule", stats.skipped),
            ("samples_dropped", "Samples lost because a device's store was full", stats.dropped),
        ):
            yield _filled(
                CounterMetricFamily(f"simulator_{name}", text, labels=["fleet"]), self._fleet, [((), value)]
            )
        sent = CounterMetricFamily(
            "simulator_messages_sent", "Messages published", labels=["fleet", "protocol", "type"]
        )
        yield _filled(sent, self._fleet, ((names, stats.sent[level]) for level, names in _TYPES.items()))
        commands = CounterMetricFamily(
            "simulator_commands", "Commands received", labels=["fleet", "protocol", "result"]
        )
        yield _filled(commands, self._fleet, stats.commands.items())
        yield self._lag()

    def _lag(self) -> HistogramMetricFamily:
        bounds = (*map(str, LAG_BUCKETS), "+Inf")
        family = HistogramMetricFamily(
            "simulator_schedule_lag_seconds", "How late scheduled messages left", labels=["fleet"]
        )
        buckets = list(zip(bounds, accumulate(self._stats.lag_counts), strict=True))
        family.add_metric([self._fleet], buckets, self._stats.lag_sum)
        return family


def _filled(family: F, fleet: str, values: Iterable[tuple[tuple[str, ...], float]]) -> F:
    labels: tuple[str, ...]
    for labels, value in values:
        family.add_metric([fleet, *labels], value)
    return family
