"""Sparkplug metrics as JSON, of no more bytes than a record may have."""

import math
from typing import Any, Final

import orjson

from iiot.budgets import OUTPUT_BYTES, BudgetError
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.metric_json import (
    fault_to_json,
    metadata_to_json,
    properties_to_json,
    value_to_json,
)
from iiot.sparkplug.payload import Metric
from iiot.sparkplug.plain import PlainMetric

# A list, because a member of an IntEnum is a quick index and a slow dictionary key.
_LABELS = [datatype.label for datatype in sorted(DataType)]
_PLAIN = frozenset({int, float, str, bool, type(None), tuple})
_LARGE: Final = frozenset({dict, list, tuple})
_ESCAPED: Final = 6
"""JSON characters of one in a text, at most."""
_PER_METRIC: Final = 160
"""JSON bytes of a metric whose value is a number, without its name, at most."""
_PER_BYTE: Final = 48
"""JSON bytes of a byte in a plain value, at most: one of a BooleanArray is `false,` eight times."""
_PIECE: Final = 4096
_MEMBERS: Final = 4
"""Of a metric that has nothing unusual."""


def metric_to_json(metric: Metric, time_ms: int) -> dict[str, Any]:
    """A metric as a JSON object.

    `name` and `type` are null where no birth told them; the value then is what its protobuf carrier
    held, an unsigned number for instance, and `alias` is there to find the name later. Optional
    members appear only when set. A value that cannot be used, or that JSON does not know, is null with
    `quality` bad and the `reason`.

    Args:
        metric: resolved through births as far as possible.
        time_ms: the message's time, for a metric without its own.
    """
    datatype, value, timestamp = metric.datatype, metric.value, metric.timestamp
    entry = {
        "name": metric.name,
        "type": None if datatype is None else _LABELS[datatype],
        "value": value if type(value) in _PLAIN else value_to_json(value),
        "timestamp": time_ms if timestamp is None else timestamp,
    }
    if metric.name is None:
        entry["alias"] = metric.alias
    if metric.fault is not None:
        entry |= fault_to_json(metric.fault)
    elif type(value) is float and not math.isfinite(value):
        entry |= {"value": None, **fault_to_json(f"value: got {value}, which JSON has no number for")}
    if metric.is_historical:
        entry["historical"] = True
    if metric.is_transient:
        entry["transient"] = True
    if metric.properties:
        entry["properties"] = properties_to_json(metric.properties)
    if metric.property_fault is not None:
        entry["property_fault"] = metric.property_fault
    if metric.metadata is not None:
        entry["metadata"] = metadata_to_json(metric.metadata)
    return entry


def plain_to_json(metric: PlainMetric, time_ms: int) -> dict[str, Any]:
    """The same for a metric that needs nothing more."""
    definition, value, timestamp = metric
    return {
        "name": definition[0],
        "type": _LABELS[definition[1]],
        "value": value if type(value) in _PLAIN else value_to_json(value),
        "timestamp": time_ms if timestamp is None else timestamp,
    }


def most_json(size: int, metrics: int, longest: int) -> int:
    """The most bytes of JSON that plain metrics make.

    Args:
        size: bytes of their message.
        metrics: how many they are.
        longest: characters of the longest name.
    """
    return _PER_BYTE * size + metrics * (_PER_METRIC + _ESCAPED * longest)


def check_output(entries: list[dict[str, Any]], limit: int = OUTPUT_BYTES) -> None:
    """See that metrics make no more than `limit` bytes of JSON, before the JSON is made.

    A name that a birth told once is written with every value, so a few bytes may become many.

    Raises:
        BudgetError: they make more.
    """
    size = 0
    for entry in entries:
        value, name = entry["value"], entry["name"] or ""
        size += _PER_METRIC + _ESCAPED * (len(name) + (len(value) if type(value) is str else 0))
        if size > limit or len(entry) > _MEMBERS or type(value) in _LARGE:
            _Measure(limit).add(entries)
            return


class _Measure:
    """Adds up bytes of JSON, made in small pieces that are not kept."""

    def __init__(self, limit: int) -> None:
        self._left = self._limit = limit

    def add(self, value: Any) -> None:
        """Count a value as JSON.

        Raises:
            BudgetError: it is too much.
        """
        if isinstance(value, dict):
            for key, member in value.items():
                self.add(key)
                self.add(member)
        elif isinstance(value, list) or (isinstance(value, tuple) and value and type(value[0]) is str):
            for member in value:
                self.add(member)
        elif isinstance(value, str | tuple):
            for at in range(0, len(value) or 1, _PIECE):
                self._take(orjson.dumps(value[at : at + _PIECE]))
        else:
            self._take(orjson.dumps(value))

    def _take(self, made: bytes) -> None:
        self._left -= len(made)
        if self._left < 0:
            raise BudgetError("bytes of JSON", self._limit, "record")
