"""The current value of a metric and how far it can be trusted, as a host application keeps it."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from iiot.errors import DecodeError, InvalidValueError
from iiot.sparkplug.datatypes import DataType, encode_value
from iiot.sparkplug.merge import QUALITY, merge_properties, merge_template
from iiot.sparkplug.payload import Template, typed_value

if TYPE_CHECKING:
    from iiot.sparkplug.composite import MetaData, PropertySet
    from iiot.sparkplug.payload import Metric, Value

NO_DATATYPE: Final = "the birth gives no datatype"


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
        self.timestamp = timestamp
        self.alias = metric.alias
        self.properties: PropertySet | None = metric.properties
        self.metadata: MetaData | None = metric.metadata

    def take(self, metric: Metric, time: int) -> None:
        """Take in the metric of a DATA message that was sent at `time`.

        Raises:
            DecodeError: its value cannot be used; the last good one stays, and `fault` says why.
        """
        if self.properties is not None or metric.properties is not None:
            self.properties = merge_properties(self.properties, metric.properties)
        try:
            self.value = self._read(metric)
        except DecodeError as exc:
            self.fault = str(exc)
            raise
        self.fault = None
        self.timestamp = time if metric.timestamp is None else metric.timestamp
        if metric.metadata is not None:
            self.metadata = metric.metadata
        elif self.metadata is not None:  # of other content
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

    def _read(self, metric: Metric) -> Value | None:
        if metric.fault is not None:
            raise DecodeError(metric.fault)
        if self.datatype is DataType.UNKNOWN:
            raise DecodeError(NO_DATATYPE if self.fault is None else self.fault)
        value = metric.value
        if metric.datatype is None:
            value = typed_value(self.datatype, value)
        elif metric.datatype is not self.datatype and value is not None:
            _check_type(self.datatype, metric.datatype, value)
        if isinstance(value, Template) and isinstance(self.value, Template):
            value = merge_template(self.value, value)
        return value


def _check_type(known: DataType, told: DataType, value: Value) -> None:
    """A message that names another datatype than the birth is believed if the value is of both."""
    try:
        encode_value(known, value)
    except InvalidValueError:
        raise DecodeError(f"{value!r:.80} is a {told.label}, and the birth says {known.label}") from None
