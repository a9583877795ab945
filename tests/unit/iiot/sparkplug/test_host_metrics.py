"""Values that cannot be used, quality and properties, and incomplete births, as a host shows them."""

import pytest

from iiot.sparkplug.composite import Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.host_events import Limit, NonConformity, Refusal
from iiot.sparkplug.host_state import Quality
from iiot.sparkplug.payload import Metric, Payload
from iiot.sparkplug.rebirth import RebirthReason
from iiot.sparkplug.topic import MessageType, Topic
from sparkplug_plant import ASK, KEY, T0, Plant, says

BAD, STALE, GOOD = Quality.BAD, Quality.STALE, Quality.GOOD
INT32 = DataType.INT32
DDATA = Topic(MessageType.DDATA, *KEY, "pump")
DBIRTH = Topic(MessageType.DBIRTH, *KEY, "pump")
NBIRTH = Topic(MessageType.NBIRTH, *KEY)


UNIT = {"engUnit": Property(DataType.STRING, "Cel"), "low": Property(INT32, -5)}


@pytest.mark.parametrize("code", [0, 500])
@pytest.mark.parametrize("later", [None, {}, {"low": Property(INT32, 1)}, says(192), says(None)])
def test_without_the_property_quality_a_value_is_good_again(code, later):
    plant = Plant().connect()
    plant.receive(DBIRTH, Metric("Temperature", 1.0, DataType.DOUBLE, properties=UNIT | says(code)))
    assert plant.judged()[0] is (STALE if code else BAD)
    plant.receive(DDATA, Metric("Temperature", 2.0, properties=later))
    assert (plant.temperature, *plant.judged()) == (2.0, GOOD, None)


def test_properties_that_data_leaves_out_stay():
    plant = Plant().connect()
    plant.receive(DBIRTH, Metric("Temperature", 1.0, DataType.DOUBLE, properties=dict(UNIT)))
    plant.receive(DDATA, Metric("Temperature", 2.0, properties=says(0)))
    assert plant.pump.metrics["Temperature"].properties == UNIT | says(0)
    plant.receive(DDATA, Metric("Temperature", 2.0, properties={"low": Property(INT32, 7)}))
    plant.receive(DDATA, Metric("Temperature", 2.0))
    assert plant.pump.metrics["Temperature"].properties == UNIT | {"low": Property(INT32, 7)}


@pytest.mark.parametrize("code", [64, 193, -1, "good", True, 192.0, 2**40])
def test_a_quality_that_the_specification_does_not_know_is_bad_and_says_so(code):
    plant = Plant().connect()
    plant.receive(DDATA, Metric("Temperature", 2.0, properties=says(code)))
    quality, reason = plant.judged()
    assert quality is BAD
    assert repr(code) in reason
    assert "192" in reason


@pytest.mark.parametrize(
    "metric",
    [
        Metric("Mode", "fast"),
        Metric("Mode", fault="Mode: got 300, allowed: -128 to 127"),
        Metric("Mode", "q", DataType.STRING),
        Metric("Mode", 1.5, DataType.DOUBLE),
        Metric("Mode", 300, DataType.INT32),
        Metric("Mode", True, DataType.BOOLEAN),
    ],
)
def test_a_value_that_cannot_be_used_is_bad_and_everything_else_of_the_message_lives(metric):
    plant = Plant().connect()
    before = plant.pump.metrics["Mode"].timestamp
    plant.now += 50
    outputs = plant.receive(DDATA, metric, Metric("Temperature", 5.0))
    quality, reason = plant.judged("Mode")
    assert quality is BAD
    assert reason
    assert outputs == [Refusal(DDATA, "Mode", reason, 1)]
    mode = plant.pump.metrics["Mode"]
    assert (mode.value, mode.timestamp, mode.datatype) == (-1, before, DataType.INT8)  # the last good one
    assert (plant.temperature, *plant.judged()) == (5.0, GOOD, None)
    assert plant.host.counters.undecodable == 1
    assert plant.wait(60_000) == [ASK]  # the value may be of a birth that was missed; and no gap follows
    plant.receive(DDATA, Metric("Mode", 3))
    assert (mode.value, *plant.judged("Mode")) == (3, GOOD, None)
    assert (plant.host.counters.gaps, plant.host.counters.ignored) == (0, 0)


def test_another_datatype_than_the_births_is_taken_where_the_value_is_of_both():
    plant = Plant().connect()
    plant.receive(DDATA, Metric("Mode", 5, DataType.INT64))
    assert (plant.pump.metrics["Mode"].value, *plant.judged("Mode")) == (5, GOOD, None)


def test_a_metric_of_a_birth_that_cannot_be_used_is_bad_alone():
    plant = Plant().connect()
    metrics = [
        Metric("Temperature", 1.0, DataType.DOUBLE),
        Metric("Odd", None, None, fault="unknown datatype 99"),
        Metric("Untold", 5),
    ]
    outputs = plant.receive(DBIRTH, *metrics)
    assert plant.pump.online
    assert (plant.temperature, *plant.judged()) == (1.0, GOOD, None)
    assert plant.judged("Odd") == (BAD, "unknown datatype 99")
    assert plant.judged("Untold")[0] is BAD
    assert plant.pump.metrics["Untold"].value is None
    assert Refusal(DBIRTH, "Odd", "unknown datatype 99", 1) in outputs
    plant.receive(DDATA, Metric("Odd", 5), Metric("Untold", 6), Metric("Temperature", 2.0))
    assert (plant.temperature, plant.pump.metrics["Odd"].value, plant.judged("Odd")[0]) == (2.0, None, BAD)


