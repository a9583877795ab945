"""Figures of a fleet, counted in plain numbers and turned into Prometheus metrics when they are asked for."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""s."""
_TYPES: Final = {
    "NBIRTH": ("sparkplug", "nbirth"),
    "DBIRTH": ("sparkplug", "dbirth"),
    "NDATA": ("sparkplug", "ndata"),
    "DDATA": ("sparkplug", "ddata"),
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


class Stats:
    """Counters of a fleet, without a lock, since one event loop owns them."""

    def __init__(self) -> None:
        self.devices = 0
        self.connected = 0
        self.registered = 0
        self.backlog = 0
        self.skipped = 0
        self.reconnects = 0
        self.disconnects = 0
        self.resent = 0
        self.refused = 0
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

    def observe_lag(self, seconds: float) -> None:
        """Note how late a scheduled message left."""
        self.lag_sum += seconds
        self.lag_counts[bisect_left(LAG_BUCKETS, seconds)] += 1


class StatsCollector(Collector):
    """Shows `Stats` to Prometheus.

    Args:
        stats: the figures.
        refresh: called first, to bring gauges up to date.
    """

    def __init__(self, stats: Stats, refresh: Callable[[], None]) -> None:
        self._stats = stats
        self._refresh = refresh

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        """All metric families of the fleet."""
        stats = self._stats
        self._refresh()
        for name, text, value in (
            ("simulator_devices", "Devices of this fleet", stats.devices),
            ("simulator_devices_connected", "Devices connected to the broker", stats.connected),
            (
                "simulator_devices_registered",
                "Devices registered with the LwM2M server",
                stats.registered,
            ),
            ("simulator_publish_backlog", "Messages not sent or not acknowledged yet", stats.backlog),
        ):
            yield GaugeMetricFamily(name, text, value)
        for name, text, value in (
            ("simulator_reconnects", "Connections made after a device's first one", stats.reconnects),
            ("simulator_disconnects", "Connections lost, ended, or not made", stats.disconnects),
            ("simulator_messages_resent", "LwM2M messages sent again after a lost connection", stats.resent),
            ("simulator_messages_refused", "LwM2M messages answered with an error", stats.refused),
            ("simulator_messages_skipped", "Messages given up, too far behind schedule", stats.skipped),
        ):
            yield CounterMetricFamily(name, text, value)
        sent = CounterMetricFamily(
            "simulator_messages_sent", "Messages published", labels=("protocol", "type")
        )
        for level, labels in _TYPES.items():
            sent.add_metric(labels, stats.sent[level])
        yield sent
        commands = CounterMetricFamily(
            "simulator_commands", "Commands received", labels=("protocol", "result")
        )
        for labels, count in stats.commands.items():
            commands.add_metric(labels, count)
        yield commands
        yield self._lag()

    def _lag(self) -> HistogramMetricFamily:
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, LAG_BUCKETS), "+Inf"), self._stats.lag_counts, strict=True):
            total += count
            buckets.append((bound, total))
        return HistogramMetricFamily(
            "simulator_schedule_lag_seconds",
            "How late scheduled messages left",
            buckets=buckets,
            sum_value=self._stats.lag_sum,
        )
