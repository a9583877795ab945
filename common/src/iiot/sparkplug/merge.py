"""Template instances that arrive in parts (specification 3.0, section 6.4.15).

An instance in a birth is complete; in data it may hold only the members that changed, without their
datatypes.
"""

from __future__ import annotations

from dataclasses import replace

from iiot.errors import DecodeError
from iiot.sparkplug.payload import Metric, Template

_DEEPEST = 16


def merge_template(known: Template, part: Template, depth: int = 0) -> Template:
    """Return `known` with the members and parameters of `part` in place of its own.

    Members keep their order, and the datatype that the birth gave them.

    Raises:
        DecodeError: a member is unknown, of another datatype, or nested too deep.
    """
    if depth > _DEEPEST:
        raise DecodeError("templates are nested too deep")
    members = {member.name: member for member in known.metrics}
    aliases = {member.alias: member.name for member in known.metrics if member.alias is not None}
    for member in part.metrics:
        name = aliases.get(member.alias or 0) if member.name is None else member.name
        current = members.get(name)
        if current is None or current.name is None:
            raise DecodeError(
                f"template member {member.name or f'alias {member.alias}'} was not in the birth"
            )
        members[current.name] = _merge_member(current, member, depth)
    parameters = {parameter.name: parameter for parameter in known.parameters}
    parameters |= {parameter.name: parameter for parameter in part.parameters}
    return replace(known, metrics=list(members.values()), parameters=list(parameters.values()))


def _merge_member(known: Metric, new: Metric, depth: int) -> Metric:
    merged = replace(new, alias=known.alias if new.alias is None else new.alias)
    if known.datatype is not None and known.name is not None:
        merged.resolve(known.name, known.datatype)
    if isinstance(known.value, Template) and isinstance(merged.value, Template):
        merged.value = merge_template(known.value, merged.value, depth + 1)
    if merged.properties is None:
        merged.properties = known.properties
    return merged
