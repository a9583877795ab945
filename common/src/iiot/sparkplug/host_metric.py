"""The current value of a metric and how far it can be trusted, as a host application keeps it."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from iiot.budgets import BudgetError
from iiot.errors import DecodeError
from iiot.sparkplug.composite import QUALITY, merge_properties
from iiot.sparkplug.datatypes import DataType, decode_value
from iiot.sparkplug.merge import merge_template
from iiot.sparkplug.payload import Template

if TYPE_CHECKING:
    from iiot.sparkplug.composite import MetaData, PropertySet
    from iiot.sparkplug.datatypes import EntryMeter
    from iiot.sparkplug.payload import Metric, Value

NO_DATATYPE: Final = "the birth gives no datatype"


Kept: TypeAlias = "tuple[Value | None, PropertySet | None, MetaData | None]"
"""Value, properties and metadata of a metric."""


class Quality(StrEnum):
    """How far a metric's value can be trusted."""

    GOOD = "good"
    BAD = "bad"
    STALE = "stale"


_DECLARED: Final[dict[object, Quality]] = {
    0: Quality.BAD,
    192: Quality.GOOD,
    500: Quality.STALE,
    None: Quality.GOOD,
}
"""What the property `Quality` may say (payloads-propertyset-quality-value-value); null says nothing."""
_PLAIN: Final = frozenset({float, int, bool, str})
_READ_ONLY: Final = {"readonly": True, "writable": False}
"""Properties, without case and underscores, by which edge nodes tell that nobody may write a metric."""


class MetricState:
    """The current value of one metric.

    Attributes:
        datatype: of the birth; UNKNOWN where it names none that exists.
        value: the last one that could be used. A value that was refused does not replace it.
        timestamp: of `value`, or of its message.
        alias: None also where another metric of the birth has the same.
        properties: all that the birth and later messages told; `Quality` only of the last message.
        fault: why the value that came last could not be used; None: it could.
    """

    __slots__ = ("alias", "datatype", "fault", "metadata", "name", "properties", "timestamp", "value")

    def __init__(self, name: str, metric: Metric, timestamp: int) -> None:
        datatype = metric.datatype
        self.name = name
        self.datatype = DataType.UNKNOWN if datatype is None else datatype
        self.fault = NO_DATATYPE if datatype is None and metric.fault is None else metric.fault
        self.value: Value | None = metric.value if self.fault is None else None
        if isinstance(self.value, Template):
            self.value, self.fault = keep_good(None, self.value)
        self.timestamp = timestamp
        self.alias = metric.alias
        self.properties: PropertySet | None = metric.properties
        self.metadata: MetaData | None = metric.metadata

    @property
    def kept(self) -> Kept:
        """What a message may replace by something larger."""
        return self.value, self.properties, self.metadata

    def restore(self, kept: Kept, fault: str) -> None:
        """Go back to what was kept before a message that cannot be taken in."""
        self.value, self.properties, self.metadata = kept
        self.fault = fault

    def take(self, metric: Metric, time: int, meter: EntryMeter | None = None) -> str | None:
        """Take in the metric of a DATA message that was sent at `time`; `meter` counts the message's arrays.

        Returns:
            Why its value cannot be used: the last good one stays then, and so do members of a template.
        """
        is_bare = metric.datatype is None and metric.properties is None and type(metric.value) in _PLAIN
        if is_bare and (self.properties is None or QUALITY not in self.properties):
            return self._take_plain(metric, time)
        try:
            if meter is not None and self.properties is not None:
                meter.compare(len(self.properties))
        except BudgetError as exc:
            self.fault = str(exc)
            return self.fault
        fault = self._resolve(metric, meter)
        if self.properties is not None or metric.properties is not None:
            self.properties = merge_properties(self.properties, metric.properties)
        if fault is None:
            known, self.value = self.value, metric.value
            if isinstance(metric.value, Template):
                self.value, fault = keep_good(known if isinstance(known, Template) else None, metric.value)
            self.timestamp = time if metric.timestamp is None else metric.timestamp
            self._take_metadata(metric.metadata)
        self.fault = fault
        return fault

    def _take_plain(self, metric: Metric, time: int) -> str | None:
        """The common case: a value as its carrier held it, and nothing else."""
        try:
            self.value = decode_value(self.datatype, metric.value)
        except DecodeError as exc:
            self.fault = str(exc) if self.datatype is not DataType.UNKNOWN else self.fault
            return self.fault
        self.fault = None
        self.timestamp = time if metric.timestamp is None else metric.timestamp
        if self.metadata is not None or metric.metadata is not None:
            self._take_metadata(metric.metadata)
        return None

    def _resolve(self, metric: Metric, meter: EntryMeter | None) -> str | None:
        if self.datatype is DataType.UNKNOWN:
            return metric.fault or self.fault or NO_DATATYPE
        try:
            metric.resolve(self.name, self.datatype, self.properties, meter)
            if isinstance(metric.value, Template) and isinstance(self.value, Template):
                metric.value = merge_template(self.value, metric.value, meter)
        except DecodeError as exc:
            metric.set_fault(str(exc))
        return metric.fault

    def _take_metadata(self, metadata: MetaData | None) -> None:
        if metadata is not None:
            self.metadata = metadata
        elif self.metadata is not None:  # size and MD5 are of the content before
            self.metadata = replace(self.metadata, is_multi_part=None, size=None, seq=None, md5=None)

    def quality(self) -> tuple[Quality, str | None]:
        """What its value and its property `Quality` tell, and why if that needs saying."""
        if self.fault is not None:
            return Quality.BAD, self.fault
        declared = None if self.properties is None else self.properties.get(QUALITY)
        if declared is None:
            return Quality.GOOD, None
        code = declared.value
        if isinstance(code, int | None) and code in _DECLARED:
            return _DECLARED[code], None
        return Quality.BAD, f"the property Quality is {code!r:.80}, not 0, 192 or 500"

    @property
    def read_only(self) -> str | None:
        """The property by which the edge node says that nobody may write this metric."""
        for key, entry in (self.properties or {}).items():
            if _READ_ONLY.get(key.replace("_", "").lower()) is entry.value and entry.value is not None:
                return key
        return None


def keep_good(known: Template | None, value: Template) -> tuple[Template, str | None]:
    """Put the members of `known` in place of those that cannot be used, with their faults; tell the first."""
    before = {} if known is None else {member.name: member for member in known.metrics}
    members, fault = [], None
    for member in value.metrics:
        told, good = member.fault, before.get(member.name)
        if isinstance(member.value, Template):
            inner = good.value if good is not None and isinstance(good.value, Template) else None
            kept, told = keep_good(inner, member.value)
            member = replace(member, value=kept)
        elif told is not None and good is not None:
            member = replace(good, fault=told)
        fault = fault or (told and f"{member.name}: {told}")
        members.append(member)
    for parameter in value.parameters:
        fault = fault or (parameter.fault and f"{parameter.name}: {parameter.fault}")
    return replace(value, metrics=members), fault
