import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot._pb.sparkplug_b_pb2 import Payload as Message
from iiot.errors import DecodeError, InvalidValueError
from iiot.sparkplug.composite import DataSet, Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import (
    BD_SEQ,
    REBIRTH,
    Metric,
    Parameter,
    Payload,
    Template,
    decode_payload,
    encode_payload,
    typed_value,
)
from sparkplug_strategies import PLAIN, VALUES, payloads


@given(payloads)
def test_every_payload_survives_the_round_trip(payload):
    assert decode_payload(encode_payload(payload)) == payload


@pytest.mark.parametrize("datatype", PLAIN)
@given(data=st.data())
def test_values_without_datatype_are_resolved_by_the_births(datatype, data):
    value = data.draw(VALUES[datatype])
    sent = Metric(None, value, datatype, alias=7)
    (metric,) = decode_payload(encode_payload(Payload(metrics=[sent]), with_datatypes=False)).metrics
    assert (metric.name, metric.datatype, metric.alias) == (None, None, 7)
    metric.resolve("Sensors/X", datatype)
    assert metric == Metric("Sensors/X", value, datatype, alias=7)


@given(st.binary(max_size=200))
def test_hostile_bytes_are_a_payload_or_a_decode_error(data):
    with contextlib.suppress(DecodeError):
        decode_payload(data)


@given(payloads, st.data())
def test_damaged_payloads_are_a_payload_or_a_decode_error(payload, data):
    encoded = bytearray(encode_payload(payload))
    for _ in range(min(len(encoded), 3)):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DecodeError):
        decode_payload(bytes(encoded))


def test_zero_and_false_are_sent_explicitly():
    metrics = [Metric(BD_SEQ, 0, DataType.INT64), Metric(REBIRTH, False, DataType.BOOLEAN)]
    message = Message.FromString(encode_payload(Payload(timestamp=0, metrics=metrics, seq=0)))
    assert message.HasField("seq")
    assert message.HasField("timestamp")
    assert [metric.WhichOneof("value") for metric in message.metrics] == ["long_value", "boolean_value"]


def test_null_is_a_flag_without_a_value():
    message = Message.FromString(encode_payload(Payload(metrics=[Metric("a", None, DataType.INT8)])))
    assert message.metrics[0].is_null
    assert message.metrics[0].WhichOneof("value") is None


def test_datatypes_are_left_out_of_data_messages():
    payload = Payload(metrics=[Metric("a", 1, DataType.INT8, timestamp=5)])
    message = Message.FromString(encode_payload(payload, with_datatypes=False))
    assert not message.metrics[0].HasField("datatype")


@pytest.mark.parametrize("carrier", [{"int_value": 5}, {"long_value": 5}])
def test_int64_of_peers_in_either_carrier(carrier):
    message = Message(metrics=[Message.Metric(name=BD_SEQ, datatype=DataType.UINT64, **carrier)])
    assert decode_payload(message.SerializeToString()).metrics[0].value == 5


GOOD = {"name": "good", "datatype": DataType.INT32, "int_value": 7}
FAULTS = {
    "datatype": ({"datatype": 99, "int_value": 1}, "unknown datatype 99, allowed: 1 to 34"),
    "datatype of properties": ({"datatype": 20, "int_value": 1}, "allowed: a PropertySet"),
    "carrier": ({"datatype": DataType.INT8, "string_value": "x"}, "got 'x', allowed: an integer from -128"),
    "range": ({"datatype": DataType.UINT8, "int_value": 300}, "got 300, allowed: an integer from 0 to 255"),
    "plain in composite": ({"datatype": DataType.DATA_SET, "int_value": 1}, "allowed: a DataSet"),
    "composite in plain": (
        {"datatype": DataType.INT8, "template_value": {}},
        "got a Template, allowed: a Int8",
    ),
    "extension": ({"extension_value": {}}, "extension"),
    "array": ({"datatype": DataType.INT16_ARRAY, "bytes_value": b"odd"}, "not a multiple of 2"),
    "columns": ({"dataset_value": {"columns": ["c"]}}, "1 columns, 0 types"),
    "row": ({"dataset_value": {"columns": ["c"], "types": [1], "rows": [{}]}}, "a row of 0 cells"),
    "cell": (
        {"dataset_value": {"columns": ["c"], "types": [5], "rows": [{"elements": [{"int_value": 300}]}]}},
        "got 300",
    ),
    "column type": ({"dataset_value": {"columns": ["c"], "types": [99], "rows": []}}, "unknown datatype 99"),
    "quality": (
        {"int_value": 1, "properties": {"keys": ["Quality"], "values": [{"type": 12, "int_value": 1}]}},
        "property Quality: value: got 1, allowed: text",
    ),
    "quality among others": (
        {"int_value": 1, "properties": {"keys": ["Quality", "x"], "values": [{}]}},
        "property Quality: 2 keys, 1 values",
    ),
}


