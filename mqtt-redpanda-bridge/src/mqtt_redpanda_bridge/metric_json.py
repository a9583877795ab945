"""Sparkplug metrics and their values as JSON."""

import base64
from typing import Any

from iiot.sparkplug.composite import DataSet, MetaData, PropertySet
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Template
from iiot.sparkplug.plain import PlainMetric

# A list, because a member of an IntEnum is a quick index and a slow dictionary key.
_LABELS = [datatype.label for datatype in sorted(DataType)]
_PLAIN = frozenset({int, float, str, bool, type(None), tuple})


def metric_to_json(metric: Metric, time_ms: int) -> dict[str, Any]:
    """A metric as a JSON object.

    `name` and `type` are null where no birth told them; the value then is what its protobuf carrier
    held, an unsigned number for instance, and `alias` is there to find the name later. Optional
    members appear only when set.

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
    if metric.is_historical:
        entry["historical"] = True
    if metric.is_transient:
        entry["transient"] = True
    if metric.properties:
        entry["properties"] = _properties(metric.properties)
    if metric.metadata is not None:
        entry["metadata"] = _metadata(metric.metadata)
    return entry


def plain_to_json(metric: PlainMetric, time_ms: int) -> dict[str, Any]:
    """The same for a metric that needs nothing more."""
    (name, datatype, _), value, timestamp = metric
    return {
        "name": name,
        "type": _LABELS[datatype],
        "value": value if type(value) in _PLAIN else value_to_json(value),
        "timestamp": time_ms if timestamp is None else timestamp,
    }


def value_to_json(value: Any) -> Any:
    """Bytes become base64, a DataSet and a Template objects; all else is JSON already."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, DataSet):
        types = [_LABELS[datatype] for datatype in value.types]
        rows = [[value_to_json(cell) for cell in row] for row in value.rows]
        return {"columns": value.columns, "types": types, "rows": rows}
    if isinstance(value, Template):
        return _template(value)
    return value


def _template(template: Template) -> dict[str, Any]:
    return {
        "ref": template.ref,
        "version": template.version,
        "is_definition": template.is_definition,
        "metrics": [
            {
                "name": member.name,
                "type": None if member.datatype is None else _LABELS[member.datatype],
                "value": value_to_json(member.value),
            }
            for member in template.metrics
        ],
        "parameters": [
            {"name": entry.name, "type": _LABELS[entry.datatype], "value": value_to_json(entry.value)}
            for entry in template.parameters
        ],
    }


def _properties(properties: PropertySet) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, entry in properties.items():
        value = entry.value
        if isinstance(value, dict):
            found[key] = _properties(value)
        elif isinstance(value, list):
            found[key] = [_properties(member) for member in value]
        else:
            found[key] = value_to_json(value)
    return found


def _metadata(metadata: MetaData) -> dict[str, Any]:
    members = {name: getattr(metadata, name) for name in MetaData.__slots__}
    return {name: value for name, value in members.items() if value is not None}
