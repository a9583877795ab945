"""Judges values that are made of parts: property sets, DataSets, Templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from iiot.sparkplug.datatypes import CARRIERS, DataType

if TYPE_CHECKING:
    from iiot._pb.sparkplug_b_pb2 import Payload as Pb

_BASIC: Final = frozenset(range(DataType.INT8, DataType.UUID + 1))
_PROPERTY_TYPES: Final = _BASIC | {DataType.PROPERTY_SET, DataType.PROPERTY_SET_LIST}
_METRIC_TYPES: Final = frozenset(DataType) - {
    DataType.UNKNOWN,
    DataType.PROPERTY_SET,
    DataType.PROPERTY_SET_LIST,
}
_QUALITIES: Final = (0, 192, 500)
_DEEPEST: Final = 8


class Note(Protocol):
    """Takes a violation: rule, detail, variant."""

    def __call__(self, key: str, detail: str, variant: str = "") -> None:
        """Report that the rule `key` is broken."""


def check_properties(
    properties: Pb.PropertySet, where: str, in_birth: bool, note: Note, depth: int = 0
) -> None:
    """Judge a property set of the metric `where`."""
    if len(properties.keys) != len(properties.values):
        note("properties-unpaired", f"{where}: {len(properties.keys)} keys, {len(properties.values)} values")
    for key, entry in zip(properties.keys, properties.values, strict=False):
        if not entry.HasField("type"):
            if in_birth:
                note("property-type-missing", f"{where}: property {key!r}")
        elif entry.type not in _PROPERTY_TYPES:
            note("property-type-invalid", f"{where}: property {key!r} has type {entry.type}")
        if key == "Quality":
            _check_quality(entry, where, note)
        if depth < _DEEPEST and entry.HasField("propertyset_value"):
            check_properties(entry.propertyset_value, where, in_birth, note, depth + 1)
        elif depth < _DEEPEST and entry.HasField("propertysets_value"):
            for member in entry.propertysets_value.propertyset:
                check_properties(member, where, in_birth, note, depth + 1)


def _check_quality(entry: Pb.PropertyValue, where: str, note: Note) -> None:
    if entry.HasField("type") and entry.type != DataType.INT32:
        note("quality-type", f"{where}: Quality has type {entry.type}")
    if not entry.HasField("int_value") or entry.int_value not in _QUALITIES:
        note("quality-value", f"{where}: Quality is {_plain(entry)!r}")


def check_dataset(dataset: Pb.DataSet, where: str, note: Note) -> None:
    """Judge a DataSet."""
    columns, types = len(dataset.columns), len(dataset.types)
    if not dataset.HasField("num_of_columns") or dataset.num_of_columns != columns:
        note("dataset-column-count", f"{where}: num_of_columns {dataset.num_of_columns}, {columns} columns")
    if columns and not types:
        note("dataset-types-missing", f"{where}: no types")
    elif columns != types:
        note("dataset-types-unpaired", f"{where}: {columns} columns, {types} types")
    for code in set(dataset.types) - _BASIC:
        note("dataset-type-invalid", f"{where}: type {code}")
    for row in dataset.rows:
        if len(row.elements) != columns or any(cell.HasField("extension_value") for cell in row.elements):
            note("dataset-cell", f"{where}: a row of {len(row.elements)} cells, {columns} columns")
            break


def check_template(template: Pb.Template, where: str, in_birth: bool, note: Note) -> None:
    """Judge a Template by itself; what its definition says is for the session to judge."""
    if not template.HasField("is_definition"):
        note("template-kind-missing", where)
    elif template.is_definition and template.HasField("template_ref"):
        note("template-definition-ref", f"{where}: a definition with template_ref {template.template_ref!r}")
    if not template.is_definition and not template.template_ref:
        note("template-instance-ref", f"{where}: neither a definition nor an instance of one")
    for name in ("version", "template_ref"):
        if is_not_utf8(getattr(template, name)):
            note("text-not-utf8", f"{where}: {name}", "version" if name == "version" else "ref")
    for parameter in template.parameters:
        _check_parameter(parameter, where, in_birth, note)


def _check_parameter(parameter: Pb.Template.Parameter, where: str, in_birth: bool, note: Note) -> None:
    if not parameter.name:
        note("template-parameter-name", where)
    elif is_not_utf8(parameter.name):
        note("text-not-utf8", f"{where}: a parameter's name", "parameter")
    at = f"{where}: parameter {parameter.name!r}"
    if not parameter.HasField("type"):
        if in_birth:
            note("template-parameter-type-missing", at)
    elif parameter.type not in _BASIC:
        note("template-parameter-type-invalid", f"{at} has type {parameter.type}")
    elif (carrier := parameter.WhichOneof("value")) and not fits(DataType(parameter.type), carrier):
        note("template-parameter-value", f"{at} is a {DataType(parameter.type).label} in {carrier}")


def datatype_of(code: int) -> DataType | None:
    """The datatype with this code; None for codes that no metric may have."""
    return DataType(code) if code in _METRIC_TYPES else None


def fits(datatype: DataType, carrier: str) -> bool:
    """Whether values of the datatype may travel in this field; the two integers are not told apart.

    Peers put UInt32 into the longer integer because their language has no unsigned one, and Booleans
    into integers; both are read without doubt.
    """
    own = CARRIERS[datatype]
    integers = ("int_value", "long_value")
    return carrier == own or (carrier in integers and own in (*integers, "boolean_value"))


def is_not_utf8(text: object) -> bool:
    """Whether protobuf hands out bytes, for they are no valid text."""
    return isinstance(text, bytes)


def _plain(entry: Any) -> Any:
    carrier = entry.WhichOneof("value")
    return None if carrier is None else getattr(entry, carrier)