@pytest.mark.parametrize(("wrong", "reason"), FAULTS.values(), ids=FAULTS)
def test_a_metric_that_cannot_be_read_leaves_the_others_and_itself_a_name(wrong, reason):
    bad = Message.Metric(**{"name": "bad", "alias": 5, "timestamp": 9, **wrong})
    message = Message(timestamp=8, seq=3, metrics=[Message.Metric(**GOOD), bad, Message.Metric(**GOOD)])
    payload = decode_payload(message.SerializeToString())
    before, metric, after = payload.metrics
    assert before == after == Metric("good", 7, DataType.INT32)
    assert (metric.name, metric.alias, metric.timestamp, metric.value) == ("bad", 5, 9, None)
    assert reason in (metric.fault or "")
    assert (payload.timestamp, payload.seq) == (8, 3)


A, B = {"type": 99, "int_value": 1}, {"type": 3, "int_value": 2}


@pytest.mark.parametrize(
    ("properties", "kept", "reason"),
    [
        ({"keys": ["a", "b"], "values": [A, B]}, {"b": 2}, "property a: unknown datatype 99"),
        ({"keys": ["a"], "values": [{"type": 5, "int_value": 300}]}, {}, "property a: value: got 300"),
        ({"keys": ["a"], "values": [{"type": 3, "extension_value": {}}]}, {}, "property a"),
        ({"keys": ["a"], "values": [{"type": 3, "propertyset_value": {}}]}, {}, "a Int32 is no property set"),
        ({"keys": ["a"]}, {}, "1 keys, 0 values"),
    ],
)
def test_a_property_that_cannot_be_read_is_left_out_and_the_value_holds(properties, kept, reason):
    message = Message(metrics=[Message.Metric(**GOOD, properties=properties)])
    (metric,) = decode_payload(message.SerializeToString()).metrics
    assert (metric.value, metric.fault) == (7, None)
    assert {key: entry.value for key, entry in metric.properties.items()} == kept
    assert reason in metric.property_fault


def test_a_property_without_a_type_has_that_of_its_carrier_or_of_the_birth():
    values = [{"string_value": "°C"}, {"int_value": 0xFFFFFFFD}, {"int_value": 192}, {"boolean_value": True}]
    sent = {"keys": ["engUnit", "low", "Quality", "on"], "values": values}
    message = Message(metrics=[Message.Metric(name="a", int_value=1, properties=sent)])
    (metric,) = decode_payload(message.SerializeToString()).metrics
    metric.resolve("a", DataType.INT8, {"low": Property(DataType.INT16, 0)})
    assert {key: (entry.datatype, entry.value) for key, entry in metric.properties.items()} == {
        "engUnit": (DataType.STRING, "°C"),
        "low": (DataType.INT16, -3),
        "Quality": (DataType.INT32, 192),
        "on": (DataType.BOOLEAN, True),
    }
    assert (metric.value, metric.fault, metric.property_fault) == (1, None, None)


def test_a_property_that_does_not_fit_the_type_of_the_birth_is_left_out():
    sent = {"keys": ["low"], "values": [{"int_value": 300}]}
    message = Message(metrics=[Message.Metric(name="a", int_value=1, properties=sent)])
    (metric,) = decode_payload(message.SerializeToString()).metrics
    metric.resolve("a", DataType.INT8, {"low": Property(DataType.UINT8, 0)})
    assert (metric.value, metric.properties) == (1, {})
    assert "property low: value: got 300" in metric.property_fault


@pytest.mark.parametrize(
    "wrong", [{"type": 99, "int_value": 1}, {"type": 1, "string_value": "x"}, {"name": "??", "type": 3}]
)
def test_a_parameter_of_a_template_that_cannot_be_read_leaves_the_others(wrong):
    parameters = [{"name": "wrong", **wrong}, {"name": "right", "type": 3, "int_value": 5}]
    template = {"template_ref": "motor", "parameters": parameters, "metrics": [GOOD]}
    message = Message(metrics=[Message.Metric(name="a", template_value=template)]).SerializeToString()
    (metric,) = decode_payload(message.replace(b"??", b"\xff\xfe")).metrics
    bad, good = metric.value.parameters
    assert metric.fault is None
    assert bad.value is None
    assert bad.fault
    assert good == Parameter("right", DataType.INT32, 5)
    assert metric.value.metrics == [Metric("good", 7, DataType.INT32)]


