import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot._pb.sparkplug_b_pb2 import Payload as Message
from iiot.errors import DecodeError, InvalidValueError
from iiot.sparkplug.composite import DataSet
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import (
    BD_SEQ,
    REBIRTH,
    Metric,
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


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message(metrics=[Message.Metric(name="a", datatype=99, int_value=1)]), "unknown datatype 99"),
        (Message(metrics=[Message.Metric(name="a", datatype=DataType.INT8, string_value="x")]), "metric 'a'"),
        (
            Message(metrics=[Message.Metric(name="a", datatype=DataType.DATA_SET, int_value=1)]),
            "not a DataSet",
        ),
        (Message(metrics=[Message.Metric(name="a", extension_value={})]), "extension"),
        (Message(metrics=[Message.Metric(name="a", properties={"keys": ["k"]})]), "1 keys, 0 values"),
        (Message(metrics=[Message.Metric(name="a", dataset_value={"columns": ["c"]})]), "1 columns, 0 types"),
        (
            Message(metrics=[Message.Metric(dataset_value={"columns": ["c"], "types": [1], "rows": [{}]})]),
            "a row of 0 cells",
        ),
    ],
)
def test_contradictions_are_refused(message, reason):
    with pytest.raises(DecodeError, match=reason):
        decode_payload(message.SerializeToString())


@pytest.mark.parametrize("where", [{"uuid": "??"}, {"metrics": [{"name": "??"}]}])
def test_text_that_is_not_utf8_is_refused(where):
    damaged = Message(**where).SerializeToString().replace(b"??", b"\xff\xfe")
    with pytest.raises(DecodeError, match="UTF-8"):
        decode_payload(damaged)


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
