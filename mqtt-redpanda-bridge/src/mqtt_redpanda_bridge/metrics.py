"""The bridge's figures for Prometheus, read from the pump when asked: counting stays cheap."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Protocol, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from mqtt_redpanda_bridge.dispatch import Dispatcher
from mqtt_redpanda_bridge.group import Group
from mqtt_redpanda_bridge.lane import LATENCY_BUCKETS, RouteCounters
from mqtt_redpanda_bridge.pump import Pump

F = TypeVar("F", CounterMetricFamily, GaugeMetricFamily)

_BY_ROUTE = (
    ("received", "MQTT messages taken from the broker"),
    ("redelivered", "Received messages that the broker marked as sent before"),
    ("delivered", "Messages whose record Kafka confirmed"),
    ("dead_lettered", "Messages settled by a dead letter"),
    ("received_bytes", "MQTT payload bytes received"),
    ("delivered_bytes", "Kafka value bytes delivered"),
)


class Links(Protocol):
    """State of the connections."""

    mqtt_connects: int
    sessions_lost: int
    group: Group

    @property
    def mqtt_connected(self) -> bool:
        """Whether messages come."""

    @property
    def kafka_connected(self) -> bool:
        """Whether Kafka takes records."""


class BridgeCollector(Collector):
    """All metrics of the bridge; received = delivered + dead_lettered + in_flight, per route.

    Of what the receiver of a group gives to others: handed_over = handed_over_settled + taken_back +
    handed_over_in_flight. Each message counts as received where it is delivered.
    """

    def __init__(self, pump: Pump, dispatcher: Dispatcher, links: Links) -> None:
        self._pump = pump
        self._dispatcher = dispatcher
        self._links = links

    def collect(self) -> Iterator[Metric]:
        """The current values; called in the event loop, so between two messages."""
        pump, dispatcher, links = self._pump, self._dispatcher, self._links
        for field, text in _BY_ROUTE:
            yield _by_route(CounterMetricFamily(f"bridge_{field}", text, labels=["route"]), pump, field)
        in_flight = GaugeMetricFamily(
            "bridge_in_flight", "Messages received and not settled", labels=["route"]
        )
        yield _by_route(in_flight, pump, "in_flight")
        yield _latency(pump)
        context = pump.context
        for name, text, value in (
            ("unmatched", "Messages that no route took", pump.unmatched),
            ("not_telemetry", "Of servers, and answers to them, on shared topics", pump.not_telemetry),
            ("lost_letters", "Of the dead-lettered, those whose letter Kafka refused", pump.lost_letters),
            ("kafka_errors", "Records that Kafka failed or refused", pump.kafka_errors),
            ("non_conformant", "Messages on the short Sparkplug topic form", context.non_conformant),
            ("unresolved_metrics", "Metrics passed on without name or datatype", context.unresolved),
            (
                "bad_metrics",
                "Metrics passed on without their unreadable value",
                context.bad_metrics,
            ),
            ("over_budget", "Messages refused because they hold or make too much", context.over_budget),
            ("mqtt_connects", "Connections to the broker", links.mqtt_connects),
            ("sessions_lost", "Connections for which the broker had lost the queue", links.sessions_lost),
            ("handed_over", "Messages given to other bridges of the group", dispatcher.handed_over),
            ("handed_over_settled", "Of these, delivered or dead-lettered", dispatcher.settled),
            ("taken_back", "Of these, taken back from bridges that were lost", dispatcher.taken_back),
            (
                "devices_forgotten",
                "Devices forgotten for MAX_DEVICES, or behind an edge node with over 1000",
                context.states.forgotten,
            ),
        ):
            yield CounterMetricFamily(f"bridge_{name}", text, value=value)
        for name, text, value in (
            ("in_flight_bytes", "MQTT payload bytes received and not settled", pump.in_flight_bytes),
            ("stalled", "Messages that wait for a retry", len(pump.stalled)),
            (
                "mqtt_connected",
                "1 while messages come from the broker, or from the receiver",
                links.mqtt_connected,
            ),
            ("kafka_connected", "1 while Kafka is reachable", links.kafka_connected),
            ("handed_over_in_flight", "Messages that other bridges have", dispatcher.handed_in_flight),
            ("receiver", "1 while this bridge has the MQTT session of its group", links.group.is_receiver),
            ("members", "Bridges that share the devices, told by the receiver", _members(links, dispatcher)),
            ("devices", "Devices whose state is kept", context.states.count),
        ):
            yield GaugeMetricFamily(f"bridge_{name}", text, value=value)


def _members(links: Links, dispatcher: Dispatcher) -> int:
    return dispatcher.members if links.group.is_receiver else 0


def _by_route(family: F, pump: Pump, field: str) -> F:
    for route, counters in pump.counters.items():
        family.add_metric([route], getattr(counters, field))
    return family


def _latency(pump: Pump) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "bridge_delivery_seconds", "From MQTT receipt to Kafka's delivery report", labels=["route"]
    )
    for route, counters in pump.counters.items():
        family.add_metric([route], _buckets(counters), counters.latency_sum)
    return family


def _buckets(counters: RouteCounters) -> list[tuple[str, float]]:
    bounds = [*map(floatToGoString, LATENCY_BUCKETS), "+Inf"]
    return list(zip(bounds, accumulate(counters.latency_counts), strict=True))
