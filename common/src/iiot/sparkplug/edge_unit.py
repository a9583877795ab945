"""The metrics of an edge node itself or of one of its devices, as the edge node's side keeps them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from iiot.errors import InvalidValueError
from iiot.sparkplug.composite import MetaData, PropertySet
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Value, fit_value

Values: TypeAlias = Mapping[str, Value | None]
"""Values of metrics by name."""


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """A metric of an edge node or a device. `writable`: NCMD or DCMD may set it."""

    name: str
    datatype: DataType
    writable: bool = False
    properties: PropertySet | None = None
    metadata: MetaData | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A metric and its alias, if it has one."""

    definition: MetricDefinition
    alias: int | None

    def accept(self, metric: Metric) -> Value:
        """The value of a command as one of the metric's own datatype.

        Raises:
            DecodeError: it is of another datatype or out of its range.
            InvalidValueError: it is null.
        """
        datatype = self.definition.datatype
        value = fit_value(metric.datatype, datatype, metric.value)
        if value is None:
            raise InvalidValueError(self.definition.name, None, f"a {datatype.label}")
        return value


class Unit:
    """The metrics of the edge node itself or of one device.

    Attributes:
        born: whether their birth was made in this session.
    """

    __slots__ = ("_by_alias", "_by_name", "_numbers", "_reserved", "born")

    def __init__(
        self,
        definitions: Iterable[MetricDefinition],
        numbers: Iterator[int] | None,
        reserved: Collection[str] = (),
    ) -> None:
        self.born = False
        self._numbers = numbers
        self._reserved = reserved
        self._by_name: dict[str, Known] = {}
        self.define(definitions)

    @property
    def names(self) -> list[str]:
        """Names of all metrics, in the order of the birth."""
        return list(self._by_name)

    def define(self, definitions: Iterable[MetricDefinition]) -> None:
        """Replace the set of metrics; a name that stays keeps its alias. A birth is needed then.

        Raises:
            InvalidValueError: a name is empty, reserved or used twice; nothing changes then.
        """
        by_name: dict[str, Known] = {}
        for definition in definitions:
            name = definition.name
            if not name or name in self._reserved or name in by_name:
                raise InvalidValueError("metric", name, "a name that is not empty, reserved or in use")
            by_name[name] = Known(definition, self._alias(name))
        self.born = False
        self._by_name = by_name
        self._by_alias = {known.alias: known for known in by_name.values() if known.alias is not None}

    def _alias(self, name: str) -> int | None:
        known = self._by_name.get(name)
        if known is not None:
            return known.alias
        return None if self._numbers is None else next(self._numbers)

    def find(self, metric: Metric) -> Known | None:
        """The metric that a command means."""
        if metric.name is not None:
            return self._by_name.get(metric.name)
        return None if metric.alias is None else self._by_alias.get(metric.alias)

    def birth_metrics(self, values: Values, now: int) -> list[Metric]:
        """All metrics for a birth; one without a value is null."""
        return [
            Metric(
                name,
                values.get(name),
                known.definition.datatype,
                now,
                known.alias,
                properties=known.definition.properties,
                metadata=known.definition.metadata,
            )
            for name, known in self._by_name.items()
        ]

    def data_metrics(self, values: Values, time: int, historical: bool) -> list[Metric]:
        """The metrics of a data message.

        Raises:
            InvalidValueError: a metric was not in the birth.
        """
        metrics = []
        for name, value in values.items():
            known = self._by_name.get(name)
            if known is None:
                raise InvalidValueError("metric", name, f"one of {sorted(self._by_name)}")
            alias = known.alias
            sent_name = name if alias is None else None
            metrics.append(Metric(sent_name, value, known.definition.datatype, time, alias, historical))
        return metrics
