"""What the bridge knows of one MQTT topic and of one route: encoder, choice of the Kafka topic, counters."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from iiot.errors import DecodeError
from mqtt_redpanda_bridge.encode import Context, Encoder, open_encoder
from mqtt_redpanda_bridge.oma import Lwm2mOma
from mqtt_redpanda_bridge.routes import Route

LATENCY_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip
"""Upper bounds, in seconds, for the time from MQTT receipt to Kafka's delivery report."""

TopicChoice = Callable[[bytes], str | None]
"""The Kafka topic for a payload; None: the message is not for Kafka."""


@dataclass(slots=True)
class RouteCounters:
    """What happened on a route; bytes are those of MQTT payloads and of Kafka values."""

    received: int = 0
    redelivered: int = 0
    delivered: int = 0
    dead_lettered: int = 0
    in_flight: int = 0
    received_bytes: int = 0
    delivered_bytes: int = 0
    latency_sum: float = 0.0
    latency_counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS) + 1))


class Lane:
    """An MQTT topic's way: its route, and its encoder or the reason why it has none."""

    __slots__ = ("counters", "encoder", "illegal", "prefix", "route", "topic_of")

    def __init__(self, topic: str, route: Route, counters: RouteCounters, context: Context) -> None:
        self.route = route
        self.counters = counters
        self.prefix = context.prefixes.get(route.name, b"")
        self.encoder: Encoder | None = None
        self.topic_of: TopicChoice | None = None
        self.illegal = ""
        try:
            self.encoder = open_encoder(route, topic, context)
            if isinstance(self.encoder, Lwm2mOma):
                self.topic_of = self.encoder.topic_of
        except DecodeError as exc:
            self.illegal = str(exc)
