"""How much memory values take, about: 32 kB on the wire become 2 MB when they are an array of Booleans."""

from __future__ import annotations

from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final, Protocol

from iiot.sparkplug.composite import QUALITY, DataSet, MetaData
from iiot.sparkplug.payload import Template

if TYPE_CHECKING:
    from collections.abc import Collection

    from iiot.sparkplug.composite import PropertySet
    from iiot.sparkplug.host_metric import Kept
    from iiot.sparkplug.payload import Payload, Value

NUMBERS: Final = frozenset({int, float, bool})
"""Types of values that take no memory beside their metric."""
_ITEM: Final = 32
_PROPERTY: Final = 200
_MEMBER: Final = 400
_SHARED_NAME: Final = 100
"""Characters of a name that many edge nodes share, so that it is kept once."""


class Weighed(Protocol):
    """A metric of a message, or as a host keeps it."""

    name: Any
    value: Value | None
    properties: PropertySet | None
    metadata: MetaData | None


def is_light(metric: Weighed, known: Weighed) -> bool:
    """Whether it leaves the weight of `known` as it is: a number, which ends no Quality."""
    is_number = type(metric.value) in NUMBERS and metric.properties is None and metric.metadata is None
    return (
        is_number and known.metadata is None and (known.properties is None or QUALITY not in known.properties)
    )


def weight(metric: Weighed) -> int:
    """Bytes that a metric takes beside those that each metric takes."""
    name = metric.name or ""
    own = getsizeof(name) if len(name) > _SHARED_NAME else 0
    return own + _value(metric.value) + _properties(metric.properties or {}) + _metadata(metric.metadata)


def growth(before: Kept, after: Kept, keys: Collection[str]) -> int:
    """By how many bytes a metric grew; of its properties those of `keys` may have changed."""
    total = 0 if before[0] is after[0] else _value(after[0]) - _value(before[0])
    if before[1] is not after[1]:
        total += _properties(_chosen(after[1], keys)) - _properties(_chosen(before[1], keys))
    return total + _metadata(after[2]) - _metadata(before[2])


def weight_of_message(payload: Payload) -> int:
    """Bytes that a message takes until it is forgotten."""
    return sum(_MEMBER + weight(metric) for metric in payload.metrics)


def _value(value: Any) -> int:
    if value is None or type(value) in NUMBERS:
        return 0
    if isinstance(value, tuple):
        return getsizeof(value) + sum(_entry(item) for item in value)
    if isinstance(value, DataSet):
        return _value(tuple(value.columns)) + sum(_ITEM + _value(row) for row in value.rows)
    if isinstance(value, Template):
        members = sum(_MEMBER + weight(member) for member in value.metrics)
        return members + sum(_MEMBER + _value((entry.name, entry.value)) for entry in value.parameters)
    return getsizeof(value) if isinstance(value, str | bytes) else _ITEM


def _entry(item: Any) -> int:
    """Of an array or row; there are only two Booleans."""
    if item is None or type(item) is bool:
        return 0
    return getsizeof(item)


def _chosen(properties: PropertySet | None, keys: Collection[str]) -> PropertySet:
    return {key: properties[key] for key in keys if key in properties} if properties else {}


def _properties(properties: PropertySet) -> int:
    total = 0
    for key, entry in properties.items():
        sets = entry.value if isinstance(entry.value, list) else [entry.value]
        total += _PROPERTY + getsizeof(key)
        total += sum(_properties(one) if isinstance(one, dict) else _value(one) for one in sets)
    return total


def _metadata(metadata: MetaData | None) -> int:
    if metadata is None:
        return 0
    return _MEMBER + sum(
        getsizeof(text) for name in MetaData.__slots__ if isinstance(text := getattr(metadata, name), str)
    )
