"""The ledger itself: what devices sent against what was seen in Kafka. Pure: no sockets, no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from testbed.verify.histogram import Histogram
from testbed.verify.intervals import SESSION_GAP, IntervalSet, Range, clip, merge, size, subtract
from testbed.verify.paths import PATH_OF_TOPIC, PATHS, Entry, Path

MISSING_LISTED: Final = 20
_NEVER: Final = 1 << 62

StreamKey = tuple[str, str]
"""Device and stream."""


class Counter(NamedTuple):
    """A device's own count of one stream: the numbers it gave out since its process started."""

    device: str
    stream: str
    first: int
    last: int


@dataclass(slots=True)
class _Stream:
    """What a device said about one of its streams; numbers in baseline < n <= cap are to be balanced."""

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
    looked_at: int = -1
    """The highest number when strangers were looked at last."""


@dataclass(slots=True)
class PathTotals:
    """Figures of one path; `delivered + lost == sent`."""

    latency: Histogram
    sent: int = 0
    delivered: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    given_up: int = 0
    """Of what is lost: what nobody waits for any more."""


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
    given_up: int = 0
    """Of what is lost: what nobody waits for any more."""


@dataclass(slots=True)
class _Sums:
    """Figures that add up over streams."""

    paths: dict[str, PathTotals]
    sent: int = 0
    lost: int = 0
    missing: list[Missing] = field(default_factory=list)


class Ledger:
    """Keeps account of a window that begins with the counters it is made from, and may never end.

    A record counts as duplicated when its number was seen before on that path, as reordered when a higher
    number of the device came before it in the same topic (RFC 4737 §3).

    Attributes:
        delivered: numbers seen for the first time, over all paths; rises while records arrive.
    """

    def __init__(self, start: Iterable[Counter], since_us: int = 0) -> None:
        """Begin.

        Args:
            start: what devices sent before.
            since_us: the time in µs since 1970. Of a process that began before and is heard of later,
                only what it sends from then on counts.
        """
        self.delivered = 0
        self._since_us = since_us
        self._streams: dict[StreamKey, _Stream] = {}
        self._tracks: dict[str, dict[str, _Track]] = {path.name: {} for path in PATHS}
        self._latency = {path.name: Histogram() for path in PATHS}
        self._balanced = _Sums(self._no_totals())
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
        baseline = counter.first - 1 if counter.first >= self._since_us else counter.last
        stream = _Stream(baseline, {}, self._cap)
        self._streams[counter.device, counter.stream] = stream
        for path in _paths_of(counter.stream):
            if track := self._tracks[path.name].get(counter.device):
                track.known = True
                track.low = baseline
        return stream

    def sent_so_far(self) -> dict[StreamKey, int]:
        """The highest number of each stream that its device reported or that was seen of it."""
        return {
            key: max(
                (
                    stream.baseline,
                    *stream.sessions.values(),
                    *(track.seen.highest for _, track in self._tracks_of(key) if track),
                )
            )
            for key, stream in self._streams.items()
        }

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
        answered: dict[StreamKey, int] = {}
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

    def give_up(self, caps: Mapping[StreamKey, int]) -> None:
        """Wait no longer for what was sent up to these numbers: what is missing of it is lost for good.

        Numbers below are still recognised when they come again; one that comes late counts for nothing.
        """
        for key, cap in caps.items():
            if (stream := self._streams.get(key)) and cap > stream.baseline:
                self._balance(self._balanced, key, stream, cap, MISSING_LISTED)
                stream.baseline = cap
                stream.sessions = {first: last for first, last in stream.sessions.items() if last > cap}
                for _, track in self._tracks_of(key):
                    if track:
                        track.seen.start_anew_behind(cap)

    def forget(self, keys: Iterable[StreamKey]) -> None:
        """Give up and drop streams; their figures stay in the sums."""
        for device, name in keys:
            self.give_up({(device, name): _NEVER})
            self._streams.pop((device, name), None)
            for path in _paths_of(name):
                if track := self._tracks[path.name].pop(device, None):
                    _add_repeats(self._balanced.paths[path.name], track)

    def forget_strangers(self) -> None:
        """Drop what was seen of devices that nobody answers for, if nothing came since the last call."""
        for tracks in self._tracks.values():
            strangers = [(device, track) for device, track in tracks.items() if not track.known]
            for device, track in strangers:
                if track.looked_at == track.seen.highest:
                    del tracks[device]
                track.looked_at = track.seen.highest

    def verdict(self, max_missing: int = MISSING_LISTED) -> Verdict:
        """Balance the books as they stand; at most `max_missing` runs are listed one by one."""
        before_now = self._balanced.missing[:max_missing]
        sums = _Sums(self._no_totals(), self._balanced.sent, self._balanced.lost, before_now)
        for path in PATHS:
            totals, before = sums.paths[path.name], self._balanced.paths[path.name]
            for track in self._tracks[path.name].values():
                if track.known:
                    _add_repeats(totals, track)
            totals.sent, totals.delivered = before.sent, before.delivered
            totals.lost = totals.given_up = before.lost
            totals.duplicated += before.duplicated
            totals.reordered += before.reordered
        for key, stream in self._streams.items():
            self._balance(sums, key, stream, stream.cap, max_missing)
        latency = Histogram()
        for totals in sums.paths.values():
            latency.merge(totals.latency)
        return Verdict(
            sent=sums.sent,
            delivered=max(sums.sent - sums.lost, 0),
            lost=sums.lost,
            duplicated=sum(totals.duplicated for totals in sums.paths.values()),
            reordered=sum(totals.reordered for totals in sums.paths.values()),
            latency=latency,
            devices=len({device for device, _ in self._streams}),
            vanished=self._vanished,
            paths=sums.paths,
            missing=sums.missing,
            given_up=self._balanced.lost,
        )

    def _balance(self, sums: _Sums, key: StreamKey, stream: _Stream, cap: int, max_missing: int) -> None:
        """Add to `sums` what is to be balanced of one stream up to `cap`."""
        tracks = self._tracks_of(key)
        expected = _expected(stream, cap, [track for _, track in tracks if track])
        sums.sent += size(expected)
        holes: list[Range] = []
        for path, track in tracks:
            gaps = _add_numbers(sums.paths[path.name], expected, track)
            holes += gaps
            sums.lost += track.seen.given_up if track else 0
            room = max_missing - len(sums.missing)
            sums.missing += [Missing(key[0], path.name, *gap) for gap in gaps[:room]]
        sums.lost += size(merge(holes))

    def _tracks_of(self, key: StreamKey) -> list[tuple[Path, _Track | None]]:
        device, name = key
        return [(path, self._tracks[path.name].get(device)) for path in _paths_of(name)]

    def _no_totals(self) -> dict[str, PathTotals]:
        return {path.name: PathTotals(latency=self._latency[path.name]) for path in PATHS}


