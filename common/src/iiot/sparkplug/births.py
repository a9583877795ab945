"""What births say about names, aliases and datatypes, for readers that keep no values.

DATA and CMD messages leave datatypes out and may replace names by aliases; only the births of the
same edge node tell what is meant (specification 3.0, sections 6.4.6 and 6.4.7).
"""

from dataclasses import dataclass, field
from sys import getsizeof, intern
from typing import Final, NamedTuple

from iiot.budgets import BIRTHS_BYTES, BudgetError
from iiot.sparkplug.composite import Property
from iiot.sparkplug.datatypes import CARRIERS, DataType, EntryMeter, brief
from iiot.sparkplug.payload import Metric, Payload, Template, complete_parameter
from iiot.sparkplug.topic import BIRTHS, MessageType, Topic
from iiot.sparkplug.wire import DEFAULT_BUDGET, PayloadBudget

_AMBIGUOUS: Final = ("int_value", "long_value")
_NAME_SHOWN: Final = 60
_UNIT_BYTES: Final = 1_000
_DEFINITION_BYTES: Final = 320
_ENTRY_BYTES: Final = 100


class Definition(NamedTuple):
    """Name and datatype of a metric; of a template instance the members, and the parameters' types.

    Of properties it has the types that a message without them does not tell.
    """

    name: str
    datatype: DataType
    members: tuple["Definition", ...] = ()
    properties: tuple[tuple[str, DataType], ...] = ()
    parameters: tuple[tuple[str, DataType], ...] = ()


@dataclass(slots=True)
class Known:
    """What the birth of an edge node or device said, by name and by alias.

    Attributes:
        longest: characters of the longest name.
        size: bytes that it takes, about.
    """

    by_name: dict[str, Definition] = field(default_factory=dict)
    by_alias: dict[int, Definition] = field(default_factory=dict)
    longest: int = 0
    size: int = 0


_NEVER_EMPTY: Final = (*BIRTHS, MessageType.NDEATH)


def is_removal(topic: Topic, payload: Payload) -> bool:
    """Whether a birth or NDEATH is empty, which is how a retained message is removed from a broker.

    An empty DDEATH counts: peers send it without seq, time and metrics.
    """
    is_empty = not payload.metrics and payload.seq is None and payload.timestamp is None
    return is_empty and topic.message_type in _NEVER_EMPTY


def birth_fault(topic: Topic, payload: Payload) -> str | None:
    """Why a payload on the topic of a birth is none, so that nobody was born; None if it is one.

    Whatever else a birth lacks, host applications note and understand.
    """
    if is_removal(topic, payload):
        return "empty, which removes a retained message and is no birth"
    if not payload.metrics and topic.message_type is MessageType.NBIRTH:
        return "metrics: none, allowed: all of the edge node, with bdSeq"
    if payload.metrics and not any(metric.name and metric.datatype is not None for metric in payload.metrics):
        return f"metrics: {len(payload.metrics)} without name and datatype, allowed: metrics with both"
    return None


class _Shared:
    """The one object of all equal definitions, and how many units use it."""

    __slots__ = ("definition", "users")

    def __init__(self, definition: Definition) -> None:
        self.definition, self.users = definition, 0


