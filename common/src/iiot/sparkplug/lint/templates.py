"""Judges Templates by themselves; `definitions` judges them by the NBIRTH."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iiot.budgets import COMPOSITE_NESTING
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.lint.content import (
    BASIC,
    Note,
    brief,
    check_dataset,
    check_properties,
    check_value,
    datatype_of,
    is_not_utf8,
    twice,
)
from iiot.sparkplug.lint.values import fault_of
from iiot.sparkplug.topic import BIRTHS

if TYPE_CHECKING:
    from iiot._pb.sparkplug_b_pb2 import Payload as Pb
    from iiot.sparkplug.topic import MessageType


def check_template(verb: MessageType, template: Pb.Template, where: str, note: Note, depth: int = 0) -> None:
    """Judge a Template by itself; what its definition says is for the session to judge."""
    if depth >= COMPOSITE_NESTING:
        note("payload-over-budget", f"more than {COMPOSITE_NESTING} Templates in each other", verb)
        return
    if not template.HasField("is_definition"):
        note("template-kind-missing", where)
    elif template.is_definition and template.HasField("template_ref"):
        note(
            "template-definition-ref",
            f"{where}: a definition with template_ref {brief(template.template_ref)}",
        )
    if not template.is_definition and not template.template_ref:
        note("template-instance-ref", f"{where}: neither a definition nor an instance of one")
    for name in ("version", "template_ref"):
        if is_not_utf8(getattr(template, name)):
            note("text-not-utf8", f"{where}: {name}", "version" if name == "version" else "ref")
    _check_names(template, where, note)
    for parameter in template.parameters:
        _check_parameter(parameter, where, verb in BIRTHS, note)
    for member in template.metrics:
        _check_member(verb, member, f"{where}/{brief(member.name)}", note, depth)
        if template.is_definition and not member.HasField("datatype"):
            note("datatype-missing", f"{where}/{brief(member.name)}", verb)


def _check_names(template: Pb.Template, where: str, note: Note) -> None:
    for what, entries in (("member", template.metrics), ("parameter", template.parameters)):
        for name in twice(entry.name for entry in entries):
            note("template-name-twice", f"{where}: {what} {brief(name)}")


def _check_member(verb: MessageType, member: Pb.Metric, where: str, note: Note, depth: int) -> None:
    if is_not_utf8(member.name):
        note("text-not-utf8", where, "name")
    elif not member.name and not member.HasField("alias"):
        note("metric-name-missing", f"{where}: a member", verb)
    datatype = datatype_of(member.datatype)
    if datatype is not None:
        check_value(verb, datatype, member, where, note)
    elif member.HasField("datatype"):
        note("datatype-invalid", f"{where}: datatype {member.datatype}")
    if member.is_null and member.WhichOneof("value"):
        note("null-with-value", where, verb)
    if member.HasField("properties"):
        check_properties(member.properties, where, verb in BIRTHS, note)
    if member.HasField("dataset_value"):
        check_dataset(member.dataset_value, where, note)
    elif member.HasField("template_value"):
        check_template(verb, member.template_value, where, note, depth + 1)


def _check_parameter(parameter: Pb.Template.Parameter, where: str, in_birth: bool, note: Note) -> None:
    if not parameter.name:
        note("template-parameter-name", where)
    elif is_not_utf8(parameter.name):
        note("text-not-utf8", f"{where}: a parameter's name", "parameter")
    at = f"{where}: parameter {brief(parameter.name)}"
    if not parameter.HasField("type"):
        if in_birth:
            note("template-parameter-type-missing", at)
    elif parameter.type not in BASIC:
        note("template-parameter-type-invalid", f"{at} has type {parameter.type}")
    else:
        check_parameter_value(parameter, DataType(parameter.type), at, note)


def check_parameter_value(parameter: Pb.Template.Parameter, datatype: DataType, at: str, note: Note) -> None:
    """Judge the value of a parameter, if it has one, by its type."""
    carrier = parameter.WhichOneof("value")
    if carrier and (fault := fault_of(datatype, carrier, getattr(parameter, carrier))):
        note("template-parameter-value", f"{at} is {fault.detail}")