def _paths_of(stream: str) -> list[Path]:
    return [path for path in PATHS if path.stream == stream]


def _expected(stream: _Stream, cap: int, tracks: Iterable[_Track]) -> list[Range]:
    """The numbers behind the baseline and up to `cap` that the device sent.

    What was seen was sent, so it also tells the end of a process that died after its last answer: runs
    closer than a restart takes are one process.
    """
    said = [session for session in stream.sessions.items() if session[0] <= session[1]]
    seen = [found for track in tracks for found in track.seen.ranges]
    before = (stream.baseline, stream.baseline)
    known = merge(clip([before, *said, *seen], stream.baseline, cap), SESSION_GAP)
    return list(clip(known, stream.baseline + 1, cap))


def _add_numbers(totals: PathTotals, expected: list[Range], track: _Track | None) -> list[Range]:
    if track is None:
        totals.sent += size(expected)
        totals.lost += size(expected)
        return expected
    seen = track.seen
    due = list(clip(expected, seen.floor + 1, _NEVER))
    gaps = subtract(due, seen.ranges)
    lost = size(gaps)
    totals.lost += lost + seen.given_up
    totals.delivered += size(due) - lost + seen.settled
    totals.sent += size(due) + seen.settled + seen.given_up
    return gaps


def _add_repeats(totals: PathTotals, track: _Track) -> None:
    totals.duplicated += track.duplicated
    totals.reordered += track.reordered
