"""What devices said last, and before that: the latest value and a bounded history of each resource."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from iiot.lwm2m.message import Record, Value
from iiot.lwm2m.path import Path

MAX_ENDPOINTS: Final = 20_000
MAX_RESOURCES: Final = 500
"""Resources remembered per device."""
SENDS_KEPT: Final = 50
"""Sends remembered per device, by the ids of their events."""

Point = tuple[int, Value]
"""Ms since 1970, and the value."""


@dataclass(slots=True)
class _Device:
    series: dict[Path, deque[Point]] = field(default_factory=dict)
    sends: deque[int] = field(default_factory=lambda: deque(maxlen=SENDS_KEPT))


class Values:
    """Values by endpoint and path.

    Args:
        per_resource: points kept of one resource at most.
        points: points kept of all devices together, about; when there are many resources, each keeps fewer.
    """

    def __init__(self, per_resource: int, points: int) -> None:
        self._per_resource = per_resource
        self._points = points
        self._devices: OrderedDict[str, _Device] = OrderedDict()
        self._series = 0
        self._limit = per_resource

    @property
    def resources(self) -> int:
        """Resources with a value."""
        return self._series

    def record(self, endpoint: str, records: Iterable[Record], now: int) -> None:
        """Note values that came at `now` (ms since 1970); records with a time go where they belong."""
        device = self._device(endpoint)
        for record in records:
            if record.value is None:
                continue
            series = device.series.get(record.path)
            if series is None:
                if len(device.series) >= MAX_RESOURCES:
                    continue
                series = device.series[record.path] = deque()
                self._count(1)
            moment = now if record.time is None else min(now, round(record.time * 1000))
            _insert(series, (moment, record.value))
            while len(series) > self._limit:
                series.popleft()

    def sent(self, endpoint: str, event_id: int) -> None:
        """Note a Send by the id of its event."""
        self._device(endpoint).sends.append(event_id)

    def sends(self, endpoint: str) -> list[int]:
        """Ids of the events of the newest Sends, newest first."""
        device = self._devices.get(endpoint)
        return [] if device is None else [*reversed(device.sends)]

    def latest(self, endpoint: str, below: Path) -> dict[Path, Point]:
        """The newest value of each resource at or below a path."""
        return {path: series[-1] for path, series in self._below(endpoint, below)}

    def history(self, endpoint: str, below: Path, since: int, limit: int) -> dict[Path, list[Point]]:
        """The newest `limit` values of each resource at or below a path that are newer than `since` ms."""
        found = {}
        for path, series in self._below(endpoint, below):
            points = [point for point in series if point[0] > since]
            found[path] = points[-limit:]
        return found

    def _below(self, endpoint: str, below: Path) -> list[tuple[Path, deque[Point]]]:
        device = self._devices.get(endpoint)
        if device is None:
            return []
        return sorted((path, series) for path, series in device.series.items() if below.contains(path))

    def _device(self, endpoint: str) -> _Device:
        device = self._devices.get(endpoint)
        if device is None:
            device = self._devices[endpoint] = _Device()
            if len(self._devices) > MAX_ENDPOINTS:
                _, oldest = self._devices.popitem(last=False)
                self._count(-len(oldest.series))
        else:
            self._devices.move_to_end(endpoint)
        return device

    def _count(self, added: int) -> None:
        self._series += added
        self._limit = max(1, min(self._per_resource, self._points // max(1, self._series)))


def _insert(series: deque[Point], point: Point) -> None:
    if not series or series[-1][0] <= point[0]:
        series.append(point)
        return
    at = len(series)
    while at and series[at - 1][0] > point[0]:
        at -= 1
    series.insert(at, point)
