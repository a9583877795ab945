"""What the bridge counts beside its routes. Pure."""

from collections.abc import Iterator
from typing import Final

from testbed.monitor.figures import Figures
from testbed.monitor.model import Figure, Rates

WINDOW: Final = 15.0
"""s over which latencies are taken."""
_COUNTED: Final = (
    ("redelivered", "bridge_redelivered_total", False),
    ("refused by Kafka", "bridge_kafka_errors_total", True),
    ("waiting for a retry", "bridge_stalled", True),
    ("no route", "bridge_unmatched_total", False),
    ("short topic form", "bridge_non_conformant_total", False),
    ("metrics without name", "bridge_unresolved_metrics_total", False),
    ("queues lost", "bridge_sessions_lost_total", True),
)


class Latencies:
    """Quantiles of a histogram over the last seconds."""

    def __init__(self) -> None:
        self._rates = Rates(window=WINDOW)

    def quantiles(self, figures: Figures, metric: str, now: float, *wanted: float) -> list[float | None]:
        """Upper bounds of the buckets that hold these shares, in the metric's unit; None without traffic."""
        buckets: dict[float, float] = {}
        for sample in figures.samples:
            if sample.name == f"{metric}_bucket":
                bound = float(sample.labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + sample.value
        rates = {b: self._rates.observe(f"{metric} {b}", buckets[b], now) or 0.0 for b in sorted(buckets)}
        total = max(rates.values(), default=0.0)
        return [
            next((bound for bound, rate in rates.items() if rate >= share * total), None) if total else None
            for share in wanted
        ]


def bridge_figures(figures: Figures, latencies: Latencies, now: float) -> tuple[Figure, ...]:
    """Everything worth a line; `now` in s of a monotonic clock."""
    return tuple(_figures(figures, latencies, now))


def _figures(figures: Figures, latencies: Latencies, now: float) -> Iterator[Figure]:
    yield Figure("bridges", f"{figures.instances}")
    p50, p99 = latencies.quantiles(figures, "bridge_delivery_seconds", now, 0.5, 0.99)
    yield Figure("to Kafka, half within", _milliseconds(p50))
    yield Figure("to Kafka, 99 % within", _milliseconds(p99), worrying=p99 is not None and p99 > 1)
    taken = figures.total("bridge_in_flight_bytes")
    if taken is not None:
        yield Figure("bytes in flight", f"{taken:,.0f}")
    for name, metric, worrying in _COUNTED:
        value = figures.total(metric)
        if value is not None:
            yield Figure(name, f"{value:,.0f}", worrying=worrying and value > 0)


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:,.0f} ms" if seconds < float("inf") else "longer than measured"
