"""Judges template instances by the definitions of the NBIRTH."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from iiot.budgets import COMPOSITE_NESTING
from iiot.sparkplug.lint.content import Note, brief, check_value, contradicts, datatype_of, label
from iiot.sparkplug.lint.templates import check_parameter_value
from iiot.sparkplug.topic import BIRTHS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from iiot._pb.sparkplug_b_pb2 import Payload as Pb
    from iiot.sparkplug.datatypes import DataType
    from iiot.sparkplug.topic import MessageType

_TYPES_FOLDER: Final = "_types_/"
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Definition:
    """Datatypes of what a template definition has, by name; None where it says none that is valid."""

    members: dict[str, DataType | None]
    parameters: dict[str, DataType | None]


def definitions_of(payload: Pb) -> dict[str, Definition]:
    """The template definitions in an NBIRTH; under their folder's name and without it."""
    found = {}
    for metric in payload.metrics:
        if metric.HasField("template_value") and metric.template_value.is_definition:
            template = metric.template_value
            found[metric.name] = definition = Definition(
                {member.name: datatype_of(member.datatype) for member in template.metrics},
                {parameter.name: datatype_of(parameter.type) for parameter in template.parameters},
            )
            if isinstance(metric.name, str):
                found[metric.name.removeprefix(_TYPES_FOLDER)] = definition
    return found


def check_instances(
    verb: MessageType, payload: Pb, definitions: Mapping[str, Definition], note: Note
) -> None:
    """Judge template instances by their definitions."""
    for metric in payload.metrics:
        if metric.HasField("template_value") and not metric.template_value.is_definition:
            _check_instance(verb, metric.template_value, label(metric), definitions, note)


def _check_instance(
    verb: MessageType,
    template: Pb.Template,
    where: str,
    definitions: Mapping[str, Definition],
    note: Note,
    depth: int = 0,
) -> None:
    definition = definitions.get(template.template_ref)
    if definition is None:
        if template.template_ref:
            note("template-undefined", f"{where}: {brief(template.template_ref)}")
        return
    members = {member.name for member in template.metrics if member.name}
    if beyond := members - definition.members.keys():
        note("template-member-unknown", f"{where}: {_some(beyond)}")
    if verb in BIRTHS and (left_out := definition.members.keys() - members):
        note("template-member-missing", f"{where}: {_some(left_out)}")
    if beyond := {parameter.name for parameter in template.parameters} - definition.parameters.keys():
        note("template-parameter-unknown", f"{where}: {_some(beyond)}")
    _check_types(verb, template, where, definition, note)
    for member in template.metrics:
        if depth < COMPOSITE_NESTING and member.HasField("template_value"):
            nested = f"{where}/{brief(member.name)}"
            _check_instance(verb, member.template_value, nested, definitions, note, depth + 1)


def _check_types(
    verb: MessageType, template: Pb.Template, where: str, definition: Definition, note: Note
) -> None:
    """Judge datatypes that are said by the definition's, and values by it where none is said."""
    for member in template.metrics:
        at, datatype = f"{where}/{brief(member.name)}", definition.members.get(member.name)
        if datatype and not contradicts(verb, member.datatype, datatype, at, note) and not member.datatype:
            check_value(verb, datatype, member, at, note)
    for entry in template.parameters:
        at, datatype = f"{where}: parameter {brief(entry.name)}", definition.parameters.get(entry.name)
        if datatype and not contradicts(verb, entry.type, datatype, at, note) and not entry.type:
            check_parameter_value(entry, datatype, at, note)


def _some(names: Iterable[str | bytes]) -> list[str]:
    """The first of many names in order; those that are not UTF-8 are bytes."""
    return sorted(map(str, names))[:_SHOWN]
