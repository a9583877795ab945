"""What holds for the records of a message together, in every profile and format: times, clashes, faults."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from iiot.budgets import RECORDS, BudgetError
from iiot.errors import InvalidValueError
from iiot.lwm2m.message import Record, Refusal
from iiot.lwm2m.path import Path

RELATIVE: Final = float(2**28)
"""A time below this is relative to now, in s; one from here on is since 1970 (RFC 8428 section 4.5.3)."""
LATEST: Final = 2**53 / 1000
"""Largest time in s: in ms it is an integer of which every JSON reader keeps all digits."""
_Place = tuple[tuple[int, ...], float | None]
"""Ids of a path, and a time."""
_TIME: Final = "seconds since 1970, or below 2^28 relative to now, within 0 to 9007199254740"


def bounded(tree: object, what: str, more: int = 0) -> None:
    """Refuse more records than a message may have, before they are made.

    Args:
        tree: maps in maps, whose leaves become records; or a list of which each entry becomes one.
        what: names it in the error.
        more: records beside those.

    Raises:
        BudgetError: too many.
    """
    count = len(tree) if isinstance(tree, list) else _leaves(tree)
    if count + more > RECORDS:
        raise BudgetError("records", RECORDS, what)


def _leaves(tree: object) -> int:
    if not isinstance(tree, dict):
        return 1
    return len(tree) + sum(_leaves(below) - 1 for below in tree.values() if type(below) is dict)


def by_child(records: Iterable[Record], depth: int) -> dict[int, list[Record]]:
    """Records of a node of `depth` ids, by the id of the child that they belong to, smallest first.

    One pass for all children: of a node with thousands, a pass for each takes seconds.
    """
    found: dict[int, list[Record]] = {}
    for record in records:
        if len(record.path.ids) > depth:
            found.setdefault(record.path.ids[depth], []).append(record)
    return dict(sorted(found.items()))


def absolute(records: Sequence[Record], now: float) -> tuple[Record, ...]:
    """Records with times since 1970; one of which the time is out of range has a fault instead of a value.

    Args:
        records: as they were read.
        now: s since 1970.
    """
    return tuple(record if record.time is None else _timed(record, now) for record in records)


def _timed(record: Record, now: float) -> Record:
    given = record.time or 0.0
    time = now + given if given < RELATIVE else given
    if not 0 <= time <= LATEST:
        return replace(record, value=None, time=None, fault=Refusal(f"{record.path} time", given, _TIME))
    return replace(record, time=time)


def usable(
    records: Sequence[Record], now: float, check: Callable[[Record], Record] | None = None
) -> tuple[tuple[Record, ...], tuple[Refusal, ...]]:
    """What can be used of a device's report, and why not the rest.

    Args:
        records: as they were read.
        now: s since 1970, for times that are relative.
        check: raises `InvalidValueError` of a record that cannot be used.
    """
    found = checked(absolute(records, now), check or _valued)
    faults = tuple(record.fault for record in found if record.fault is not None)
    return tuple(record for record in found if record.fault is None) if faults else found, faults


def _valued(record: Record) -> Record:
    if record.value is None:
        raise InvalidValueError(str(record.path), None, "a value")
    return record


def checked(records: Sequence[Record], check: Callable[[Record], Record]) -> tuple[Record, ...]:
    """Records through `check`; the `InvalidValueError` that it raises of one becomes its fault."""
    return tuple(_checked(record, check) for record in records)


def _checked(record: Record, check: Callable[[Record], Record]) -> Record:
    if record.fault is not None:
        return record
    try:
        return check(record)
    except InvalidValueError as error:
        return faulty(record.path, error, record.time)


def faulty(path: Path, error: InvalidValueError, time: float | None = None) -> Record:
    """A record whose value cannot be used."""
    return Record(path, None, time, Refusal.of(error))


def sound(records: tuple[Record, ...]) -> tuple[Record, ...]:
    """The records, where one that cannot be used spoils all: a request, or the answer to one.

    Raises:
        InvalidValueError: a record has a fault.
    """
    for record in records:
        if record.fault is not None:
            fault = record.fault
            raise InvalidValueError(fault.field, fault.value, fault.allowed)
    return records


def outside(paths: Iterable[Path], asked: Iterable[Path]) -> Path | None:
    """The first path that is neither one of those asked for nor below one; None when all are."""
    named = {path.ids for path in asked}
    for path in paths:
        if not any(path.ids[:depth] in named for depth in range(len(path.ids) + 1)):
            return path
    return None


def clash(records: Iterable[Record]) -> tuple[Record, Record] | None:
    """Two records for one place and moment: the same path twice, or a resource and an instance of it."""
    records = tuple(records)
    if len(records) < 2 or not _may_clash(records):
        return None
    seen: dict[_Place, Record] = {}
    for record in records:
        place = (record.path.ids, record.time)
        if place in seen:
            return seen[place], record
        seen[place] = record
    for record in records:
        if len(record.path.ids) == 4 and (record.path.ids[:3], record.time) in seen:
            return seen[record.path.ids[:3], record.time], record
    return None


def _may_clash(records: tuple[Record, ...]) -> bool:
    places = {(record.path.ids, record.time) for record in records}
    return len(places) < len(records) or {3, 4} <= {len(ids) for ids, _ in places}


def distinct(records: Iterable[Record]) -> None:
    """Refuse records to be written that clash.

    Raises:
        InvalidValueError: two of them are for the same place; names both.
    """
    found = clash(records)
    if found is not None:
        paths = " and ".join(str(record.path) for record in found)
        raise InvalidValueError("path", paths, "each value once, and a resource or its instances")


def unambiguous(records: tuple[Record, ...]) -> tuple[Record, ...]:
    """The records; of those that clash each has a fault, since nobody knows which is right."""
    if clash(records) is None:
        return records
    counts: dict[_Place, int] = {}
    for record in records:
        counts[record.path.ids, record.time] = counts.get((record.path.ids, record.time), 0) + 1
    above: set[_Place] = {
        (record.path.ids[:3], record.time) for record in records if len(record.path.ids) == 4
    }
    return tuple(_clashing(record, counts, above) for record in records)


def _clashing(
    record: Record,
    counts: dict[_Place, int],
    above: set[_Place],
) -> Record:
    ids, time = record.path.ids, record.time
    overlaps = (ids, time) in above if len(ids) == 3 else len(ids) == 4 and (ids[:3], time) in counts
    if record.fault is not None or not (overlaps or counts[ids, time] > 1):
        return record
    allowed = "one value for a path and moment, of a resource or of its instances"
    return replace(record, value=None, fault=Refusal(str(record.path), record.value, allowed))
