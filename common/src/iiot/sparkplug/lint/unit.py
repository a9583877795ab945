"""What the births said about an edge node itself or one of its devices, and data judged by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iiot.sparkplug.lint.content import (
    check_properties_by_birth,
    check_value,
    contradicts,
    datatype_of,
    label,
    property_types,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from iiot._pb.sparkplug_b_pb2 import Payload as Pb
    from iiot.sparkplug.datatypes import DataType
    from iiot.sparkplug.lint.content import Note
    from iiot.sparkplug.topic import MessageType

_TURNS = 3


@dataclass(slots=True)
class _Known:
    datatype: DataType | None
    alias: int | None
    value: Any
    properties: dict[str, DataType]


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

    @property
    def aliases(self) -> Collection[int]:
        """The aliases that its latest birth gave."""
        return self._by_alias.keys()

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
            datatype, properties = datatype_of(metric.datatype), property_types(metric.properties)
            self._metrics[metric.name] = _Known(datatype, alias, _signature(metric), properties)
            if alias is not None:
                self._by_alias[alias] = metric.name

    def name_of(self, metric: Pb.Metric) -> str | None:
        """The metric's name as far as the birth tells; None when it does not know the metric."""
        alias = metric.alias if metric.HasField("alias") else -1
        name = metric.name or self._by_alias.get(alias)
        return name if name in self._metrics else None

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
        _check_by_birth(verb, metric, known, note)
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
        known = self._metrics[name]
        check_alias_use(metric, known.alias, note)
        _check_by_birth(verb, metric, known, note)


def _check_by_birth(verb: MessageType, metric: Pb.Metric, known: _Known, note: Note) -> None:
    """Judge a datatype that is said by that of the birth; where none is said, the value by it."""
    where, code, born_as = label(metric), metric.datatype, known.datatype
    if born_as is not None and code != born_as and not contradicts(verb, code, born_as, where, note):
        check_value(verb, born_as, metric, where, note)
    if metric.HasField("properties"):
        check_properties_by_birth(verb, metric.properties, known.properties, where, note)


def check_alias_use(metric: Pb.Metric, alias: int | None, note: Note) -> None:
    """Judge whether the alias is used as the birth asks for."""
    if metric.name and (alias is not None or metric.HasField("alias")):
        said = f"alias {alias}" if alias is not None else f"no alias, here {metric.alias}"
        note("alias-with-name", f"{label(metric)}; the birth gave {said}")


def _signature(metric: Pb.Metric) -> Any:
    """What makes two values of a metric different, its properties included."""
    carrier = metric.WhichOneof("value")
    value: Any = None if carrier is None or metric.is_null else getattr(metric, carrier)
    if hasattr(value, "SerializeToString"):
        value = value.SerializeToString()
    return (value, metric.properties.SerializeToString()) if metric.HasField("properties") else value
