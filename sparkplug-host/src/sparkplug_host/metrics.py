"""Prometheus metrics of the host: read from the state machine's counters when they are asked for."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from iiot.sparkplug.host import SparkplugHost

L = TypeVar("L", bound=str)

_BUCKETS = (5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2e-2, 0.1)
COMMANDS = ("rebirth", "write")


class Metrics:
    """What the service itself counts."""

    def __init__(self, registry: CollectorRegistry, host: SparkplugHost) -> None:
        registry.register(_HostCollector(host))
        self.processing = Histogram(
            "sparkplug_message_processing_seconds",
            "Time from an MQTT message to the changed state",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.bad_topics = Counter(
            "sparkplug_bad_topics", "Messages on topics that are not Sparkplug topics", registry=registry
        )
        self.connected = Gauge(
            "sparkplug_mqtt_connected", "1 while connected to the broker", registry=registry
        )
        self.commands = Counter(
            "sparkplug_commands_sent", "NCMD and DCMD messages sent", ["purpose"], registry=registry
        )
        for purpose in COMMANDS:
            self.commands.labels(purpose)


class _HostCollector(Collector):
    def __init__(self, host: SparkplugHost) -> None:
        self._host = host

    def collect(self) -> Iterator[Metric]:
        host, counters = self._host, self._host.counters
        yield GaugeMetricFamily(
            "sparkplug_devices_online", "Devices that are born", value=host.devices_online
        )
        yield GaugeMetricFamily("sparkplug_nodes_online", "Edge nodes that are born", value=host.nodes_online)
        yield GaugeMetricFamily("sparkplug_nodes_known", "Edge nodes in memory", value=len(host.nodes))
        yield _counts("sparkplug_messages", "Messages received", "type", counters.messages)
        yield _counts(
            "sparkplug_nonconformant_messages",
            "Messages that break the specification and were understood all the same",
            "kind",
            counters.non_conformant,
        )
        yield _counts(
            "sparkplug_rebirths_wanted", "Needs for a rebirth, by cause", "reason", host.rebirths.wanted
        )
        yield _counts(
            "sparkplug_over_limit",
            "Messages, births and metrics ignored because as many as allowed are kept",
            "limit",
            counters.over_limit,
        )
        yield _counts(
            "sparkplug_over_budget",
            "Messages that would have cost too much to read",
            "budget",
            counters.over_budget,
        )
        for name, text, value in (
            ("sparkplug_rebirth_requests", "Rebirth requests sent", counters.rebirth_requests),
            ("sparkplug_decode_errors", "Payloads or values that could not be read", counters.undecodable),
            ("sparkplug_sequence_gaps", "Times that missing messages did not arrive in time", counters.gaps),
            ("sparkplug_reordered_messages", "Messages put in order", counters.reordered),
            (
                "sparkplug_ignored_messages",
                "Messages without effect, such as data before birth",
                counters.ignored,
            ),
            ("sparkplug_unknown_metrics", "Metrics that no birth announced", counters.unknown_metrics),
            ("sparkplug_cleared_messages", "Empty messages, which clear a retained one", counters.cleared),
            ("sparkplug_certificates", "Stored births taken over from the broker", counters.certificates),
            ("sparkplug_historical_metrics", "Metrics with stored values", counters.historical),
        ):
            yield CounterMetricFamily(name, text, value=value)


def _counts(name: str, text: str, label: str, counts: Mapping[L, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