class BirthCatalog:
    """Definitions of every edge node and device whose birth was seen.

    Args:
        limit: bytes of the births of one edge node id, in all groups together.
    """

    def __init__(self, limit: int = BIRTHS_BYTES) -> None:
        self._nodes: dict[tuple[str, str], dict[str | None, Known]] = {}
        self._shared: dict[Definition, _Shared] = {}
        self._limit = limit
        self._sizes: dict[str, int] = {}

    def learn(self, topic: Topic, payload: Payload, size: int = 0) -> bool:
        """Take in a birth; other messages change nothing, nor does one with a `birth_fault`.

        An NBIRTH replaces all that was known of the edge node, its devices included.

        Args:
            topic: of the message.
            payload: what it holds.
            size: bytes that the caller keeps of it.

        Returns:
            Whether it was a birth.

        Raises:
            BudgetError: the edge node's births would be larger than the limit; the unit is unknown then.
        """
        if topic.message_type not in BIRTHS or birth_fault(topic, payload) is not None:
            return False
        self._forget(topic)
        unit = Known(size=size)
        for metric in payload.metrics:
            if metric.name is None or metric.datatype is None:
                continue
            definition = _definition(metric.name, metric.datatype, metric)
            unit.by_name[definition.name] = definition
            unit.longest = max(unit.longest, len(definition.name))
            if metric.alias is not None:
                unit.by_alias[metric.alias] = definition
        unit.size += _UNIT_BYTES + sum(map(_size, unit.by_name.values()))
        self._keep(topic, unit)
        return True

    def _keep(self, topic: Topic, unit: Known) -> None:
        size = self._sizes.get(topic.edge_node, 0) + unit.size
        if size > self._limit:
            raise BudgetError("bytes", self._limit, f"births of edge node {brief(topic.edge_node)}")
        self._sizes[topic.edge_node] = size
        self._nodes.setdefault((topic.group, topic.edge_node), {})[topic.device] = unit
        for name, definition in unit.by_name.items():
            shared = self._shared.setdefault(definition, _Shared(definition))
            shared.users += 1
            unit.by_name[name] = shared.definition
        for alias, definition in unit.by_alias.items():
            if definition in self._shared:
                unit.by_alias[alias] = self._shared[definition].definition

    def _forget(self, topic: Topic) -> None:
        """Forget the unit of a birth; with an edge node's own go those of its devices."""
        key = (topic.group, topic.edge_node)
        units = self._nodes.get(key, {})
        for device in list(units) if topic.device is None else [topic.device] * (topic.device in units):
            unit = units.pop(device)
            self._sizes[topic.edge_node] -= unit.size
            for definition in unit.by_name.values():
                shared = self._shared[definition]
                shared.users -= 1
                if not shared.users:
                    del self._shared[definition]
        if not units:
            self._nodes.pop(key, None)
        if not self._sizes.get(topic.edge_node, 1):
            del self._sizes[topic.edge_node]

    def known(self, topic: Topic) -> Known:
        """What the latest birth of the topic's node or device said; nothing if none was seen."""
        return self._nodes.get((topic.group, topic.edge_node), {}).get(topic.device) or Known()

    def resolve(self, topic: Topic, payload: Payload, budget: PayloadBudget = DEFAULT_BUDGET) -> list[str]:
        """Complete names, datatypes and values of the payload's metrics, in place.

        A value that does not fit the birth's datatype becomes a `fault`.

        Returns:
            One line for each metric that stays without name or datatype, because no birth told of it.

        Raises:
            BudgetError: the arrays hold more than the budget.
        """
        unit, meter = self.known(topic), EntryMeter(budget.entries)
        problems = []
        for metric in payload.metrics:
            if metric.name is not None:
                definition = unit.by_name.get(metric.name)
            else:
                definition = unit.by_alias.get(-1 if metric.alias is None else metric.alias)
            if definition is not None:
                _complete(metric, definition, meter)
            elif metric.name is None or metric.datatype is None:
                problems.append(f"{(metric.name or f'alias {metric.alias}')[:_NAME_SHOWN]}: not in a birth")
        return problems


def _definition(name: str, datatype: DataType, metric: Metric) -> Definition:
    members: tuple[Definition, ...] = ()
    parameters: tuple[tuple[str, DataType], ...] = ()
    if isinstance(metric.value, Template):
        members = tuple(
            _definition(member.name, member.datatype, member)
            for member in metric.value.metrics
            if member.name is not None and member.datatype is not None
        )
        parameters = tuple((intern(entry.name), entry.datatype) for entry in metric.value.parameters)
    return Definition(intern(name), datatype, members, _properties(metric), parameters)


def _size(definition: Definition) -> int:
    """Bytes that a definition takes with the tables it is in, about."""
    keys = [key for key, _ in (*definition.properties, *definition.parameters)]
    own = _DEFINITION_BYTES + _ENTRY_BYTES * len(keys)
    texts = sum(getsizeof(text) for text in (definition.name, *keys))
    return own + texts + sum(map(_size, definition.members))


def _properties(metric: Metric) -> tuple[tuple[str, DataType], ...]:
    if not metric.properties:
        return ()
    types = ((intern(key), entry.datatype) for key, entry in metric.properties.items())
    return tuple((key, datatype) for key, datatype in types if CARRIERS[datatype] in _AMBIGUOUS)


def _complete(metric: Metric, definition: Definition, meter: EntryMeter) -> None:
    """Give a metric, and the members of a template instance, what the birth said."""
    properties = None
    if definition.properties and (sent := metric.properties):
        meter.compare(len(definition.properties))
        properties = {key: Property(datatype, None) for key, datatype in definition.properties if key in sent}
    metric.resolve(definition.name, definition.datatype, properties, meter)
    if not isinstance(metric.value, Template):
        return
    meter.compare(0, len(definition.members) + len(definition.parameters))
    known = {member.name: member for member in definition.members}
    for member in metric.value.metrics:
        if member.name in known:
            _complete(member, known[member.name], meter)
    types = dict(definition.parameters)
    metric.value.parameters = [
        complete_parameter(entry, types.get(entry.name, entry.datatype)) for entry in metric.value.parameters
    ]
