"""What the monitor shows, and how rates are made from counters. Pure."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, NamedTuple

from iiot.topics import TELEMETRY

HISTORY: Final = 120
"""Rates kept per topic for the sparkline."""


State = Literal["up", "down", "unknown"]


class Check(NamedTuple):
    """Whether a connection or service works, in words how it is, and since when it is in this state."""

    name: str
    state: State
    detail: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class TopicLine:
    """A Kafka topic: records in it, arrivals per second and how those developed, records ever written."""

    name: str
    records: int
    rate: float | None
    history: tuple[float, ...] = ()
    ever: int = 0


@dataclass(frozen=True, slots=True)
class RouteLine:
    """A route of the bridge, over all its instances."""

    name: str
    received: int
    delivered: int
    dead_lettered: int
    in_flight: int
    received_rate: float | None
    delivered_rate: float | None
    history: tuple[float, ...] = ()


class Figure(NamedTuple):
    """A figure of the bridge: its name, its value in words, and whether it should worry."""

    name: str
    value: str
    worrying: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment."""

    at: datetime
    checks: tuple[Check, ...] = ()
    topics: tuple[TopicLine, ...] = ()
    routes: tuple[RouteLine, ...] = ()
    figures: tuple[Figure, ...] = ()

    @property
    def rate(self) -> float | None:
        """Arrivals per second in all topics; None while Kafka is away, and at the first look."""
        known = [topic.rate for topic in self.topics if topic.rate is not None]
        return sum(known) if known else None


@dataclass(slots=True)
class Rates:
    """Rates over a sliding window, so that counters which are read or scraped unevenly do not jitter."""

    window: float
    """Seconds."""
    _samples: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)

    def observe(self, key: str, value: float, now: float) -> float | None:
        """The rate per second of a counter that stands at `value`; None until there are two samples."""
        samples = self._samples.setdefault(key, deque())
        if samples and value < samples[-1][1]:
            samples.clear()  # it was restarted
        samples.append((now, value))
        while len(samples) > 2 and samples[1][0] <= now - self.window:
            samples.popleft()
        (began, first), (ended, last) = samples[0], samples[-1]
        return (last - first) / (ended - began) if ended > began else None


class Histories:
    """The last rates of each topic or route."""

    def __init__(self) -> None:
        self._rates: dict[str, deque[float]] = {}

    def add(self, name: str, rate: float | None) -> tuple[float, ...]:
        """Append a rate and return all that are kept, the newest last."""
        rates = self._rates.setdefault(name, deque(maxlen=HISTORY))
        if rate is not None:
            rates.append(rate)
        return tuple(rates)


class Changes:
    """Since when each check has been in its state."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[State, datetime]] = {}

    def note(self, check: Check, now: datetime) -> Check:
        """The check with its time."""
        state, since = self._since.get(check.name, (check.state, now))
        if state != check.state:
            since = now
        self._since[check.name] = check.state, since
        return check._replace(since=since)


def in_order(topics: list[str]) -> list[str]:
    """The telemetry topics as data flows, then their dead letters, then others by name."""
    rank = {name: index for index, name in enumerate(TELEMETRY)}
    return sorted(topics, key=lambda name: (rank.get(name, len(rank)), not name.startswith("iot."), name))


_BARS: Final = " ▁▂▃▄▅▆▇█"


def sparkline(values: tuple[float, ...], width: int) -> str:
    """The last `width` values as bars, the highest of them a full block."""
    shown = values[-width:] if width > 0 else ()
    top = max(shown, default=0.0)
    if top <= 0:
        return "▁" * len(shown)
    return "".join(_BARS[max(1, round(value / top * 8))] for value in shown)
