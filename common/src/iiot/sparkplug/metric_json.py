"""Sparkplug values as JSON, and back."""

import base64
import binascii
from typing import Any

from iiot.errors import InvalidValueError
from iiot.sparkplug.composite import DataSet, MetaData, PropertySet
from iiot.sparkplug.datatypes import DataType, encode_value
from iiot.sparkplug.payload import Template, Value

_BINARY = (DataType.BYTES, DataType.FILE)


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


def value_from_json(datatype: DataType, value: Any, field: str = "value") -> Value | None:
    """Read a value of a plain datatype; base64 stands for bytes, null for null.

    Raises:
        InvalidValueError: the datatype cannot hold the value, or is a DataSet or a Template.
    """
    if value is None:
        return None
    if datatype in _BINARY:
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise InvalidValueError(field, value, "base64 text") from None
    typed = tuple(value) if isinstance(value, list) else value
    encode_value(datatype, typed, field)
    plain: Value = typed
    return plain


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
            }
            for member in template.metrics
        ],
        "parameters": [
            {"name": entry.name, "type": entry.datatype.label, "value": value_to_json(entry.value)}
            for entry in template.parameters
        ],
    }
