"""Judges the value of a metric, and what is made of parts: property sets, DataSets."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from iiot.budgets import COMPOSITE_NESTING
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.lint.values import fault_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from iiot._pb.sparkplug_b_pb2 import Payload as Pb
    from iiot.sparkplug.topic import MessageType

BASIC: Final = frozenset(range(DataType.INT8, DataType.UUID + 1))
_PROPERTY_TYPES: Final = BASIC | {DataType.PROPERTY_SET, DataType.PROPERTY_SET_LIST}
_METRIC_TYPES: Final = frozenset(DataType) - {
    DataType.UNKNOWN,
    DataType.PROPERTY_SET,
    DataType.PROPERTY_SET_LIST,
}
_ALL_TYPES: Final = frozenset(DataType)
_LONGEST_NAME: Final = 80
_QUALITIES: Final = (0, 192, 500)


class Note(Protocol):
    """Takes a violation: rule, detail, variant."""

    def __call__(self, key: str, detail: str, variant: str = "") -> None:
        """Report that the rule `key` is broken."""


def brief(name: object) -> str:
    """A name in a detail: its beginning if it is long, for it may stand there once for each of many parts."""
    return repr(name[:_LONGEST_NAME] if isinstance(name, str | bytes) else name)


def label(metric: Pb.Metric) -> str:
    """How a metric is called in a detail."""
    if metric.name:
        return brief(metric.name)
    return f"alias {metric.alias}" if metric.HasField("alias") else "a metric without name and alias"


def check_value(verb: MessageType, datatype: DataType, metric: Pb.Metric, name: str, note: Note) -> None:
    """Judge the value of a metric, if it has one, by its datatype."""
    carrier = metric.WhichOneof("value")
    if carrier and (fault := fault_of(datatype, carrier, getattr(metric, carrier))):
        note(fault.key, f"{name}: {fault.detail}", verb)


def contradicts(verb: MessageType, code: int, announced: DataType, where: str, note: Note) -> bool:
    """Judge the datatype that a message says (0: none) by the one that the birth announced."""
    if code in (0, announced) or code not in _ALL_TYPES:
        return False  # codes that do not exist are judged where they stand
    note("datatype-not-of-birth", f"{where}: {DataType(code).label}, born as {announced.label}", verb)
    return True


def twice(names: Iterable[str]) -> list[str]:
    """The names that occur more than once; an empty one is none."""
    counts = Counter(name for name in names if name)
    return [name for name, count in counts.items() if count > 1]


def check_properties(
    properties: Pb.PropertySet, where: str, in_birth: bool, note: Note, depth: int = 0
) -> None:
    """Judge a property set of the metric `where`."""
    if depth >= COMPOSITE_NESTING:
        note("payload-over-budget", f"more than {COMPOSITE_NESTING} property sets in each other")
        return
    if len(properties.keys) != len(properties.values):
        note("properties-unpaired", f"{where}: {len(properties.keys)} keys, {len(properties.values)} values")
    for key in twice(properties.keys):
        note("property-key-twice", f"{where}: {brief(key)}")
    for key, entry in zip(properties.keys, properties.values, strict=False):
        at = f"{where}: property {brief(key)}"
        if is_not_utf8(key):
            note("text-not-utf8", at, "property")
        _check_type(entry, at, in_birth, note)
        if key == "Quality":
            _check_quality(entry, where, note)
        else:
            _check_property(entry, at, note)
        if entry.HasField("propertyset_value"):
            check_properties(entry.propertyset_value, where, in_birth, note, depth + 1)
        elif entry.HasField("propertysets_value"):
            for member in entry.propertysets_value.propertyset:
                check_properties(member, where, in_birth, note, depth + 1)


def _check_type(entry: Pb.PropertyValue, at: str, in_birth: bool, note: Note) -> None:
    if not entry.HasField("type"):
        if in_birth:
            note("property-type-missing", at)
    elif entry.type not in _PROPERTY_TYPES:
        note("property-type-invalid", f"{at} has type {entry.type}")


def property_types(properties: Pb.PropertySet) -> dict[str, DataType]:
    """The types that a birth says of a metric's properties, by key; unknown codes are left out."""
    pairs = zip(properties.keys, properties.values, strict=False)
    return {key: DataType(entry.type) for key, entry in pairs if entry.type in _PROPERTY_TYPES}


