"""What the births said about an edge node itself or one of its devices, and data judged by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iiot.sparkplug.lint.content import datatype_of
from iiot.sparkplug.lint.metrics import check_carrier, label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iiot._pb.sparkplug_b_pb2 import Payload as Pb
    from iiot.sparkplug.datatypes import DataType
    from iiot.sparkplug.lint.content import Note
    from iiot.sparkplug.topic import MessageType

_DEEPEST = 8
_TURNS = 3
_TYPES_FOLDER = "_types_/"


@dataclass(slots=True)
class _Known:
    datatype: DataType | None
    alias: int | None
    value: Any


@dataclass(frozen=True, slots=True)
class Definition:
    """Names that a template definition has."""

    members: frozenset[str]
    parameters: frozenset[str]


class UnitWatch:
    """An edge node itself or one of its devices.

    Attributes:
        born: None while nothing is known.
        announced: its birth was seen in this session, so that its metrics are known.
    """

    __slots__ = ("_before", "_by_alias", "_metrics", "_turns", "announced", "born")

    def __init__(self, *, born: bool | None = None) -> None:
        self.born = born
        self.announced = False
        self._metrics: dict[str, _Known] = {}
        self._by_alias: dict[int, str] = {}
        self._before: frozenset[str] = frozenset()
        self._turns = 0

    def takes_turns(self, payload: Pb) -> bool:
        """Whether this birth goes back to the metrics of the one before the last, and not for the first time.

        One device whose metrics change goes on to new ones.
        """
        names = frozenset(metric.name for metric in payload.metrics)
        current = frozenset(self._metrics)
        if not (self.born and self.announced) or names == current:
            self._before, self._turns = frozenset(), 0
            return False
        self._turns = self._turns + 1 if names == self._before else 0
        self._before = current
        return self._turns >= _TURNS

    def learn(self, payload: Pb) -> None:
        """A birth was seen."""
        self.born = self.announced = True
        self._metrics, self._by_alias = {}, {}
        for metric in payload.metrics:
            alias = metric.alias if metric.HasField("alias") else None
            self._metrics[metric.name] = _Known(datatype_of(metric.datatype), alias, _signature(metric))
            if alias is not None:
                self._by_alias[alias] = metric.name

    def name_of(self, metric: Pb.Metric) -> str | None:
        """The metric's name as far as the birth tells; None when it does not know the metric."""
        alias = metric.alias if metric.HasField("alias") else -1
        name = metric.name or self._by_alias.get(alias)
        return name if name in self._metrics else None

    def datatype_of(self, name: str) -> DataType | None:
        """The datatype that the birth announced."""
        return self._metrics[name].datatype

    def check_data(self, verb: MessageType, payload: Pb, note: Note) -> None:
        """Judge the metrics of a data message by the birth."""
        changed = False
        for metric in payload.metrics:
            name = self.name_of(metric) if self.announced else None
            if name is None:
                changed = True
                if self.announced:
                    note("metric-not-in-birth", label(metric), verb)
                elif metric.name and metric.HasField("alias"):
                    note("alias-with-name", label(metric))
                continue
            changed = self._check_known(verb, metric, name, note) or changed
        if self.announced and not changed:
            note("nothing-changed", f"{len(payload.metrics)} metrics, all as before", verb)

    def _check_known(self, verb: MessageType, metric: Pb.Metric, name: str, note: Note) -> bool:
        """Judge a metric that the birth announced; whether it says something new."""
        known = self._metrics[name]
        check_alias_use(metric, known.alias, note)
        carrier = metric.WhichOneof("value")
        if carrier and known.datatype is not None and not metric.HasField("datatype"):
            check_carrier(verb, known.datatype, carrier, label(metric), note)
        if metric.is_historical:
            return True
        signature = _signature(metric)
        changed = bool(signature != known.value)
        known.value = signature
        return changed

    def check_command(self, verb: MessageType, metric: Pb.Metric, note: Note) -> None:
        """Judge a metric of a command by the birth."""
        name = self.name_of(metric)
        if name is None:
            note("command-unknown-metric", label(metric), verb)
            return
        known, carrier = self._metrics[name], metric.WhichOneof("value")
        check_alias_use(metric, known.alias, note)
        if carrier and known.datatype is not None:
            check_carrier(verb, known.datatype, carrier, label(metric), note)


def check_alias_use(metric: Pb.Metric, alias: int | None, note: Note) -> None:
    """Judge whether the alias is used as the birth asks for."""
    if metric.name and (alias is not None or metric.HasField("alias")):
        said = f"alias {alias}" if alias is not None else f"no alias, here {metric.alias}"
        note("alias-with-name", f"{label(metric)}; the birth gave {said}")


def definitions_of(payload: Pb) -> dict[str, Definition]:
    """The template definitions in an NBIRTH; under their folder's name and without it."""
    found = {}
    for metric in payload.metrics:
        if metric.HasField("template_value") and metric.template_value.is_definition:
            template = metric.template_value
            definition = Definition(
                frozenset(member.name for member in template.metrics),
                frozenset(parameter.name for parameter in template.parameters),
            )
            found[metric.name] = found[str(metric.name).removeprefix(_TYPES_FOLDER)] = definition
    return found


def check_instances(payload: Pb, definitions: Mapping[str, Definition], in_birth: bool, note: Note) -> None:
    """Judge template instances by their definitions."""
    for metric in payload.metrics:
        if metric.HasField("template_value") and not metric.template_value.is_definition:
            _check_instance(metric.template_value, label(metric), definitions, in_birth, note)


def _check_instance(
    template: Pb.Template,
    where: str,
    definitions: Mapping[str, Definition],
    in_birth: bool,
    note: Note,
    depth: int = 0,
) -> None:
    definition = definitions.get(template.template_ref)
    if definition is None:
        if template.template_ref:
            note("template-undefined", f"{where}: {template.template_ref!r}")
        return
    members = {member.name for member in template.metrics if member.name}
    if beyond := members - definition.members:
        note("template-member-unknown", f"{where}: {sorted(beyond)[:5]}")
    if in_birth and (left_out := definition.members - members):
        note("template-member-missing", f"{where}: {sorted(left_out)[:5]}")
    if beyond := {parameter.name for parameter in template.parameters} - definition.parameters:
        note("template-parameter-unknown", f"{where}: {sorted(beyond)[:5]}")
    for member in template.metrics:
        if depth < _DEEPEST and member.HasField("template_value"):
            nested = f"{where}/{member.name}"
            _check_instance(member.template_value, nested, definitions, in_birth, note, depth + 1)


def _signature(metric: Pb.Metric) -> Any:
    """What makes two values of a metric different, its properties included."""
    carrier = metric.WhichOneof("value")
    value: Any = None if carrier is None or metric.is_null else getattr(metric, carrier)
    if hasattr(value, "SerializeToString"):
        value = value.SerializeToString()
    return (value, metric.properties.SerializeToString()) if metric.HasField("properties") else value