def test_a_member_of_a_template_that_cannot_be_read_leaves_the_others():
    template = {"template_ref": "motor", "metrics": [GOOD, {"name": "bad", "datatype": 99, "int_value": 1}]}
    message = Message(metrics=[Message.Metric(name="a", template_value=template)])
    (metric,) = decode_payload(message.SerializeToString()).metrics
    good, bad = metric.value.metrics
    assert (metric.fault, good.value, bad.value) == (None, 7, None)
    assert "unknown datatype 99" in bad.fault


@pytest.mark.parametrize(
    ("told", "carrier", "value"),
    [
        ({"datatype": DataType.INT64}, {"long_value": 5}, 5),
        ({"datatype": DataType.UINT8}, {"int_value": 5}, 5),
        ({}, {"long_value": 5}, 5),
        ({"datatype": DataType.STRING}, {"string_value": "q"}, None),
        ({"datatype": DataType.DOUBLE}, {"double_value": 1.5}, None),
        ({"datatype": DataType.INT64}, {"long_value": 3_000_000_000}, None),
        ({"datatype": DataType.DATA_SET}, {"dataset_value": {}}, None),
        ({"datatype": DataType.BOOLEAN}, {"boolean_value": True}, None),
        ({}, {"string_value": "q"}, None),
        ({"datatype": 99}, {"int_value": 5}, None),
    ],
)
def test_data_that_contradicts_the_type_of_the_birth_counts_only_if_it_fits(told, carrier, value):
    message = Message(metrics=[Message.Metric(name="a", **told, **carrier)])
    (metric,) = decode_payload(message.SerializeToString()).metrics
    metric.resolve("a", DataType.INT32)
    assert (metric.value, metric.datatype) == (value, DataType.INT32)
    assert (metric.fault is None) == (value is not None)


def test_a_name_that_is_not_utf8_is_a_fault_of_its_metric():
    metrics = [{"name": "??", "alias": 4, "int_value": 1, "datatype": 3}, GOOD]
    damaged = Message(metrics=metrics).SerializeToString().replace(b"??", b"\xff\xfe")
    bad, good = decode_payload(damaged).metrics
    assert (bad.name, bad.alias, bad.value) == (None, 4, None)
    assert "UTF-8" in bad.fault
    assert good.value == 7


def test_other_text_that_is_not_utf8_costs_no_value():
    metadata, properties = {"file_name": "??"}, {"keys": ["??"], "values": [{"type": 3, "int_value": 1}]}
    metric = Message.Metric(**GOOD, metadata=metadata, properties=properties)
    damaged = Message(uuid="??", metrics=[metric]).SerializeToString().replace(b"??", b"\xff\xfe")
    payload = decode_payload(damaged)
    (metric,) = payload.metrics
    assert (payload.uuid, metric.value, metric.metadata.file_name) == (None, 7, "\\xff\\xfe")
    assert "UTF-8" in metric.property_fault


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        (Metric("a", 300, DataType.INT8), "a: got 300, allowed: an integer from -128 to 127"),
        (Metric("a", 1), "a: got 1"),
        (Metric(None, 1, DataType.INT8), "name"),
        (Metric("a", DataSet(["c"], []), DataType.DATA_SET), "1 types"),
        (Metric("a", DataSet(["c"], [DataType.INT8], [()]), DataType.DATA_SET), "rows of 1"),
        (Metric("a", DataSet(["c"], [DataType.INT8], [(300,)]), DataType.DATA_SET), "a.c: got 300"),
    ],
)
def test_what_cannot_be_sent_is_refused(metric, problem):
    with pytest.raises(InvalidValueError, match=problem):
        encode_payload(Payload(metrics=[metric]))


def test_composite_values_keep_their_kind():
    assert typed_value(DataType.TEMPLATE, Template(ref="motor")) == Template(ref="motor")
    assert typed_value(DataType.INT8, None) is None
    with pytest.raises(DecodeError):
        typed_value(DataType.TEMPLATE, DataSet([], []))


@pytest.mark.parametrize("compress", [zlib.compress, gzip.compress])
def test_compressed_payloads_of_peers_are_read(compress):
    inner = Payload(None, [Metric("Level", 5, DataType.INT32, 7)], None)
    envelope = Payload(9, uuid="SPBV1.0_COMPRESSED", seq=3, body=compress(encode_payload(inner)))
    assert decode_payload(encode_payload(envelope)) == Payload(9, inner.metrics, 3)


@pytest.mark.parametrize(
    "body", [b"", b"plain", zlib.compress(b"x" * 99)[:-6], zlib.compress(bytes(2**24 + 1))]
)
def test_bodies_that_cannot_be_decompressed_are_refused(body):
    envelope = encode_payload(Payload(9, uuid="SPBV1.0_COMPRESSED", body=body))
    with pytest.raises(DecodeError):
        decode_payload(envelope)
