"""Fields and values in the bodies of the JSON profile: checked on the way in, strict on the way out."""

import base64
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from iiot.budgets import LINKS, BudgetError
from iiot.errors import DecodeError, InvalidValueError, shown
from iiot.lwm2m.datatypes import INT_MIN, UINT_MAX
from iiot.lwm2m.message import Link, ObjectLink, Record, Refusal, Value
from iiot.lwm2m.path import MAX_ID, ROOT, Path, content_path, parse_content
from iiot.lwm2m.records import bounded, faulty, sound, unambiguous

_PLAIN = frozenset((str, bool, int, float))
_QUOTED = 100
"""Characters of a refused value that its sender gets back."""
_SHOWN = 20
"""Refused records that are listed."""
_EXPLAINED = 1000
"""Characters kept of a device's reason."""


def integer(body: Mapping[str, Any], field: str, low: int, high: int) -> int | None:
    """An optional whole number; one written as `3600.0` counts.

    Raises:
        InvalidValueError: something else stands there.
    """
    value = body.get(field)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high):
        return value
    raise InvalidValueError(field, value, f"an integer from {low} to {high}")


def text(body: Mapping[str, Any], field: str, longest: int = 255) -> str | None:
    """An optional string; a number is taken as its digits.

    Raises:
        InvalidValueError: something else, or longer than `longest` characters.
    """
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and len(value) <= longest:
        return value
    raise InvalidValueError(field, value, f"a string of at most {longest} characters")


def records(
    body: Mapping[str, Any], *, creates: bool = False, keep_faults: bool = False
) -> tuple[Record, ...]:
    """The values of a message: `values` maps paths to values, `records` lists values with their times in ms.

    A mapping in place of a value holds what lies below the path: `{"/3/0/6": {"0": 1, "1": 5}}`.

    Args:
        body: the message.
        creates: it is a Create, in whose `values` the instance id 65535 leaves the choice to the device.
        keep_faults: give records that cannot be used with their fault, instead of raising.

    Raises:
        BudgetError: too many values.
        InvalidValueError: `values` or `records` of another shape; a wrong path or value, two values for one
            place.
    """
    found = unambiguous(tuple(_records(body, parse_content if creates else Path.parse)))
    return found if keep_faults else sound(found)


def _records(body: Mapping[str, Any], parse: Callable[[str], Path]) -> Iterable[Record]:
    values = body.get("values")
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise InvalidValueError("values", values, "an object of paths and values")
    bounded(values, "values", len(body["records"]) if isinstance(body.get("records"), list) else 0)
    for name, value in values.items():
        try:
            path = parse(name)
        except InvalidValueError as error:
            yield faulty(ROOT, error)
            continue
        if type(value) in _PLAIN and path.is_value:
            yield Record(path, value)
        else:
            yield from _below_path(path, value, None)
    history = body.get("records", [])
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
        raise InvalidValueError("records", history, 'a list of {"path", "value", "timestamp"}')
    for entry in history:
        try:
            path, time = Path.parse(text(entry, "path") or ""), integer(entry, "timestamp", -(2**53), 2**53)
        except InvalidValueError as error:
            yield faulty(ROOT, error)
            continue
        yield from _below_path(path, entry.get("value"), None if time is None else time / 1000)


def _below_path(path: Path, value: object, time: float | None) -> Iterable[Record]:
    try:
        # All or none of what one name holds.
        return [Record(record.path, record.value, time) for record in flatten(path, value)]
    except InvalidValueError as error:
        return [faulty(path, error, time)]


def flatten(path: Path, value: object) -> Iterable[Record]:
    """The records at or below `path`; null is a record without a value.

    Raises:
        InvalidValueError: a list, a value above the resource level, an id out of range.
    """
    if isinstance(value, dict):
        for number, below in value.items():
            child = _below(path, number)
            if type(below) in _PLAIN and child.is_value:
                yield Record(child, below)
            else:
                yield from flatten(child, below)
    elif not path.is_value:
        raise InvalidValueError(str(path), value, "an object of ids below it: only resources hold values")
    elif value is None or isinstance(value, str | bool | int | float):
        yield Record(path, value)
    else:
        raise InvalidValueError(str(path), value, "a string, number or boolean")


def flatten_new(path: Path, value: object) -> Iterable[Record]:
    """The records of a Create on the object `path`: `value` maps resources, the device picks the instance.

    Raises:
        InvalidValueError: see `flatten`.
    """
    return flatten(content_path((*path.ids, MAX_ID)), value)


def new_instance(values: Iterable[Record]) -> dict[str, Any]:
    """The inverse of `flatten_new`."""
    tree: dict[str, Any] = {}
    for record in values:
        _descend(tree, Path(record.path.ids[2:-1]))[str(record.path.ids[-1])] = json_value(record)
    return tree