@pytest.mark.parametrize("topic", [NBIRTH, DBIRTH])
@pytest.mark.parametrize(
    "metrics", [[Metric(None, 1, INT32)], [Metric(None, 1, INT32, alias=4), Metric(None)]]
)
def test_a_birth_without_names_is_no_birth_and_asks_for_another(topic, metrics):
    plant = Plant()
    plant.edge.next_will()
    nbirth, *_ = plant.births()
    if topic is DBIRTH:
        plant.feed(nbirth)
    seq = 0 if topic is NBIRTH else 1
    outputs = plant.host.receive(topic, Payload(T0, metrics, seq), plant.now)
    assert [type(output) for output in outputs] == [Refusal]
    assert plant.host.devices_online == 0
    assert plant.host.nodes_online == (topic is DBIRTH)
    assert plant.host.counters.non_conformant[NonConformity.INCOMPLETE_BIRTH_METRIC] == 1
    assert plant.wait(0) == [ASK]
    assert plant.host.rebirths.wanted[RebirthReason.INCOMPLETE_BIRTH] == 1
    plant.feed(*plant.births())
    assert (plant.host.nodes_online, plant.host.devices_online) == (1, 2)


def test_a_birth_with_one_metric_without_a_name_is_one_of_the_others_and_asks_for_another():
    plant = Plant().connect()
    plant.receive(DBIRTH, Metric("Temperature", 1.0, DataType.DOUBLE), Metric(None, 1, INT32))
    assert (plant.pump.metrics.keys(), plant.pump.online) == ({"Temperature"}, True)
    assert plant.wait(0) == [ASK]
    plant.receive(DBIRTH, Metric("Temperature", 1.0, DataType.DOUBLE), Metric(None, 1, INT32))
    assert plant.host.counters.gaps == 0


def test_an_alias_that_two_metrics_have_stands_for_none():
    plant = Plant().connect()
    birth = [Metric(name, 0, INT32, alias=alias) for name, alias in (("a", 4), ("b", 4), ("c", 5), ("d", 4))]
    plant.receive(DBIRTH, *birth)
    plant.receive(DDATA, Metric(None, 9, alias=4), Metric(None, 8, alias=5))
    assert {name: state.value for name, state in plant.pump.metrics.items()} == {
        "a": 0,
        "b": 0,
        "c": 8,
        "d": 0,
    }
    assert [plant.pump.metrics[name].alias for name in "abcd"] == [None, None, 5, None]
    assert plant.host.rebirths.wanted[RebirthReason.UNKNOWN_ALIAS] == 1


def test_of_two_metrics_with_one_name_the_last_counts_with_its_alias():
    plant = Plant().connect()
    plant.receive(DBIRTH, Metric("a", 1, INT32, alias=4), Metric("a", 2, INT32, alias=5))
    assert plant.host.counters.non_conformant[NonConformity.DUPLICATE_METRIC] == 1
    assert plant.pump.metrics["a"].value == 2
    plant.receive(DDATA, Metric(None, 3, alias=5))
    assert plant.pump.metrics["a"].value == 3
    plant.receive(DDATA, Metric(None, 4, alias=4))
    assert plant.host.counters.unknown_metrics == 1


def test_devices_and_metrics_of_an_edge_node_have_their_limits():
    plant = Plant(max_devices=2, max_metrics=9).connect()  # two of the node's own, two of each device
    third = Topic(MessageType.DBIRTH, *KEY, "third")
    (refusal,) = plant.receive(third, Metric("a", 1, INT32))
    assert isinstance(refusal, Refusal)
    assert plant.node.devices.keys() == {"pump", "fan"}
    many = [Metric(f"m{number}", 1, INT32) for number in range(10)]
    outputs = plant.receive(DBIRTH, *many)
    assert (len(plant.pump.metrics), plant.node.size) == (5, 9)
    assert outputs[-1].count == 5
    limits = plant.host.counters.over_limit
    assert (limits[Limit.DEVICES], limits[Limit.METRICS]) == (1, 5)
    plant.feed(*plant.births())
    assert plant.node.size == 6
    assert plant.host.counters.gaps == 0


def test_messages_that_wait_hold_no_more_metrics_than_they_may():
    plant = Plant(reorder_metrics=5).connect()
    plant.data()
    for seq in (4, 5):
        plant.host.receive(DDATA, Payload(T0, [Metric("Mode", 1)] * 2, seq), T0)
    assert plant.host.counters.gaps == 0
    plant.host.receive(DDATA, Payload(T0, [Metric("Mode", 1)] * 2, 6), T0)
    assert (plant.host.counters.gaps, plant.host._held) == (1, 0)


@pytest.mark.parametrize("message_type", [MessageType.NBIRTH, MessageType.DBIRTH, MessageType.NDEATH])
def test_an_empty_message_clears_a_retained_one_and_says_nothing(message_type):
    plant = Plant().connect()
    topic = Topic(message_type, *KEY, "pump" if message_type.of_device else None)
    assert plant.host.receive_empty(topic, plant.now) == []
    assert (plant.host.nodes_online, plant.host.devices_online) == (1, 2)
    plant.host.receive_empty(Topic(MessageType.NBIRTH, "IIoT", "other"), plant.now)
    assert plant.host.nodes.keys() == {KEY}
    assert plant.wait(60_000) == []
    assert plant.host.counters.cleared == 2
    plant.feed(plant.data(3.0))
    assert plant.temperature == 3.0


def test_an_empty_death_of_a_device_or_of_a_node_without_bdseq_counts():
    plant = Plant().connect()
    plant.host.receive_empty(Topic(MessageType.DDEATH, *KEY, "pump"), plant.now)
    assert not plant.pump.online
    plant.host.receive(NBIRTH, Payload(T0, [Metric("a", 1, INT32)], 0), T0)
    plant.host.receive_empty(Topic(MessageType.NDEATH, *KEY), plant.now)
    assert plant.host.nodes_online == 0
