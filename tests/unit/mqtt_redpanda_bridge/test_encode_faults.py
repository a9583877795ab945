"""Bad metrics, empty births and payloads beyond the budget: each costs itself, and no more."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot._pb.sparkplug_b_pb2 import Payload as Message
from iiot.budgets import BudgetError
from iiot.errors import DecodeError
from iiot.sparkplug.composite import DataSet, Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload
from mqtt_redpanda_bridge.devices import DeviceStates
from mqtt_redpanda_bridge.encode import Context, open_encoder
from mqtt_redpanda_bridge.routes import Format, Route
from schema_check import validator
from sparkplug_hostile import HOSTILE

NOW = 1_795_503_119_839
T = 1_700_000_000_000
LONG = "\x01" * 900_000
BORN = (
    Metric("Level", -1, DataType.INT8, T, alias=1),
    Metric("Speed", 0.5, DataType.DOUBLE, T, alias=2),
    Metric("Mode", "auto", DataType.STRING, T, alias=3),
    Metric("Table", DataSet(["a"], [DataType.BOOLEAN], []), DataType.DATA_SET, T, alias=5),
)


def encoder(topic, context=None, *, form=Format.SPARKPLUG_JSON):
    route = Route(name="r", filters=("#",), topic="t", format=form)
    return open_encoder(route, topic, context or Context())


def encode(topic, payload, context=None):
    value, headers = encoder(topic, context).encode(payload, NOW)
    return json.loads(value), headers


def sparkplug(*metrics):
    return encode_payload(Payload(T, list(metrics), 7))


def message(*metrics, **more):
    return Message(metrics=metrics, **{"timestamp": T, "seq": 7, **more}).SerializeToString()


BAD = {
    "datatype": {"name": "Level", "datatype": 99, "int_value": 1},
    "carrier": {"alias": 1, "string_value": "q"},
    "range": {"alias": 1, "int_value": 300},
    "contradicts the birth": {"name": "Level", "datatype": DataType.STRING, "string_value": "q"},
    "not a number": {"alias": 2, "double_value": float("nan")},
    "infinite": {"name": "Speed", "datatype": DataType.DOUBLE, "double_value": float("inf")},
    "table": {"alias": 5, "dataset_value": {"columns": ["a"]}},
}


@pytest.mark.parametrize("wrong", BAD.values(), ids=BAD)
def test_a_bad_metric_is_null_with_a_reason_and_costs_nothing_else(wrong):
    context = Context()
    encode("spBv1.0/g/DBIRTH/n/d", sparkplug(*BORN), context)
    good = {"alias": 3, "string_value": "hand"}
    value, _ = encode("spBv1.0/g/DDATA/n/d", message(good, wrong, good), context)
    before, bad, after = value["metrics"]
    assert before == after == {"name": "Mode", "type": "String", "value": "hand", "timestamp": T}
    assert bad["name"] in ("Level", "Speed", "Table")
    assert (bad["value"], bad["quality"]) == (None, "bad")
    assert bad["reason"]
    assert (value["seq"], context.bad_metrics) == (7, 1)
    validator("sparkplug-data").validate(value)


CARRIERS = st.one_of(
    st.fixed_dictionaries({"int_value": st.integers(0, 2**32 - 1)}),
    st.fixed_dictionaries({"long_value": st.integers(0, 2**64 - 1)}),
    st.fixed_dictionaries({"double_value": st.floats()}),
    st.fixed_dictionaries({"float_value": st.floats(width=32)}),
    st.fixed_dictionaries({"boolean_value": st.booleans()}),
    st.fixed_dictionaries({"string_value": st.text(max_size=3)}),
    st.fixed_dictionaries({"bytes_value": st.binary(max_size=9)}),
)
SENT = st.builds(
    lambda known, carrier, timestamp: known | carrier | timestamp,
    st.sampled_from(
        [{"alias": alias} for alias in (1, 2, 3, 5, 6, 7, 9)] + [{"name": "Level"}, {"name": "x"}]
    ),
    CARRIERS,
    st.sampled_from([{}, {"timestamp": T}]),
)
ARRAYS = (
    Metric("Bits", (True,), DataType.BOOLEAN_ARRAY, T, alias=6),
    Metric("Words", ("a",), DataType.STRING_ARRAY, T, alias=7),
)


@given(st.lists(SENT, min_size=1, max_size=4))
def test_the_quick_way_means_the_same_of_whatever_peers_send(metrics):
    found = []
    for quick in (True, False):
        context = Context()
        encode("spBv1.0/g/DBIRTH/n/d", sparkplug(*BORN, *ARRAYS), context)
        way = encoder("spBv1.0/g/DDATA/n/d", context)
        way._is_data = quick
        found.append((way.encode(message(*metrics), NOW), context.bad_metrics, context.unresolved))
    assert found[0] == found[1]


def test_a_bad_metric_in_a_birth_leaves_a_birth():
    context = Context(states=DeviceStates(10_000))
    wrong = {"name": "Level", "datatype": DataType.STRING, "int_value": 1}
    good = {"name": "Speed", "datatype": DataType.INT8, "int_value": 0xFD, "alias": 1}
    birth = message({"name": "bdSeq", "datatype": DataType.INT64, "long_value": 4}, wrong, good)
    value, _ = encode("spBv1.0/g/NBIRTH/n", birth, context)
    assert [metric["value"] for metric in value["metrics"]] == [4, None, -3]
    assert json.loads(context.states.take()[1])["sparkplug"]["online"]
    value, _ = encode("spBv1.0/g/NDATA/n", message({"alias": 1, "int_value": 0xFFFFFFFC}), context)
    assert value["metrics"][0]["value"] == -4


def test_a_property_that_cannot_be_read_is_told_beside_its_value():
    properties = {"keys": ["a", "b"], "values": [{"type": 99, "int_value": 1}, {"type": 3, "int_value": 2}]}
    metric = {"name": "Level", "datatype": DataType.INT8, "int_value": 5, "properties": properties}
    value, _ = encode("spBv1.0/g/DBIRTH/n/d", message(metric))
    (shown,) = value["metrics"]
    assert (shown["value"], shown["properties"]) == (5, {"b": 2})
    assert shown["property_fault"] == "property a: unknown datatype 99, allowed: 1 to 34"
    assert "quality" not in shown
    validator("sparkplug-data").validate(value)


def test_types_of_properties_come_from_the_birth():
    context = Context()
    limits = {"low": Property(DataType.INT16, -9)}
    encode("spBv1.0/g/DBIRTH/n/d", sparkplug(Metric("T", 1, DataType.INT8, properties=limits)), context)
    properties = {"keys": ["low"], "values": [{"int_value": 0xFFFD}]}
    data = message({"name": "T", "int_value": 2, "properties": properties})
    value, _ = encode("spBv1.0/g/DDATA/n/d", data, context)
    assert value["metrics"][0]["properties"] == {"low": -3}


@pytest.mark.parametrize("kind", ["NBIRTH/n", "DBIRTH/n/d", "NDEATH/n"])
@pytest.mark.parametrize("form", [Format.SPARKPLUG_JSON, Format.SPARKPLUG_PROTOBUF])
def test_the_removal_of_a_retained_message_is_no_birth_and_no_death(kind, form):
    context = Context(states=DeviceStates(10_000))
    born = sparkplug(Metric("bdSeq", 0, DataType.INT64), Metric("Level", 1, DataType.INT8, alias=1))
    encode("spBv1.0/g/NBIRTH/n", born, context)
    assert context.states.take() is not None
    with pytest.raises(DecodeError, match="empty"):
        encoder(f"spBv1.0/g/{kind}", context, form=form).encode(b"", NOW)
    assert context.states.take() is None
    value, _ = encode("spBv1.0/g/NDATA/n", message({"alias": 1, "int_value": 3}), context)
    assert value["metrics"][0]["name"] == "Level"


@pytest.mark.parametrize("metrics", [(), ({"alias": 1, "int_value": 1},), ({"name": "a", "int_value": 1},)])
def test_a_birth_that_tells_no_metric_makes_nobody_online(metrics):
    context = Context(states=DeviceStates(10_000))
    encode("spBv1.0/g/NBIRTH/n", message(*metrics), context)
    assert json.loads(context.states.take()[1])["sparkplug"] is None


def born_with(name, count=1, context=None):
    context = context or Context()
    metrics = [Metric(name, 0, DataType.INT8, T, alias=number + 1) for number in range(count)]
    encode("spBv1.0/g/DBIRTH/n/d", sparkplug(*metrics), context)
    return context


@pytest.mark.parametrize("wrong", [{}, {"is_historical": True}], ids=["plain", "general"])
def test_a_name_repeated_by_its_alias_makes_no_more_json_than_a_record_has(wrong):
    context = born_with("n" * 900_000)
    data = message(*[{"alias": 1, "int_value": 1, **wrong}] * 5_000)
    tracemalloc.start()
    try:
        with pytest.raises(BudgetError, match="bytes of JSON"):
            encoder("spBv1.0/g/DDATA/n/d", context).encode(data, NOW)
        assert tracemalloc.get_traced_memory()[1] < 6 << 20
    finally:
        tracemalloc.stop()
    assert context.over_budget == 1
    value, _ = encode("spBv1.0/g/DDATA/n/d", message({"alias": 1, "int_value": 1}), context)
    assert len(value["metrics"][0]["name"]) == 900_000


@pytest.mark.parametrize(
    "metric",
    [
        {"name": "a", "datatype": DataType.STRING, "string_value": LONG},
        {"name": "a", "datatype": DataType.FLOAT_ARRAY, "bytes_value": b"\xcd\xcc\xcc\x3d" * 250_000},
        {
            "name": "a",
            "properties": {"keys": ["k"], "values": [{"type": 12, "string_value": LONG}]},
        },
    ],
    ids=["escapes", "floats", "property"],
)
@pytest.mark.parametrize("kind", ["DBIRTH", "DDATA"])
def test_json_beyond_a_record_is_refused_before_it_is_made(metric, kind):
    data = message(metric)
    with pytest.raises(BudgetError, match="more than 4194304 bytes of JSON"):
        encoder(f"spBv1.0/g/{kind}/n/d").encode(data, NOW)


def test_what_makes_large_records_passes():
    metric = {"name": "a", "datatype": DataType.BYTES, "bytes_value": bytes(1_000_000)}
    value, _ = encode("spBv1.0/g/DBIRTH/n/d", message(metric))
    assert len(value["metrics"][0]["value"]) > 1_300_000
    metrics = [{"name": f"Line/Cell{n}", "datatype": 3, "int_value": n} for n in range(20_000)]
    value, _ = encode("spBv1.0/g/DBIRTH/n/d", message(*metrics))
    assert len(value["metrics"]) == 20_000


@pytest.mark.parametrize("form", [Format.SPARKPLUG_JSON, Format.SPARKPLUG_PROTOBUF])
@pytest.mark.parametrize("kind", ["DBIRTH", "DDATA"])
@pytest.mark.parametrize("name", HOSTILE)
def test_messages_beyond_the_budget_are_refused_and_counted(name, kind, form):
    context = Context()
    with pytest.raises(DecodeError) as refusal:
        encoder(f"spBv1.0/g/{kind}/n/d", context, form=form).encode(HOSTILE[name], NOW)
    assert context.over_budget == isinstance(refusal.value, BudgetError)


def test_arrays_count_as_what_the_birth_calls_them():
    context = Context()
    bits = Metric("Bits", (True,), DataType.BOOLEAN_ARRAY, T, alias=1)
    encode("spBv1.0/g/DBIRTH/n/d", sparkplug(bits), context)
    data = message(*[{"alias": 1, "bytes_value": (8_000).to_bytes(4, "little") + bytes(1_000)}] * 40)
    with pytest.raises(BudgetError, match="array entries"):
        encoder("spBv1.0/g/DDATA/n/d", context).encode(data, NOW)
