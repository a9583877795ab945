"""Values made of parts: DataSet, PropertySet, MetaData (specification 3.0, sections 6.4.8 to 6.4.14)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from iiot.budgets import COMPOSITE_NESTING, BudgetError
from iiot.errors import DecodeError, InvalidValueError
from iiot.sparkplug.datatypes import (
    CARRIERS,
    DataType,
    ScalarValue,
    brief,
    datatype_of,
    decode_value,
    encode_value,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iiot._pb.sparkplug_b_pb2 import Payload as _Pb


@dataclass(slots=True)
class DataSet:
    """A table. `types` are plain datatypes (1 to 15); a cell is None when its value is absent."""

    columns: list[str]
    types: list[DataType]
    rows: list[tuple[ScalarValue | None, ...]] = field(default_factory=list)


@dataclass(slots=True)
class Property:
    """One value of a property set; `value` None is an explicit null."""

    datatype: DataType
    value: ScalarValue | PropertySet | list[PropertySet] | None


PropertySet: TypeAlias = dict[str, Property]
"""Properties of a metric by key, such as `Quality` or `engUnit`."""


@dataclass(slots=True)
class MetaData:
    """What the value of a metric is when it is a file, a part of one, or other opaque content."""

    is_multi_part: bool | None = None
    content_type: str | None = None
    size: int | None = None
    seq: int | None = None
    file_name: str | None = None
    file_type: str | None = None
    md5: str | None = None
    description: str | None = None


QUALITY: Final = "Quality"
"""The property that says how far a value can be trusted (§6.4.14)."""
_KEY_SHOWN: Final = 60
_QUALITY_TYPE: Final = DataType.INT32
_SETS: Final = ("propertyset_value", "propertysets_value")
_TYPE_BY_CARRIER: Final = {
    "string_value": DataType.STRING,
    "boolean_value": DataType.BOOLEAN,
    "float_value": DataType.FLOAT,
    "double_value": DataType.DOUBLE,
    "propertyset_value": DataType.PROPERTY_SET,
    "propertysets_value": DataType.PROPERTY_SET_LIST,
}
_METADATA_FIELDS = tuple(entry.name for entry in fields(MetaData))


def text(raw: str | bytes) -> str:
    """Return a protobuf string; protobuf hands out bytes where the text is not valid UTF-8.

    Raises:
        DecodeError: not valid UTF-8.
    """
    if isinstance(raw, bytes):
        raise DecodeError(f"text {brief(raw)} is not valid UTF-8")
    return raw


def encode_dataset(dataset: DataSet, into: _Pb.DataSet, name: str = "value") -> None:
    """Write a DataSet into its protobuf message.

    Raises:
        InvalidValueError: a row has the wrong length, or a cell does not fit its column.
    """
    if len(dataset.types) != len(dataset.columns):
        raise InvalidValueError(name, dataset.types, f"{len(dataset.columns)} types, one per column")
    into.num_of_columns = len(dataset.columns)
    into.columns.extend(dataset.columns)
    into.types.extend(dataset.types)
    for values in dataset.rows:
        if len(values) != len(dataset.columns):
            raise InvalidValueError(name, values, f"rows of {len(dataset.columns)} cells")
        row = into.rows.add()
        for column, datatype, value in zip(dataset.columns, dataset.types, values, strict=True):
            element = row.elements.add()
            if value is not None:
                setattr(element, CARRIERS[datatype], encode_value(datatype, value, f"{name}.{column}"))


def decode_dataset(message: _Pb.DataSet) -> DataSet:
    """Read a DataSet.

    Raises:
        DecodeError: columns, types and cells do not agree, or a cell does not fit its type.
    """
    columns = [text(column) for column in message.columns]
    types = [datatype_of(code) for code in message.types]
    if len(types) != len(columns):
        raise DecodeError(f"DataSet: {len(columns)} columns, {len(types)} types")
    dataset = DataSet(columns, types)
    for row in message.rows:
        if len(row.elements) != len(columns):
            raise DecodeError(f"DataSet: a row of {len(row.elements)} cells, {len(columns)} columns")
        dataset.rows.append(
            tuple(
                None if (carrier := element.WhichOneof("value")) is None
                else decode_value(datatype, getattr(element, carrier))
                for datatype, element in zip(types, row.elements, strict=True)
            )
        )  # fmt: skip
    return dataset


def encode_properties(properties: PropertySet, into: _Pb.PropertySet) -> None:
    """Write a property set into its protobuf message.

    Raises:
        InvalidValueError: a value does not fit its datatype.
    """
    into.SetInParent()
    for key, entry in properties.items():
        into.keys.append(key)
        message = into.values.add(type=entry.datatype)
        value = entry.value
        if value is None:
            message.is_null = True
        elif isinstance(value, dict):
            encode_properties(value, message.propertyset_value)
        elif isinstance(value, list):
            message.propertysets_value.SetInParent()
            for member in value:
                encode_properties(member, message.propertysets_value.propertyset.add())
        else:
            setattr(message, CARRIERS[entry.datatype], encode_value(entry.datatype, value, key))


def decode_properties(
    message: _Pb.PropertySet, faults: dict[str, str], deepest: int = COMPOSITE_NESTING, path: str = ""
) -> PropertySet:
    """Read a property set; a property that cannot be read is left out.

    A property without a type, as DATA messages may have it, has that of its carrier, or `UNKNOWN` and
    the carrier's number until `complete_properties` knows better.

    Args:
        message: the property set.
        faults: takes the reason for each property left out, by its key.
        deepest: how many levels there may be.
        path: the keys that lead here.

    Raises:
        BudgetError: sets in sets beyond `deepest`.
    """
    if deepest < 1:
        raise BudgetError("nested levels", COMPOSITE_NESTING, "property set")
    keys, values = message.keys, message.values
    if len(keys) != len(values):
        reason = f"{len(keys)} keys, {len(values)} values, allowed: as many values as keys"
        faults[path] = reason
        if QUALITY in keys:
            faults[path + QUALITY] = reason
        return {}
    found: PropertySet = {}
    for key, value in zip(keys, values, strict=True):
        try:
            found[text(key)] = _decode_property(text(key), value, faults, deepest, path)
        except BudgetError:
            raise
        except DecodeError as exc:
            faults[path + _short(key)] = str(exc)
    return found


def _decode_property(
    key: str, message: _Pb.PropertyValue, faults: dict[str, str], deepest: int, path: str
) -> Property:
    carrier = message.WhichOneof("value")
    if message.type:
        datatype = datatype_of(message.type)
    else:
        datatype = _QUALITY_TYPE if key == QUALITY else type_of_carrier(carrier)
    if carrier is None or message.is_null:
        return Property(datatype, None)
    if carrier in _SETS:
        if CARRIERS[datatype] != carrier:
            raise DecodeError(f"a {datatype.label} is no property set")
        inner = f"{path}{_short(key)}."
        if carrier == "propertyset_value":
            return Property(
                datatype, decode_properties(message.propertyset_value, faults, deepest - 1, inner)
            )
        members = message.propertysets_value.propertyset
        return Property(datatype, [decode_properties(entry, faults, deepest - 1, inner) for entry in members])
    raw = getattr(message, carrier)
    return Property(datatype, raw if datatype is DataType.UNKNOWN else decode_value(datatype, raw))


def type_of_carrier(carrier: str | None) -> DataType:
    """The datatype of a value that came without one; `UNKNOWN` for numbers that may have a sign."""
    return _TYPE_BY_CARRIER.get(carrier or "", DataType.UNKNOWN)


def _short(key: str | bytes) -> str:
    return key[:_KEY_SHOWN] if isinstance(key, str) else brief(key)


def complete_properties(sent: PropertySet, known: Mapping[str, Property]) -> dict[str, str]:
    """Give properties that came without a type that of the birth, in place.

    Returns:
        The reason for each property whose value does not fit, by its key; it is left out of `sent`.
    """
    faults = {}
    for key in [key for key, entry in sent.items() if entry.datatype is DataType.UNKNOWN and key in known]:
        datatype, raw = known[key].datatype, sent[key].value
        try:
            sent[key] = Property(datatype, None if raw is None else decode_value(datatype, raw))
        except DecodeError as exc:
            del sent[key]
            faults[_short(key)] = str(exc)
    return faults


def merge_properties(known: PropertySet | None, sent: PropertySet | None) -> PropertySet | None:
    """The properties of the birth, with those of a message in their place.

    Quality counts only where the message says it, for it is required only when it is not good (§6.4.14).
    """
    if not known or (sent is None and QUALITY not in known):
        return known if sent is None else sent
    return {key: entry for key, entry in known.items() if key != QUALITY} | (sent or {})


def encode_metadata(metadata: MetaData, into: _Pb.MetaData) -> None:
    """Write the fields that are set into the protobuf message."""
    into.SetInParent()
    for name in _METADATA_FIELDS:
        if (value := getattr(metadata, name)) is not None:
            setattr(into, name, value)


def decode_metadata(message: _Pb.MetaData) -> MetaData:
    """Read a metric's metadata; bytes of a text that are not valid UTF-8 are escaped."""
    present: dict[str, Any] = {
        name: raw.decode(errors="backslashreplace")
        if isinstance(raw := getattr(message, name), bytes)
        else raw
        for name in _METADATA_FIELDS
        if message.HasField(name)
    }
    return MetaData(**present)
