"""Values made of parts: DataSet, PropertySet, MetaData (specification 3.0, sections 6.4.8 to 6.4.14)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from iiot.errors import DecodeError, InvalidValueError
from iiot.sparkplug.datatypes import CARRIERS, DataType, ScalarValue, datatype_of, decode_value, encode_value

if TYPE_CHECKING:
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


_METADATA_FIELDS = tuple(entry.name for entry in fields(MetaData))


def text(raw: str | bytes) -> str:
    """Return a protobuf string; protobuf hands out bytes where the text is not valid UTF-8.

    Raises:
        DecodeError: not valid UTF-8.
    """
    if isinstance(raw, bytes):
        raise DecodeError(f"text is not valid UTF-8: {raw!r:.80}")
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


def decode_properties(message: _Pb.PropertySet) -> PropertySet:
    """Read a property set.

    Raises:
        DecodeError: keys and values do not pair up, or a value does not fit its type.
    """
    if len(message.keys) != len(message.values):
        raise DecodeError(f"property set: {len(message.keys)} keys, {len(message.values)} values")
    pairs = zip(message.keys, message.values, strict=True)
    return {text(key): _decode_property(value) for key, value in pairs}


def _decode_property(message: _Pb.PropertyValue) -> Property:
    datatype = datatype_of(message.type)
    carrier = message.WhichOneof("value")
    if carrier is None or message.is_null:
        return Property(datatype, None)
    if carrier == "propertyset_value":
        return Property(datatype, decode_properties(message.propertyset_value))
    if carrier == "propertysets_value":
        return Property(
            datatype, [decode_properties(entry) for entry in message.propertysets_value.propertyset]
        )
    return Property(datatype, decode_value(datatype, getattr(message, carrier)))


def encode_metadata(metadata: MetaData, into: _Pb.MetaData) -> None:
    """Write the fields that are set into the protobuf message."""
    into.SetInParent()
    for name in _METADATA_FIELDS:
        if (value := getattr(metadata, name)) is not None:
            setattr(into, name, value)


def decode_metadata(message: _Pb.MetaData) -> MetaData:
    """Read a metric's metadata.

    Raises:
        DecodeError: a text is not valid UTF-8.
    """
    present: dict[str, Any] = {
        name: text(raw) if isinstance(raw := getattr(message, name), bytes) else raw
        for name in _METADATA_FIELDS
        if message.HasField(name)
    }
    return MetaData(**present)
