"""What a server observes on one device: its observations, their attributes, and what could not be sent.

While notifications cannot be sent they are stored with their times, if resource /1/0/6 says so, and kept
over a new registration: they go out when the server observes the same paths again.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from device_simulator import objects
from device_simulator.access import Access
from device_simulator.state import DeviceState, World
from device_simulator.tree import OperationError, Tree
from iiot.lwm2m.message import Attributes, Code, Link, Record, Value
from iiot.lwm2m.observe import Defaults, Observation, OwnAttributes
from iiot.lwm2m.path import Path

MAX_OBSERVATIONS: Final = 200
"""Observations of one device at a time."""
HISTORY: Final = 100
"""Notifications of one observation that are stored while hqmax says nothing."""
LARGEST_NOTIFY: Final = 500
"""Stored records in one Notify."""

Told = tuple[str, tuple[Record, ...]]
"""Token of an observation, and what to notify."""
_Paths = tuple[Path, ...]
_History = deque[tuple[Record, ...]]


class Observations:
    """The observations of one device."""

    __slots__ = ("_access", "_active", "_own", "_state", "_stored", "_tree", "_world")

    def __init__(self, state: DeviceState, tree: Tree[DeviceState], world: World) -> None:
        self._access = Access(state)
        self._state = state
        self._tree = tree
        self._world = world
        self._active: dict[str, Observation] = {}
        self._own: dict[str, OwnAttributes] = {}
        self._stored: dict[_Paths, _History] = {}

    def __len__(self) -> int:
        return len(self._active)

    def observe(
        self, token: str, paths: _Paths, now: float, own: OwnAttributes | None = None
    ) -> tuple[Record, ...]:
        """Begin, or begin anew under the same token; the values of now (Core 6.4.1, 6.4.2).

        A single path must be there; of several those that are not there now may come later. `own` are the
        attributes that the request gave for this observation alone.

        Raises:
            OperationError: 4.00, 4.01, 4.04, 4.05 or 5.03.
            InvalidValueError: an attribute that does not suit.
        """
        if token not in self._active and len(self._active) >= MAX_OBSERVATIONS:
            raise OperationError(Code.BAD_REQUEST, f"there are {MAX_OBSERVATIONS} observations already")
        if len(paths) == 1:
            records = self._access.readable(self._tree.read(self._state, paths[0]))
        else:
            records = self.read(paths)
        if own is not None:
            for path in paths:
                self._state.attributes.check_observe(path, own, self._tree.kind_of(path))
        targets = self._targets(paths, own)
        self._active[token] = Observation(targets, self._defaults, _values(records), now)
        self._own.pop(token, None)
        if own is not None:
            self._own[token] = own
        return records

    def cancel(self, token: str) -> bool:
        """End an observation (Core 6.4.5); False when there is none of that token."""
        self._own.pop(token, None)
        return self._active.pop(token, None) is not None

    def cancel_all(self) -> None:
        """End all, as a new registration does. What is stored stays, in case they are made again."""
        self._active.clear()
        self._own.clear()
        if not self.storing:
            self._stored.clear()

    def read(self, paths: Iterable[Path]) -> tuple[Record, ...]:
        """What can be read of several paths now (Core 6.3.8).

        Raises:
            OperationError: 4.01, for bootstrap servers only, or nothing of it may be read.
        """
        found: dict[Path, Record] = {}
        for path in paths:
            try:
                found |= {record.path: record for record in self._tree.read(self._state, path)}
            except OperationError as exc:
                if exc.code is Code.UNAUTHORIZED:
                    raise
        readable = self._access.readable(tuple(found.values()))
        if found and not readable:
            raise OperationError(Code.UNAUTHORIZED, "the server may read nothing of this")
        return readable

    def write_attributes(self, path: Path, change: Attributes) -> None:
        """Attach notification attributes (Core 6.4.3); observations under way follow them at once.

        Raises:
            OperationError: 4.01 or 4.04.
            InvalidValueError: see `AttributeStore.write`.
        """
        self._tree.discover(self._state, Path(path.ids[:3]), 0)
        self._state.attributes.write(path, change, self._tree.kind_of(path))
        self.follow_defaults()

    def follow_defaults(self) -> None:
        """Go by the resources /1/0/2 and /1/0/3, and the attributes, as they are now."""
        for token, observation in self._active.items():
            targets = self._targets(observation.paths, self._own.get(token))
            observation.change(targets, self._defaults)

    def links(self, links: Iterable[Link], target: Path) -> tuple[Link, ...]:
        """Links of a Discover with the attributes of their nodes, at `target` also those inherited.

        What the nodes below inherit, a reader sees from the links above them (Core 6.3.2).
        """
        attributes = self._state.attributes
        return tuple(
            replace(
                link,
                attributes={
                    **link.attributes,
                    **(
                        attributes.inherited(target)
                        if link.path == target
                        else attributes.attached(link.path)
                    ),
                },
            )
            for link in links
        )

    def collect(self, now: float) -> list[Told]:
        """What must be notified at `now` (monotonic s), from the state's last sample."""
        return [(token, records) for token, records, _ in self._evaluate(now)]

    def store(self, now: float) -> None:
        """Keep what would have to be notified at `now`, the newest hqmax of each observation."""
        if not self.storing:
            return
        time = self._world.timestamp() / 1000
        for _, records, observation in self._evaluate(now):
            limit = HISTORY if observation.history_limit is None else observation.history_limit
            known = self._stored.get(observation.paths, ())
            timed = tuple(replace(record, time=time) for record in records)
            self._stored[observation.paths] = deque((*known, timed), maxlen=limit)

    def flush(self) -> list[Told]:
        """What was stored for observations that are in place, oldest first; it is forgotten here."""
        told: list[Told] = []
        for token, observation in self._active.items():
            history = [record for records in self._stored.pop(observation.paths, ()) for record in records]
            told += (
                (token, tuple(history[start : start + LARGEST_NOTIFY]))
                for start in range(0, len(history), LARGEST_NOTIFY)
            )
        return told

    @property
    def storing(self) -> bool:
        """Resource /1/0/6."""
        return self._state.written.get(objects.STORING) is True

    @property
    def _defaults(self) -> Defaults:
        written = self._state.written
        pmin, pmax = written.get(objects.MIN_PERIOD, 0), written.get(objects.MAX_PERIOD, objects.PMAX)
        return Defaults(float(str(pmin)), float(str(pmax)))

    def _targets(self, paths: Iterable[Path], own: OwnAttributes | None) -> dict[Path, Attributes]:
        return {path: self._state.attributes.effective(path, own) for path in paths}

    def _evaluate(self, now: float) -> Iterator[tuple[str, tuple[Record, ...], Observation]]:
        for token, observation in self._active.items():
            if observation.next_evaluation(0) <= now:
                try:
                    records = self.read(observation.paths)
                except OperationError:  # the right to read it was taken away
                    continue
                if observation.evaluate(_values(records), now):
                    yield token, records, observation


def _values(records: Iterable[Record]) -> dict[Path, Value]:
    return {record.path: record.value for record in records if record.value is not None}
