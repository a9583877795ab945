"""A Sparkplug device with a writable metric of every datatype, to try hosts and other readers with."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from iiot.sparkplug.composite import DataSet, MetaData, Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import MetricDefinition
from iiot.sparkplug.merge import merge_template
from iiot.sparkplug.payload import Metric, Parameter, Template, Value

DEVICE: Final = "datatypes"
"""Its device id."""
TEMPLATE: Final = "Motor"
"""Name of the template definition, a metric of the edge node."""

_MEMBERS: Final = (
    Metric("Speed", 1450, DataType.INT32),
    Metric("Running", True, DataType.BOOLEAN),
    Metric("Name", "M1", DataType.STRING),
)
_PARAMETERS: Final = (Parameter("Rated Power", DataType.DOUBLE, 7.5),)
_STEPS: Final = DataSet(
    ["Step", "Setpoint", "Enabled", "Note"],
    [DataType.UINT16, DataType.DOUBLE, DataType.BOOLEAN, DataType.STRING],
    [(1, 20.5, True, "warm up"), (2, 80.0, False, "hold")],
)
_FIRST: Final[dict[DataType, Value]] = {
    DataType.INT8: -8,
    DataType.INT16: -87,
    DataType.INT32: -70_000,
    DataType.INT64: -5_000_000_000,
    DataType.UINT8: 200,
    DataType.UINT16: 60_000,
    DataType.UINT32: 4_000_000_000,
    DataType.UINT64: 2**63,
    DataType.FLOAT: -0.5,
    DataType.DOUBLE: 21.75,
    DataType.BOOLEAN: True,
    DataType.STRING: "°C",
    DataType.DATE_TIME: 1_790_000_000_000,
    DataType.TEXT: "two\nlines",
    DataType.UUID: "6f9619ff-8b86-4d01-b42d-00c04fc964ff",
    DataType.DATA_SET: _STEPS,
    DataType.BYTES: bytes(range(8)),
    DataType.FILE: b"speed,power\n1450,7.5\n",
    DataType.TEMPLATE: Template(list(_MEMBERS), list(_PARAMETERS), ref=TEMPLATE, version="1"),
    DataType.INT8_ARRAY: (-128, 0, 127),
    DataType.INT16_ARRAY: (-32_768, 32_767),
    DataType.INT32_ARRAY: (-1, 315_338_746),
    DataType.INT64_ARRAY: (-4_270_929_666_821_191_986, 7),
    DataType.UINT8_ARRAY: (23, 250),
    DataType.UINT16_ARRAY: (30, 52_360),
    DataType.UINT32_ARRAY: (52, 3_293_969_225),
    DataType.UINT64_ARRAY: (52, 2**64 - 1),
    DataType.FLOAT_ARRAY: (1.25, -2.5),
    DataType.DOUBLE_ARRAY: (12.354213, 1022.9123213),
    DataType.BOOLEAN_ARRAY: (False, False, True, True, False, True, False, False, True),
    DataType.STRING_ARRAY: ("ABC", "hello"),
    DataType.DATE_TIME_ARRAY: (1_256_102_875_335, 1_656_107_875_000),
}
_METADATA: Final = {
    DataType.FILE: MetaData(content_type="text/csv", file_name="motor.csv", file_type="csv"),
    DataType.BYTES: MetaData(description="eight bytes"),
}
_PROPERTIES: Final = {
    DataType.DOUBLE: {
        "Quality": Property(DataType.INT32, 192),
        "engUnit": Property(DataType.STRING, "Cel"),
        "Range": Property(
            DataType.PROPERTY_SET,
            {"low": Property(DataType.DOUBLE, -40.0), "high": Property(DataType.DOUBLE, 85.0)},
        ),
    }
}
METRICS: Final = tuple(
    MetricDefinition(
        f"Types/{datatype.label}",
        datatype,
        writable=True,
        properties=_PROPERTIES.get(datatype),
        metadata=_METADATA.get(datatype),
    )
    for datatype in _FIRST
)
DEFINITION: Final = MetricDefinition(TEMPLATE, DataType.TEMPLATE)


def first_values() -> dict[str, Value]:
    """The values of a device that nobody wrote to."""
    return {f"Types/{datatype.label}": value for datatype, value in _FIRST.items()}


def definition(now: int) -> Template:
    """The template definition for an NBIRTH; `now` in UTC ms."""
    template = Template(list(_MEMBERS), list(_PARAMETERS), version="1", is_definition=True)
    return _stamped(template, now)


def current(values: Mapping[str, Value | None], now: int) -> dict[str, Value | None]:
    """What the device reports `now` (UTC ms): members of a template carry a time each."""
    return {n: _stamped(v, now) if isinstance(v, Template) else v for n, v in values.items()}


def write(values: dict[str, Value], name: str, value: Value) -> None:
    """Take over what a command wrote; of a template instance it may hold some members only.

    Raises:
        DecodeError: the template has no such member, or of another datatype.
    """
    before = values[name]
    if isinstance(before, Template) and isinstance(value, Template):
        value = merge_template(before, value)
    values[name] = value


def _stamped(template: Template, now: int) -> Template:
    return replace(template, metrics=[replace(member, timestamp=now) for member in template.metrics])