def check_properties_by_birth(
    verb: MessageType, properties: Pb.PropertySet, born: Mapping[str, DataType], where: str, note: Note
) -> None:
    """Judge types that are said by those of the birth; where none is said, the value by it."""
    for key, entry in zip(properties.keys, properties.values, strict=False):
        datatype, at = born.get(key), f"{where}: property {brief(key)}"
        if datatype is None or contradicts(verb, entry.type, datatype, at, note) or entry.type:
            continue
        carrier = entry.WhichOneof("value")
        if carrier and (fault := fault_of(datatype, carrier, getattr(entry, carrier))):
            note("property-value", f"{at}: {fault.detail}")


def _check_property(entry: Pb.PropertyValue, where: str, note: Note) -> None:
    carrier = entry.WhichOneof("value")
    if carrier is None or entry.is_null:
        if (carrier is None) != entry.is_null:
            note("property-value", f"{where}: " + ("no value" if carrier is None else "null, and a value"))
    elif entry.type in _PROPERTY_TYPES and (
        fault := fault_of(DataType(entry.type), carrier, getattr(entry, carrier))
    ):
        note("property-value", f"{where}: {fault.detail}")


def _check_quality(entry: Pb.PropertyValue, where: str, note: Note) -> None:
    if entry.HasField("type") and entry.type != DataType.INT32:
        note("quality-type", f"{where}: Quality has type {entry.type}")
    if not entry.HasField("int_value") or entry.int_value not in _QUALITIES:
        note("quality-value", f"{where}: Quality is {brief(_plain(entry))}")


def check_dataset(dataset: Pb.DataSet, where: str, note: Note) -> None:
    """Judge a DataSet."""
    columns, types = len(dataset.columns), len(dataset.types)
    if not dataset.HasField("num_of_columns") or dataset.num_of_columns != columns:
        note("dataset-column-count", f"{where}: num_of_columns {dataset.num_of_columns}, {columns} columns")
    if columns and not types:
        note("dataset-types-missing", f"{where}: no types")
    elif columns != types:
        note("dataset-types-unpaired", f"{where}: {columns} columns, {types} types")
    for code in set(dataset.types) - BASIC:
        note("dataset-type-invalid", f"{where}: type {code}")
    for column in twice(dataset.columns):
        note("dataset-column-twice", f"{where}: {brief(column)}")
    for column in filter(is_not_utf8, dataset.columns):
        note("text-not-utf8", f"{where}: column {brief(column)}", "column")
    _check_cells(dataset, where, note)


def _check_cells(dataset: Pb.DataSet, where: str, note: Note) -> None:
    """Judge the rows, up to the first that is wrong: one fault tends to be in all of them."""
    columns = len(dataset.columns)
    types = [DataType(code) if code in BASIC else None for code in dataset.types]
    for number, row in enumerate(dataset.rows):
        if len(row.elements) != columns:
            note("dataset-cell", f"{where}: a row of {len(row.elements)} cells, {columns} columns")
            return
        for cell, datatype in zip(row.elements, types, strict=False):
            carrier = cell.WhichOneof("value")
            if carrier == "extension_value":
                note("dataset-cell", f"{where}, row {number}: an extension")
                return
            if carrier and datatype and (fault := fault_of(datatype, carrier, getattr(cell, carrier))):
                note("dataset-cell-value", f"{where}, row {number}: {fault.detail}")
                return


def datatype_of(code: int) -> DataType | None:
    """The datatype with this code; None for codes that no metric may have."""
    return DataType(code) if code in _METRIC_TYPES else None


def is_not_utf8(text: object) -> bool:
    """Whether protobuf hands out bytes, for they are no valid text."""
    return isinstance(text, bytes)


def _plain(entry: Any) -> Any:
    carrier = entry.WhichOneof("value")
    return None if carrier is None else getattr(entry, carrier)
