"""The ledger itself: what devices sent against what was seen in Kafka. Pure: no sockets, no clock."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from testbed.verify.histogram import Histogram
from testbed.verify.intervals import SESSION_GAP, IntervalSet, Range, clip, merge, size, subtract
from testbed.verify.paths import PATH_OF_TOPIC, PATHS, Entry, Path

_NEVER: Final = 1 << 62


class Counter(NamedTuple):
    """A device's own count of one stream: the numbers it gave out since its process started."""

    device: str
    stream: str
    first: int
    last: int


@dataclass(slots=True)
class _Stream:
    """What a device said about one of its streams; numbers in baseline < n <= cap belong to the window."""

    baseline: int
    sessions: dict[int, int]
    """First number of each process of the device: the last number it reported."""
    cap: int = _NEVER


@dataclass(slots=True)
class _Track:
    """What was seen of one stream on one path.

    A device that no simulator answers for (`known` is False) is followed, since its simulator may be asked
    later; it counts for nothing until then.
    """

    known: bool
    low: int
    high: int
    duplicated: int = 0
    reordered: int = 0
    seen: IntervalSet = field(default_factory=IntervalSet)
    highest: dict[str, int] = field(default_factory=dict)
    """By topic: a device's records are in one partition of it."""


@dataclass(slots=True)
class PathTotals:
    """Figures of one path; `delivered + lost == sent`."""

    latency: Histogram
    sent: int = 0
    delivered: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0


class Missing(NamedTuple):
    """A run of numbers that one path did not deliver."""

    device: str
    path: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The balance: messages sent in the window, those that arrived on every path, and the difference."""

    sent: int
    delivered: int
    lost: int
    duplicated: int
    reordered: int
    latency: Histogram
    devices: int
    vanished: int
    """Devices that did not answer at the end of the window."""
    paths: dict[str, PathTotals]
    missing: list[Missing]


class Ledger:
    """Keeps account of a window that begins with the counters it is made from.

    A record counts as duplicated when its number was seen before on that path, as reordered when a higher
    number of the device came before it in the same topic (RFC 4737 §3).

    Attributes:
        delivered: numbers seen for the first time, over all paths; rises while records arrive.
    """

    def __init__(self, start: Iterable[Counter]) -> None:
        self.delivered = 0
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._tracks: dict[str, dict[str, _Track]] = {path.name: {} for path in PATHS}
        self._latency = {path.name: Histogram() for path in PATHS}
        self._cap = _NEVER
        self._vanished = 0
        for device, name, first, last in start:
            self._streams[device, name] = _Stream(last, {first: last})

    def count(self, counters: Iterable[Counter]) -> None:
        """Take note of what devices say they sent; one that was not there before counts from its first."""
        for counter in counters:
            stream = self._streams.get((counter.device, counter.stream)) or self._new_stream(counter)
            stream.sessions[counter.first] = max(counter.last, stream.sessions.get(counter.first, 0))

    def _new_stream(self, counter: Counter) -> _Stream:
        stream = _Stream(counter.first - 1, {}, self._cap)
        self._streams[counter.device, counter.stream] = stream
        for path in PATHS:
            track = self._tracks[path.name].get(counter.device)
            if track and path.stream == counter.stream:
                track.known = True
        return stream

    def close(self, counters: Iterable[Counter], now_us: int) -> None:
        """End the window with the devices' last counters.

        Args:
            counters: of all devices that still answer.
            now_us: the time in µs since 1970. It bounds what devices sent that no longer answer: they
                are held to what they said before and to the numbers that were seen of them.
        """
        counters = list(counters)
        self.count(counters)
        self._cap = now_us
        answered: dict[tuple[str, str], int] = {}
        for device, name, _, last in counters:
            answered[device, name] = max(last, answered.get((device, name), 0))
        for key, stream in self._streams.items():
            stream.cap = answered.get(key, now_us)
        self._vanished = len({device for device, _ in self._streams.keys() - answered.keys()})
        for path in PATHS:
            for device, track in self._tracks[path.name].items():
                known = self._streams.get((device, path.stream))
                track.high = known.cap if known else now_us

    def observe(self, topic: str, entry: Entry, stored_ms: int | None) -> None:
        """Take note of a record.

        Args:
            topic: where it was found; one of the topics in `PATHS`.
            entry: what it says.
            stored_ms: when Kafka stored it, UTC ms; None if Kafka does not say.
        """
        path = PATH_OF_TOPIC[topic]
        device, number, sent_ms = entry
        track = self._tracks[path.name].get(device) or self._new_track(path, device)
        if not track.low < number <= track.high:
            return
        if not track.seen.add(number):
            track.duplicated += 1
            return
        self.delivered += track.known
        if number > track.highest.get(topic, 0):
            track.highest[topic] = number
        else:
            track.reordered += 1
        if track.known and stored_ms is not None and sent_ms is not None:
            self._latency[path.name].add(stored_ms - sent_ms)

    def _new_track(self, path: Path, device: str) -> _Track:
        stream = self._streams.get((device, path.stream))
        track = _Track(True, stream.baseline, stream.cap) if stream else _Track(False, -1, self._cap)
        return self._tracks[path.name].setdefault(device, track)

    def verdict(self, max_missing: int = 20) -> Verdict:
        """Balance the books as they stand; at most `max_missing` runs are listed one by one."""
        paths = {path.name: PathTotals(latency=self._latency[path.name]) for path in PATHS}
        sent = lost = 0
        missing: list[Missing] = []
        for (device, name), stream in self._streams.items():
            tracks = [(path, self._tracks[path.name].get(device)) for path in PATHS if path.stream == name]
            expected = _expected(stream, [track for _, track in tracks if track])
            sent += size(expected)
            holes: list[Range] = []
            for path, track in tracks:
                gaps = _balance(paths[path.name], expected, track)
                holes += gaps
                lost += track.seen.given_up if track else 0
                missing += [Missing(device, path.name, *gap) for gap in gaps[: max_missing - len(missing)]]
            lost += size(merge(holes))
        latency = Histogram()
        for totals in paths.values():
            latency.merge(totals.latency)
        return Verdict(
            sent=sent,
            delivered=max(sent - lost, 0),
            lost=lost,
            duplicated=sum(totals.duplicated for totals in paths.values()),
            reordered=sum(totals.reordered for totals in paths.values()),
            latency=latency,
            devices=len({device for device, _ in self._streams}),
            vanished=self._vanished,
            paths=paths,
            missing=missing,
        )


def _expected(stream: _Stream, tracks: Iterable[_Track]) -> list[Range]:
    """The numbers that the device sent in the window.

    What was seen was sent, so it also tells the end of a process that died after its last answer: runs
    closer than a restart takes are one process.
    """
    said = [session for session in stream.sessions.items() if session[0] <= session[1]]
    seen = [found for track in tracks for found in track.seen.ranges]
    return merge(clip([*said, *seen], stream.baseline + 1, stream.cap), SESSION_GAP)


def _balance(totals: PathTotals, expected: list[Range], track: _Track | None) -> list[Range]:
    if track is None:
        totals.sent += size(expected)
        totals.lost += size(expected)
        return expected
    seen = track.seen
    due = list(clip(expected, seen.floor + 1, _NEVER))
    gaps = subtract(due, seen.ranges)
    lost = size(gaps)
    totals.duplicated += track.duplicated
    totals.reordered += track.reordered
    totals.lost += lost + seen.given_up
    totals.delivered += size(due) - lost + seen.settled
    totals.sent += size(due) + seen.settled + seen.given_up
    return gaps