def links_and_records(objects: object) -> tuple[tuple[Link, ...], tuple[Record, ...]]:
    """The object list of a registration, and the values that came with it.

    Raises:
        BudgetError: too many of them.
        InvalidValueError: not `{object: {instance: {resource: value}}}`; an object may also carry `ver`.
    """
    if not isinstance(objects, dict):
        raise InvalidValueError("objects", objects, '{"object": {"instance": {"resource": value}}}')
    bounded(objects, "objects")
    links: list[Link] = []
    found: list[Record] = []
    for number, instances in objects.items():
        path = _below(ROOT, number)
        if not isinstance(instances, dict):
            raise InvalidValueError(f"objects{path}", instances, "an object of instances")
        version = text(instances, "ver")
        if version is not None or len(instances) == 0:
            links.append(Link(path, {} if version is None else {"ver": version}))
        for instance, resources in instances.items():
            if instance == "ver":
                continue
            child = _below(path, instance)
            if not isinstance(resources, dict):
                raise InvalidValueError(f"objects{child}", resources, "an object of resources")
            links.append(Link(child))
            if len(links) > LINKS:
                raise BudgetError("links", LINKS, "objects")
            found += flatten(child, resources)
    return tuple(links), tuple(found)


def objects(links: Iterable[Link], values: Iterable[Record]) -> dict[str, Any]:
    """The inverse of `links_and_records`."""
    tree: dict[str, Any] = {}
    for link in links:
        node = _descend(tree, link.path)
        if "ver" in link.attributes:
            node["ver"] = link.attributes["ver"]
    parent, node = ROOT.ids, tree
    for record in values:
        ids = record.path.ids
        if ids[:-1] != parent:  # values of one instance stand together
            parent, node = ids[:-1], _descend(tree, record.path.parent)
        node[str(ids[-1])] = json_value(record)
    return tree


def bodies(values: Iterable[Record]) -> dict[str, Any]:
    """The `values` of records that hold now, and the `records` of those with a time."""
    current: dict[str, Any] = {}
    history: list[dict[str, Any]] = []
    for record in values:
        if record.time is None:
            current[str(record.path)] = json_value(record)
        else:
            entry = {"path": str(record.path), "value": json_value(record)}
            history.append(entry | {"timestamp": round(record.time * 1000)})
    body: dict[str, Any] = {"values": current} if current or not history else {}
    return body | {"records": history} if history else body


def json_value(record: Record) -> str | int | float | bool | None:
    """A value as JSON can say it: bytes as base64, an object link as text.

    Raises:
        InvalidValueError: JSON has no such number.
    """
    value = record.value
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidValueError(str(record.path), value, "a finite number")
    if isinstance(value, int) and not INT_MIN <= value <= UINT_MAX:
        raise InvalidValueError(str(record.path), value, "a 64-bit integer")
    return plain(value)


def plain(value: Value | None) -> str | int | float | bool | None:
    """Bytes as base64 text and object links as `o:i`, anything else as it is."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value) if isinstance(value, ObjectLink) else value


def error(body: Mapping[str, Any]) -> str | Refusal | None:
    """The reason that a response carries, as text or as the refusal of one field."""
    value = body.get("error")
    if isinstance(value, dict):
        return Refusal(_cut(value.get("field", "")), value.get("value"), _cut(value.get("allowed", "")))
    return None if value is None else _cut(value)


def _cut(value: object) -> str:
    return value[:_EXPLAINED] if isinstance(value, str) else shown(value)


def error_body(reason: str | Refusal) -> Any:
    """The reason as JSON; a refused value is cut to a length that is safe to send back."""
    if not isinstance(reason, Refusal):
        return reason
    value = reason.value
    fits = math.isfinite(value) if isinstance(value, float) else True
    if isinstance(value, int):
        fits = INT_MIN <= value <= UINT_MAX
    if not (value is None or (isinstance(value, bool | float | int) and fits)):
        value = value[:_QUOTED] if isinstance(value, str) else shown(value)[:_QUOTED]
    return {"field": reason.field, "value": value, "allowed": reason.allowed}


def refused(faults: Sequence[Refusal]) -> dict[str, Any]:
    """What stands beside the values of a report of which some records cannot be used."""
    return {"refused": [error_body(fault) for fault in faults[:_SHOWN]], "refusedCount": len(faults)}


def attribute_link(entry: object) -> Link:
    """A link of a Discover answer: `{"path": "/3/0/9", "pmin": 10}`.

    Raises:
        DecodeError: not an object.
        InvalidValueError: a wrong path.
    """
    if not isinstance(entry, dict):
        raise DecodeError("links: expected a list of objects with a path")
    attributes = {str(name): value for name, value in entry.items() if name != "path"}
    return Link(Path.parse(text(entry, "path") or ""), attributes)


@lru_cache(maxsize=16384)
def _below(parent: Path, number: str) -> Path:
    if not (number.isascii() and number.isdigit() and len(number) <= 5):
        raise InvalidValueError(f"id below {parent}", number, "an integer from 0 to 65535")
    ids = (*parent.ids, int(number))
    return content_path(ids) if parent.is_open else Path.of(*ids)


def _descend(tree: dict[str, Any], path: Path) -> dict[str, Any]:
    for number in path.ids:
        tree = tree.setdefault(str(number), {})
    return tree
