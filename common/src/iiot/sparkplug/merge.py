"""Template instances that arrive in parts (specification 3.0, section 6.4.15).

An instance in a birth is complete; in data it may hold only the members that changed, without their
datatypes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from iiot.errors import DecodeError
from iiot.sparkplug.composite import merge_properties
from iiot.sparkplug.datatypes import brief
from iiot.sparkplug.payload import Metric, Template, complete_parameter

if TYPE_CHECKING:
    from iiot.sparkplug.datatypes import EntryMeter


def merge_template(known: Template, part: Template, meter: EntryMeter | None = None) -> Template:
    """Return `known` with the members and parameters of `part` in place of its own.

    Members and parameters keep their order, and the datatype that the birth gave them. One whose value does
    not fit has a `fault`.

    Raises:
        BudgetError: the arrays hold more than `meter` allows, or there are more comparisons.
        DecodeError: a member or parameter was not in the birth.
    """
    if meter is not None:
        meter.compare(0, len(known.metrics) + len(known.parameters))
    members = {member.name: member for member in known.metrics}
    aliases = {member.alias: member.name for member in known.metrics if member.alias is not None}
    for member in part.metrics:
        name = (
            aliases.get(-1 if member.alias is None else member.alias) if member.name is None else member.name
        )
        current = members.get(name)
        if current is None or current.name is None:
            raise DecodeError(
                f"template member {brief(member.name or f'alias {member.alias}')}: was not in the birth"
            )
        members[current.name] = _merge_member(current, member, meter)
    parameters = {parameter.name: parameter for parameter in known.parameters}
    for parameter in part.parameters:
        if parameter.name not in parameters:
            raise DecodeError(f"template parameter {brief(parameter.name)}: was not in the birth")
        datatype = parameters[parameter.name].datatype
        parameters[parameter.name] = complete_parameter(parameter, datatype)
    return replace(known, metrics=list(members.values()), parameters=list(parameters.values()))


def _merge_member(known: Metric, new: Metric, meter: EntryMeter | None) -> Metric:
    merged = replace(new, alias=known.alias if new.alias is None else new.alias)
    if known.datatype is not None and known.name is not None:
        merged.resolve(known.name, known.datatype, known.properties, meter)
    if isinstance(known.value, Template) and isinstance(merged.value, Template):
        merged.value = merge_template(known.value, merged.value, meter)
    merged.properties = merge_properties(known.properties, merged.properties)
    return merged
