"""When an observation must notify: notification attributes, inheritance and timers (Core 7.3.1.2).

Nothing here reads values or clocks: both are passed in, times in monotonic s.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from iiot.errors import InvalidValueError
from iiot.lwm2m.datatypes import Type
from iiot.lwm2m.message import Attributes, Value
from iiot.lwm2m.path import Path

NAMES: Final = tuple(field.name for field in fields(Attributes) if field.name != "unset")
_THRESHOLDS: Final = ("gt", "lt", "st")
COMPOSITE: Final = ("pmin", "pmax", "epmin", "epmax", "con")
"""What an Observe-Composite may give: attributes that hold for all its paths (Core 6.4.4)."""


def given(attributes: Attributes | None) -> dict[str, int | float | bool]:
    """The attributes that are set, by name; none of None."""
    values = {} if attributes is None else {name: getattr(attributes, name) for name in NAMES}
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where no attribute says otherwise: resources 2 and 3 of object 1, in s; 0 is none."""

    pmin: float = 0.0
    pmax: float = 0.0


@dataclass(frozen=True, slots=True)
class OwnAttributes:
    """What an Observe, or Observe-Composite, gave for its observation alone (Core 6.4.1, 6.4.4)."""

    attributes: Attributes
    composite: bool = False

    def check(self) -> None:
        """Whether a request may give these at all.

        Raises:
            InvalidValueError: one that it may not, or that is to be unset, which means nothing here.
        """
        for name in sorted(self.attributes.unset):
            raise InvalidValueError(name, None, "a value: an Observe unsets nothing")
        for name, value in given(self.attributes).items():
            if self.composite and name not in COMPOSITE:
                raise InvalidValueError(name, value, f"only {', '.join(COMPOSITE)} in an Observe-Composite")


class AttributeStore:
    """The attributes that a server attached to the nodes of one device."""

    __slots__ = ("_attached",)

    def __init__(self) -> None:
        self._attached: dict[Path, Attributes] = {}

    def write(self, path: Path, change: Attributes, kind: Type | None = None) -> None:
        """Attach, replace and unset attributes of a node, all or nothing (Core 6.4.3).

        Args:
            path: an object or a node below one.
            change: what to attach or unset; the others stay.
            kind: type of the resource, None above the resource level.

        Raises:
            InvalidValueError: an attribute does not suit the node, or contradicts another that holds
                there or below.
        """
        _check_node(path, change, kind)
        before = self._attached.get(path, Attributes())
        merged: dict[str, Any] = given(before) | given(change)
        self._attached[path] = Attributes(**{name: merged[name] for name in merged.keys() - change.unset})
        try:
            for node in [node for node in self._attached if path.contains(node)]:
                _check_consistency(self.effective(node))
        except InvalidValueError:
            self._attached[path] = before
            raise

    def attached(self, path: Path) -> dict[str, int | float | bool]:
        """What is attached to the node itself, by name; what Discover shows."""
        return given(self._attached.get(path, Attributes()))

    def inherited(self, path: Path) -> dict[str, int | float | bool]:
        """What holds at a node, by name: attached to it or inherited from above, the nearest level wins."""
        merged: dict[str, int | float | bool] = {}
        for depth in range(1, len(path.ids) + 1):
            merged |= self.attached(Path(path.ids[:depth]))
        return merged

    def effective(self, path: Path, own: "OwnAttributes | None" = None) -> Attributes:
        """What holds at a node, see `inherited`; for one observation, what its request gave comes first."""
        held: dict[str, Any] = self.inherited(path)
        if own is not None:
            ignored = COMPOSITE if own.composite else ()
            held = {name: held[name] for name in held if name not in ignored} | given(own.attributes)
        return Attributes(**held)

    def check_observe(self, path: Path, own: "OwnAttributes", kind: Type | None = None) -> None:
        """Whether an Observe of a node may give these attributes.

        Raises:
            InvalidValueError: one does not suit the node or the operation, or contradicts another.
        """
        own.check()
        _check_node(path, own.attributes, kind)
        _check_consistency(self.effective(path, own))

    def forget(self, path: Path) -> None:
        """Drop what is attached at and below a node, which is gone."""
        for node in [node for node in self._attached if path.contains(node)]:
            del self._attached[node]

    def clear(self) -> None:
        """Drop everything."""
        self._attached.clear()


