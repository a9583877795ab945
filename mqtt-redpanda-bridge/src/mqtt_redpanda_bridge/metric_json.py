"""Sparkplug metrics and their values as JSON."""

import math
from typing import Any

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
