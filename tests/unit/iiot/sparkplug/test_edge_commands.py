import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot._pb import sparkplug_b_pb2
from iiot.errors import DecodeError
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import (
    RebirthRequested,
    Refused,
    Write,
)
from iiot.sparkplug.payload import (
    REBIRTH,
    Metric,
)
from sparkplug_edge import born, command


@pytest.mark.parametrize(
    ("metric", "datatypes", "action"),
    [
        (Metric("Setpoint", 21.5, DataType.FLOAT), False, Write("pump", "Setpoint", 21.5)),
        (Metric("Setpoint", 21.5, DataType.DOUBLE), True, Write("pump", "Setpoint", 21.5)),
        (Metric("Setpoint", 21, DataType.INT32), True, Write("pump", "Setpoint", 21.0)),
        (Metric("Mode", -5, DataType.INT8), False, Write("pump", "Mode", -5)),
        (Metric("Mode", -5, DataType.INT64), True, Write("pump", "Mode", -5)),
        (Metric("Mode", 1000, DataType.INT64), True, "got 1000"),
        (Metric("Mode", -5, DataType.INT32), False, Write("pump", "Mode", -5)),
        (Metric("Mode", -5, DataType.INT64), False, Write("pump", "Mode", -5)),
        (Metric("Mode", 251, DataType.INT32), False, Write("pump", "Mode", -5)),
        (Metric("Mode", 300, DataType.INT32), False, "got 300"),
        (Metric("Mode", 2**32 + 5, DataType.INT64), False, "got 4294967301"),
        (Metric("Mode", "fast", DataType.STRING), False, "Int8"),
        (Metric("Mode", None, DataType.INT8), False, "got nothing"),
        (Metric("Sensors/Temperature", 1.0, DataType.DOUBLE), False, "not writable"),
        (Metric("Nothing", 1.0, DataType.DOUBLE), False, "no such metric"),
        (Metric(None, 1.0, DataType.DOUBLE, alias=99), False, "no such metric"),
    ],
)
def test_commands_become_writes_or_refusals(metric, datatypes, action):
    (result,) = born().receive(*command(metric, device="pump", datatypes=datatypes))
    if isinstance(action, str):
        assert isinstance(result, Refused)
        assert action in result.reason
    else:
        assert result == action


@pytest.mark.parametrize(
    ("datatype", "carrier", "raw", "written"),
    [
        (DataType.INT8, "int_value", 251, -5),
        (DataType.INT8, "int_value", 2**32 - 5, -5),
        (DataType.INT8, "long_value", 2**64 - 5, -5),
        (DataType.INT8, "int_value", 300, None),
        (DataType.UINT8, "int_value", 300, None),
        (DataType.INT32, "long_value", 2**32 + 5, None),
    ],
)
def test_a_number_too_large_for_the_datatype_that_a_command_names_is_refused(datatype, carrier, raw, written):
    message = sparkplug_b_pb2.Payload()
    message.metrics.add(name="Mode", datatype=datatype, **{carrier: raw})
    (result,) = born().receive("spBv1.0/IIoT/DCMD/n/pump", message.SerializeToString())
    if written is None:
        assert isinstance(result, Refused)
        assert f"got {raw}" in result.reason
        assert datatype.label in result.reason
    else:
        assert result == Write("pump", "Mode", written)


@pytest.mark.parametrize(
    ("metric", "datatypes", "asks"),
    [
        (Metric(REBIRTH, True, DataType.BOOLEAN), False, True),
        (Metric(REBIRTH, True, DataType.BOOLEAN), True, True),
        (Metric(REBIRTH, 1, DataType.INT32), False, True),
        (Metric(REBIRTH, False, DataType.BOOLEAN), False, False),
        (Metric(REBIRTH, None, DataType.BOOLEAN), True, False),
        (Metric(REBIRTH, "true", DataType.STRING), True, False),
    ],
)
def test_only_true_asks_for_a_rebirth(metric, datatypes, asks):
    assert born().receive(*command(metric, datatypes=datatypes)) == [RebirthRequested()] * asks


def test_commands_for_others_are_ignored_and_for_unknown_devices_refused():
    node = born()
    payload = command(Metric(REBIRTH, True, DataType.BOOLEAN))[1]
    assert node.receive("spBv1.0/IIoT/NCMD/other", payload) == []
    assert node.receive("spBv1.0/IIoT/NDATA/n", payload) == []
    assert node.receive("spBv1.0/IIoT/DCMD/n/ghost", payload) == [Refused("ghost", "", "no such device")]


@given(st.binary(max_size=100))
def test_hostile_commands_raise_nothing_but_decode_errors(payload):
    for topic in ("spBv1.0/IIoT/NCMD/n", "spBv1.0/IIoT/DCMD/n/pump", "spBv1.0/STATE/scada"):
        try:
            born(primary_host="scada").receive(topic, payload)
        except DecodeError:
            continue


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"name": "New", "datatype": 99, "int_value": 1}, "unknown datatype 99"),
        ({"name": "Setpoint", "datatype": DataType.INT8, "string_value": "q"}, "got 'q'"),
        ({"name": "Setpoint", "datatype": DataType.INT8, "int_value": 300}, "got 300"),
        ({"alias": 4, "extension_value": {}}, "extension"),
        ({"name": REBIRTH, "datatype": 99, "boolean_value": True}, "unknown datatype 99"),
    ],
)
def test_a_metric_that_cannot_be_read_does_not_hide_the_rest_of_a_command(wrong, reason):
    message = sparkplug_b_pb2.Payload()
    message.metrics.add(**wrong)
    message.metrics.add(name=REBIRTH, boolean_value=True)
    refused, rebirth = born().receive("spBv1.0/IIoT/NCMD/n", message.SerializeToString())
    assert isinstance(refused, Refused)
    assert reason in refused.reason
    assert rebirth == RebirthRequested()