class Observation:
    """One observation: of one path, or, composite, of several, any of which can make it notify.

    A change that must be told within pmin is told when pmin ends, with the values of then. Every
    notification restarts pmin and pmax of all paths.

    Args:
        targets: the observed paths with the attributes that hold there; those below do not count.
        defaults: pmin and pmax where no attribute sets them.
        values: the values of the answer to the Observe, which is the first notification.
        now: monotonic s of that answer.
    """

    __slots__ = ("_notified", "_notified_at", "_triggers")

    def __init__(
        self,
        targets: Mapping[Path, Attributes],
        defaults: Defaults,
        values: Mapping[Path, Value],
        now: float,
    ) -> None:
        self._notified = dict(values)
        self._notified_at = now
        self._triggers = [
            _Trigger(path, attributes, defaults, values, now) for path, attributes in targets.items()
        ]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The observed paths."""
        return tuple(trigger.path for trigger in self._triggers)

    @property
    def history_limit(self) -> int | None:
        """How many notifications to keep while they cannot be sent (hqmax); None when nothing is set."""
        limits = [t.attributes.hqmax for t in self._triggers if t.attributes.hqmax is not None]
        return max(limits) if limits else None

    def change(self, targets: Mapping[Path, Attributes], defaults: Defaults) -> None:
        """Go on with other attributes for the same paths; the timers run on."""
        for trigger in self._triggers:
            trigger.configure(targets[trigger.path], defaults)

    def next_evaluation(self, period: float) -> float:
        """When to `evaluate` next (monotonic s), for a device that looks at its values each `period` s."""
        return min(trigger.next_evaluation(self._notified_at, period) for trigger in self._triggers)

    def evaluate(self, values: Mapping[Path, Value], now: float) -> bool:
        """Look at the values of all paths; True when they must be sent now, which counts as done.

        A path that has no value now (its sensor does not answer) keeps the last one for comparison.
        """
        for trigger in self._triggers:
            trigger.look(values, self._notified, now)
        elapsed = now - self._notified_at
        if not values or not any(trigger.fires(elapsed) for trigger in self._triggers):
            return False
        self._notified.update(values)
        self._notified_at = now
        for trigger in self._triggers:
            trigger.pending = False
        return True


class _Trigger:
    """One path of an observation."""

    __slots__ = ("_at", "_pmax", "_pmin", "_seen", "attributes", "path", "pending")

    def __init__(
        self,
        path: Path,
        attributes: Attributes,
        defaults: Defaults,
        values: Mapping[Path, Value],
        now: float,
    ) -> None:
        self.path = path
        self.pending = False
        self._at = now
        self._seen = {where: value for where, value in values.items() if path.contains(where)}
        self.configure(attributes, defaults)

    def configure(self, attributes: Attributes, defaults: Defaults) -> None:
        self.attributes = attributes
        self._pmin = defaults.pmin if attributes.pmin is None else attributes.pmin
        pmax = defaults.pmax if attributes.pmax is None else attributes.pmax
        # A pmax of 0, or below pmin, is ignored (Core 7.3.1.2).
        self._pmax = pmax if pmax and pmax >= self._pmin else math.inf

    def next_evaluation(self, notified_at: float, period: float) -> float:
        epmin, epmax = self.attributes.epmin or 0, self.attributes.epmax or math.inf
        due = self._at + min(max(period, epmin), epmax)
        if self.pending:
            due = min(due, notified_at + self._pmin)
        return min(due, notified_at + self._pmax)

    def look(self, values: Mapping[Path, Value], notified: Mapping[Path, Value], now: float) -> None:
        if now - self._at < (self.attributes.epmin or 0):
            return
        self._at = now
        own = {where: value for where, value in values.items() if self.path.contains(where)}
        self.pending = self.pending or any(
            _tells(self.attributes, self._seen.get(where), notified.get(where), value)
            for where, value in own.items()
        )
        self._seen.update(own)

    def fires(self, elapsed: float) -> bool:
        return elapsed >= self._pmax or (self.pending and elapsed >= self._pmin)


def _tells(attributes: Attributes, seen: Value | None, notified: Value | None, value: Value) -> bool:
    if seen is None or notified is None:
        return True
    if isinstance(value, bool):
        return value != seen and attributes.edge in (None, value)
    if not _is_number(value, seen, notified) or not any(
        getattr(attributes, name) is not None for name in _THRESHOLDS
    ):
        return value != seen
    gt, lt, st = attributes.gt, attributes.lt, attributes.st
    return (
        (gt is not None and (seen > gt) != (value > gt))  # type: ignore[operator]
        or (lt is not None and (seen < lt) != (value < lt))  # type: ignore[operator]
        or (st is not None and _reaches(abs(value - notified), st))  # type: ignore[operator]
    )


def _reaches(difference: float, step: float) -> bool:
    # 23.4 - 23.3 is a little less than 0.1.
    return difference > 0 and (difference >= step or math.isclose(difference, step))


def _is_number(*values: Value) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _check_node(path: Path, change: Attributes, kind: Type | None) -> None:
    if not path.ids:
        raise InvalidValueError("path", str(path), "an object or a node below one")
    for name in _THRESHOLDS:
        if getattr(change, name) is not None and not (path.is_value and kind is not None and kind.is_number):
            raise InvalidValueError(name, getattr(change, name), "only on a resource that holds numbers")
    if change.st is not None and change.st < 0:
        raise InvalidValueError("st", change.st, "0 or more")
    if change.edge is not None and not (path.is_value and kind is Type.BOOLEAN):
        raise InvalidValueError("edge", int(change.edge), "only on a boolean resource")


def _check_consistency(held: Attributes) -> None:
    if held.lt is not None and held.gt is not None:
        step = held.st or 0
        if not (held.lt < held.gt and held.lt + 2 * step < held.gt):
            raise InvalidValueError("lt", held.lt, f"less than gt - 2 x st, here {held.gt - 2 * step:g}")
    if held.epmin is not None and held.epmax is not None and not held.epmin < held.epmax:
        raise InvalidValueError("epmin", held.epmin, f"less than epmax, here {held.epmax}")
