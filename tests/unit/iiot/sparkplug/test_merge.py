import pytest

from iiot.errors import DecodeError
from iiot.sparkplug.composite import Property, merge_properties
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.merge import merge_template
from iiot.sparkplug.payload import Metric, Parameter, Template

KNOWN = Template(
    [Metric("Speed", 5, DataType.INT16, alias=0), Metric("Mode", "a", DataType.STRING, alias=1)],
    [Parameter("Poles", DataType.INT8, 4)],
    "Motor",
)
UNIT = Property(DataType.STRING, "rpm")
BAD_QUALITY = Property(DataType.INT32, 0)


def test_a_member_that_does_not_fit_is_a_fault_of_its_own():
    merged = merge_template(KNOWN, Template([Metric("Speed", "fast"), Metric("Mode", "b")]))
    speed, mode = merged.metrics
    assert (speed.value, mode.value) == (None, "b")
    assert "got 'fast'" in speed.fault


def test_a_member_named_by_the_alias_0_is_found():
    merged = merge_template(KNOWN, Template([Metric(None, 0xFFFD, alias=0)]))
    assert merged.metrics[0].value == -3


@pytest.mark.parametrize(
    ("sent", "value", "reason"),
    [
        (Parameter("Poles", DataType.UNKNOWN, 0xFD), -3, None),
        (Parameter("Poles", DataType.INT64, 6), 6, None),
        (Parameter("Poles", DataType.STRING, "q"), None, "got 'q'"),
        (Parameter("Poles", DataType.INT64, 300), None, "got 300"),
    ],
)
def test_a_parameter_has_the_type_of_the_birth(sent, value, reason):
    (poles,) = merge_template(KNOWN, Template(parameters=[sent])).parameters
    assert (poles.datatype, poles.value) == (DataType.INT8, value)
    assert (reason or "") in (poles.fault or "")
    assert (poles.fault is None) == (reason is None)


@pytest.mark.parametrize(
    "part",
    [
        Template([Metric("New", 1)]),
        Template([Metric(None, 1, alias=9)]),
        Template(parameters=[Parameter("New", DataType.INT8, 1)]),
    ],
)
def test_what_was_not_in_the_birth_does_not_grow_the_template(part):
    with pytest.raises(DecodeError, match="was not in the birth"):
        merge_template(KNOWN, part)


@pytest.mark.parametrize(
    ("known", "sent", "merged"),
    [
        (None, None, None),
        ({"engUnit": UNIT}, None, {"engUnit": UNIT}),
        ({"engUnit": UNIT, "Quality": BAD_QUALITY}, None, {"engUnit": UNIT}),
        ({"engUnit": UNIT}, {"Quality": BAD_QUALITY}, {"engUnit": UNIT, "Quality": BAD_QUALITY}),
        ({"Quality": BAD_QUALITY}, {}, {}),
        (None, {"engUnit": UNIT}, {"engUnit": UNIT}),
    ],
)
def test_properties_of_the_birth_stay_and_quality_is_that_of_the_message(known, sent, merged):
    assert merge_properties(known, sent) == merged
