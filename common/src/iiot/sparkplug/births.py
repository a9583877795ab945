"""What births say about names, aliases and datatypes, for readers that keep no values.

DATA and CMD messages leave datatypes out and may replace names by aliases; only the births of the
same edge node tell what is meant (specification 3.0, sections 6.4.6 and 6.4.7).
"""

from dataclasses import dataclass, field
from sys import intern
from typing import NamedTuple

from iiot.errors import DecodeError
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, Template
from iiot.sparkplug.topic import MessageType, Topic

_DEEPEST = 16


class Definition(NamedTuple):
    """Name and datatype of a metric; `members` of a template instance."""

    name: str
    datatype: DataType
    members: tuple["Definition", ...] = ()


@dataclass(slots=True)
class Known:
    """What the birth of an edge node or device said, by name and by alias."""

    by_name: dict[str, Definition] = field(default_factory=dict)
    by_alias: dict[int, Definition] = field(default_factory=dict)


class BirthCatalog:
    """Definitions of every edge node and device whose birth was seen."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[str, str], dict[str | None, Known]] = {}
        self._shared: dict[Definition, Definition] = {}

    def learn(self, topic: Topic, payload: Payload) -> None:
        """Take in a birth; other messages change nothing.

        An NBIRTH replaces all that was known of the edge node, its devices included.
        """
        if topic.message_type is MessageType.NBIRTH:
            units = self._nodes[topic.group, topic.edge_node] = {}
        elif topic.message_type is MessageType.DBIRTH:
            units = self._nodes.setdefault((topic.group, topic.edge_node), {})
        else:
            return
        unit = units[topic.device] = Known()
        for metric in payload.metrics:
            if metric.name is None or metric.datatype is None:
                continue
            definition = Definition(intern(metric.name), metric.datatype, _members(metric))
            definition = self._shared.setdefault(definition, definition)
            unit.by_name[definition.name] = definition
            if metric.alias is not None:
                unit.by_alias[metric.alias] = definition

    def known(self, topic: Topic) -> Known:
        """What the latest birth of the topic's node or device said; nothing if none was seen."""
        return self._nodes.get((topic.group, topic.edge_node), {}).get(topic.device) or Known()

    def resolve(self, topic: Topic, payload: Payload) -> list[str]:
        """Complete names, datatypes and values of the payload's metrics, in place.

        Returns:
            One line for each metric that stays incomplete: no birth told of it, or its value does
            not fit the birth's datatype.
        """
        unit = self.known(topic)
        problems = []
        for metric in payload.metrics:
            if metric.name is not None:
                definition = unit.by_name.get(metric.name)
            else:
                definition = unit.by_alias.get(-1 if metric.alias is None else metric.alias)
            if definition is None:
                if metric.name is None or metric.datatype is None:
                    problems.append(f"{metric.name or f'alias {metric.alias}'}: not in a birth")
                continue
            try:
                _complete(metric, definition)
            except DecodeError as exc:
                problems.append(f"{definition.name}: {exc}")
        return problems


def _members(metric: Metric, depth: int = 0) -> tuple[Definition, ...]:
    if not isinstance(metric.value, Template) or depth > _DEEPEST:
        return ()
    return tuple(
        Definition(intern(member.name), member.datatype, _members(member, depth + 1))
        for member in metric.value.metrics
        if member.name is not None and member.datatype is not None
    )


def _complete(metric: Metric, definition: Definition) -> None:
    """Give a metric, and the members of a template instance, what the birth said.

    Raises:
        DecodeError: a value does not fit its datatype.
    """
    metric.resolve(definition.name, definition.datatype)
    if isinstance(metric.value, Template):
        known = {member.name: member for member in definition.members}
        for member in metric.value.metrics:
            if member.name in known:
                _complete(member, known[member.name])
