"""Sparkplug values as JSON, and back."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from iiot.errors import InvalidValueError
from iiot.sparkplug.composite import DataSet, MetaData, PropertySet
from iiot.sparkplug.datatypes import DataType, ScalarValue, encode_value
from iiot.sparkplug.payload import Metric, Parameter, Template, Value

_BINARY = (DataType.BYTES, DataType.FILE)
_CELLS = frozenset(DataType(code) for code in range(1, 16))
"""Types of a DataSet's columns (§6.4.13)."""


def value_to_json(value: Any) -> Any:
    """Bytes become base64, arrays lists, a DataSet and a Template objects; all else is JSON already."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, DataSet):
        types = [datatype.label for datatype in value.types]
        rows = [[value_to_json(cell) for cell in row] for row in value.rows]
        return {"columns": value.columns, "types": types, "rows": rows}
    if isinstance(value, Template):
        return _template(value)
    return value


def value_from_json(
    datatype: DataType, value: Any, field: str = "value", like: Value | None = None
) -> Value | None:
    """Read a value as `value_to_json` writes it; null stands for null.

    Of a Template instance some members and parameters are enough; `like`, the current value, tells the
    types of those that do not say theirs.

    Raises:
        InvalidValueError: the datatype cannot hold the value.
    """
    if value is None:
        return None
    if datatype is DataType.DATA_SET:
        return _dataset_from_json(value, field)
    if datatype is DataType.TEMPLATE:
        return _template_from_json(value, field, like if isinstance(like, Template) else Template())
    return _scalar_from_json(datatype, value, field)


def properties_to_json(properties: PropertySet) -> dict[str, Any]:
    """A property set as an object of its values."""
    found: dict[str, Any] = {}
    for key, entry in properties.items():
        if isinstance(entry.value, dict):
            found[key] = properties_to_json(entry.value)
        elif isinstance(entry.value, list):
            found[key] = [properties_to_json(member) for member in entry.value]
        else:
            found[key] = value_to_json(entry.value)
    return found


def metadata_to_json(metadata: MetaData) -> dict[str, Any]:
    """The members that are set."""
    members = {name: getattr(metadata, name) for name in MetaData.__slots__}
    return {name: value for name, value in members.items() if value is not None}


def _scalar_from_json(datatype: DataType, value: Any, field: str) -> ScalarValue | None:
    if value is None:
        return None
    if datatype in _BINARY:
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise InvalidValueError(field, value, "base64 text") from None
    typed = tuple(value) if isinstance(value, list) else value
    encode_value(datatype, typed, field)
    scalar: ScalarValue = typed
    return scalar


def _dataset_from_json(value: Any, field: str) -> DataSet:
    table = _object(value, field, "columns", "types", "rows")
    columns = [_text(column, f"{field}.columns") for column in _list(table, "columns", field)]
    types = [_datatype(label, f"{field}.types") for label in _list(table, "types", field)]
    if len(types) != len(columns) or not all(datatype in _CELLS for datatype in types):
        raise InvalidValueError(f"{field}.types", table["types"], f"a plain type for each of {columns}")
    dataset = DataSet(columns, types)
    for row in _list(table, "rows", field):
        if not isinstance(row, list) or len(row) != len(columns):
            raise InvalidValueError(f"{field}.rows", row, f"a cell for each of {columns}")
        cells = zip(columns, types, row, strict=True)
        dataset.rows.append(
            tuple(_scalar_from_json(datatype, cell, f"{field}.{column}") for column, datatype, cell in cells)
        )
    return dataset


def _template_from_json(value: Any, field: str, like: Template) -> Template:
    told = _object(value, field, "ref", "version", "is_definition", "metrics", "parameters")
    if told.get("is_definition"):
        raise InvalidValueError(f"{field}.is_definition", True, "false, for only an NBIRTH defines")
    members = {member.name or "": (member.datatype, member.value) for member in like.metrics}
    parameters = {entry.name: (entry.datatype, entry.value) for entry in like.parameters}
    instance = Template(ref=_text(told.get("ref", like.ref), f"{field}.ref"), version=like.version)
    for name, datatype, content, before in _entries(told, "metrics", field, members):
        read = value_from_json(datatype, content, f"{field}.{name}", before)
        instance.metrics.append(Metric(name, read, datatype))
    for name, datatype, content, _ in _entries(told, "parameters", field, parameters):
        instance.parameters.append(
            Parameter(name, datatype, _scalar_from_json(datatype, content, f"{field}.{name}"))
        )
    return instance


def _entries(
    told: dict[str, Any], key: str, field: str, known: Mapping[str, tuple[DataType | None, Value | None]]
) -> Iterator[tuple[str, DataType, Any, Value | None]]:
    """Name, type, content and current value of each member or parameter."""
    for entry in _list(told, key, field) if key in told else ():
        member = _object(entry, f"{field}.{key}", "name", "type", "value")
        name = _text(member.get("name"), f"{field}.{key}.name")
        datatype, before = known.get(name, (None, None))
        if "type" in member or datatype is None:
            datatype = _datatype(member.get("type"), f"{field}.{name}.type")
        yield name, datatype, member.get("value"), before


def _object(value: Any, field: str, *members: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not value.keys() <= set(members):
        raise InvalidValueError(field, value, f"an object of {', '.join(members)}")
    return value


def _list(value: dict[str, Any], key: str, field: str) -> list[Any]:
    found = value.get(key)
    if not isinstance(found, list):
        raise InvalidValueError(f"{field}.{key}", found, "a list")
    return found


def _text(value: Any, field: str) -> str:
    encode_value(DataType.STRING, value, field)
    return str(value)


def _datatype(label: Any, field: str) -> DataType:
    for datatype in DataType:
        if datatype.label == label and datatype is not DataType.UNKNOWN:
            return datatype
    raise InvalidValueError(field, label, "a datatype, such as Int32 or String")


def fault_to_json(fault: str | None) -> dict[str, str]:
    """The members that tell why a value is null; none without a fault."""
    return {} if fault is None else {"quality": "bad", "reason": fault}


def _template(template: Template) -> dict[str, Any]:
    return {
        "ref": template.ref,
        "version": template.version,
        "is_definition": template.is_definition,
        "metrics": [
            {
                "name": member.name,
                "type": None if member.datatype is None else member.datatype.label,
                "value": value_to_json(member.value),
                **fault_to_json(member.fault),
            }
            for member in template.metrics
        ],
        "parameters": [
            {
                "name": entry.name,
                "type": entry.datatype.label,
                "value": value_to_json(entry.value),
                **fault_to_json(entry.fault),
            }
            for entry in template.parameters
        ],
    }
