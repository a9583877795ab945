"""Figures out of Prometheus's text format: sums over labels, and rates between two looks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that the console shows of a part.

    Attributes:
        name: what the page calls it.
        series: name of the samples that are summed.
        labels: only samples with these labels.
        is_rate: the growth per second instead of the value.
    """

    name: str
    series: str
    labels: Mapping[str, str] = field(default_factory=dict)
    is_rate: bool = True


def _gauge(name: str, series: str) -> Figure:
    return Figure(name, series, is_rate=False)


FIGURES: Final[Mapping[str, tuple[Figure, ...]]] = {
    "device-simulator": (
        Figure("sparkplug_sent", "simulator_messages_sent_total", {"protocol": "sparkplug"}),
        Figure("lwm2m_sent", "simulator_messages_sent_total", {"protocol": "lwm2m"}),
        Figure("skipped", "simulator_messages_skipped_total"),
        Figure("reconnects", "simulator_reconnects_total"),
        _gauge("devices", "simulator_devices"),
        _gauge("connected", "simulator_devices_connected"),
        _gauge("registered", "simulator_devices_registered"),
    ),
    "lwm2m-server": (
        Figure("messages", "lwm2m_messages_total"),
        Figure("refused", "lwm2m_messages_total", {"outcome": "refused"}),
        Figure("commands", "lwm2m_commands_total"),
        Figure("events", "lwm2m_events_total"),
        _gauge("active_devices", "lwm2m_active_devices"),
        _gauge("mqtt_connected", "lwm2m_mqtt_connected"),
    ),
    "sparkplug-host": (
        Figure("messages", "sparkplug_messages_total"),
        Figure("gaps", "sparkplug_sequence_gaps_total"),
        Figure("commands", "sparkplug_commands_sent_total"),
        Figure("rebirths", "sparkplug_rebirth_requests_total"),
        _gauge("devices_online", "sparkplug_devices_online"),
        _gauge("nodes_online", "sparkplug_nodes_online"),
        _gauge("mqtt_connected", "sparkplug_mqtt_connected"),
    ),
    "mqtt-redpanda-bridge": (
        Figure("received", "bridge_received_total"),
        Figure("delivered", "bridge_delivered_total"),
        Figure("dead_lettered", "bridge_dead_lettered_total"),
        _gauge("in_flight", "bridge_in_flight"),
        _gauge("mqtt_connected", "bridge_mqtt_connected"),
        _gauge("kafka_connected", "bridge_kafka_connected"),
    ),
    "redpanda-connect": (
        Figure("received", "input_received"),
        Figure("delivered", "output_sent"),
        Figure("errors", "output_error"),
        Figure("dead_lettered", "connect_dead_letters_total"),
    ),
}
"""What is shown of each part."""


def read_figures(part: str, texts: Iterable[str]) -> dict[str, float]:
    """The sums of a part's figures over all its instances.

    Args:
        part: a key of `FIGURES`.
        texts: `/metrics` of each instance.

    Raises:
        ValueError: a text is not in Prometheus's format.
    """
    wanted = FIGURES[part]
    series = {figure.series for figure in wanted}
    sums: dict[str, float] = {}
    for text in texts:
        lines = (line for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] in series)
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                for figure in wanted:
                    if figure.series == sample.name and figure.labels.items() <= sample.labels.items():
                        sums[figure.name] = sums.get(figure.name, 0.0) + sample.value
    return sums


def rates(
    part: str, before: Mapping[str, float], now: Mapping[str, float], seconds: float
) -> dict[str, float | None]:
    """What the page shows: gauges as they are, counters per second; None where nothing is known yet.

    A sum that shrank means an instance has started anew: its growth since then is not known.
    """
    shown: dict[str, float | None] = {}
    for figure in FIGURES[part]:
        value = now.get(figure.name)
        if not figure.is_rate or value is None:
            shown[figure.name] = value
            continue
        earlier = before.get(figure.name)
        grown = value - earlier if earlier is not None and value >= earlier else None
        shown[figure.name] = None if grown is None or seconds <= 0 else grown / seconds
    return shown
