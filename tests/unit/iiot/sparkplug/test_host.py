"""What a host makes of births, data and deaths in and out of order."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iiot.sparkplug.command import encode_rebirth_request, encode_write
from iiot.sparkplug.composite import Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import RebirthRequested, Write
from iiot.sparkplug.host import SparkplugHost
from iiot.sparkplug.host_events import Change, NonConformity
from iiot.sparkplug.host_policy import HostPolicy
from iiot.sparkplug.host_state import Quality
from iiot.sparkplug.payload import (
    BD_SEQ,
    REBIRTH,
    Metric,
    Payload,
    decode_payload,
)
from iiot.sparkplug.rebirth import RebirthPolicy, RebirthReason
from iiot.sparkplug.topic import MessageType, Topic, parse_topic
from sparkplug_plant import ASK, KEY, T0, Plant, life, values
from sparkplug_strategies import payloads


def test_births_bring_node_and_devices_online():
    plant = Plant()
    plant.edge.next_will()
    assert plant.feed(*plant.births()) == [
        life(Change.BORN),
        life(Change.BORN, "pump"),
        life(Change.BORN, "fan"),
    ]
    assert (plant.host.nodes_online, plant.host.devices_online) == (1, 2)
    mode = plant.pump.metrics["Mode"]
    assert (mode.value, mode.datatype, mode.timestamp) == (-1, DataType.INT8, T0)
    assert plant.quality() is Quality.GOOD
    assert plant.node.unit.metrics[BD_SEQ].value == 0


@pytest.mark.parametrize("aliases", [False, True])
def test_data_changes_values_by_name_or_alias(aliases):
    plant = Plant(aliases=aliases).connect()
    plant.now += 5
    assert plant.feed(plant.edge.data("fan", {"Mode": -7}, plant.now)) == []
    mode = plant.node.devices["fan"].metrics["Mode"]
    assert (mode.value, mode.timestamp) == (-7, T0 + 5)
    assert plant.pump.metrics["Mode"].value == -1


def test_sequence_wraps_without_a_gap():
    plant = Plant().connect()
    for i in range(600):
        plant.feed(plant.data(float(i)))
    assert plant.temperature == 599.0
    assert plant.host.counters.gaps == plant.host.counters.reordered == 0


def test_messages_out_of_order_are_applied_in_order():
    plant = Plant().connect()
    first, second, third = plant.data(1.0), plant.data(2.0), plant.data(3.0)
    plant.feed(third, second)
    assert plant.temperature == 20.0
    plant.feed(first)
    assert plant.temperature == 3.0
    assert plant.wait(60_000) == []
    assert (plant.host.counters.reordered, plant.node.reordered, plant.host.counters.gaps) == (2, 2, 0)


def test_a_death_and_birth_of_a_device_are_applied_in_order():
    plant = Plant().connect()
    death = plant.edge.device_death("pump", plant.now)
    birth = plant.edge.device_birth("pump", plant.now, values("pump"))
    assert plant.feed(birth) == []
    assert plant.feed(death) == [life(Change.DIED, "pump"), life(Change.BORN, "pump")]
    assert plant.host.devices_online == 2


def test_a_lost_message_makes_the_node_stale_and_asks_for_one_rebirth():
    plant = Plant(reorder_timeout=2000).connect()
    plant.data()
    plant.feed(plant.data(2.0))
    assert plant.wait(1999) == []
    assert plant.wait(1) == [life(Change.STALE, time=T0 + 2000), ASK]
    assert plant.quality() is Quality.STALE
    assert plant.temperature == 20.0
    for _ in range(50):
        plant.feed(plant.data(3.0))
        assert plant.wait(100) == []
    assert (plant.host.counters.gaps, plant.node.gaps, plant.host.counters.ignored) == (1, 1, 50)
    plant.feed(*plant.births())
    assert plant.quality() is Quality.GOOD
    assert plant.wait(60_000) == []


def test_the_request_is_repeated_while_no_birth_comes():
    plant = Plant().connect()
    plant.data()
    plant.feed(plant.data())
    plant.wait(2000)
    asked = 0
    for _ in range(350):
        plant.feed(plant.data())
        asked += len(plant.wait(100))
    assert asked == 2


def test_without_reorder_time_a_gap_counts_at_once():
    plant = Plant(reorder_timeout=0).connect()
    plant.data()
    assert plant.feed(plant.data()) == [life(Change.STALE)]
    assert plant.wait(0) == [ASK]


def test_a_full_reorder_buffer_gives_up_at_once():
    plant = Plant(reorder_capacity=2).connect()
    plant.data()
    assert plant.feed(plant.data(), plant.data()) == []
    assert plant.feed(plant.data()) == [life(Change.STALE)]
    plant.feed(*plant.births())
    plant.data()
    assert plant.feed(plant.data(), plant.data()) == []


def test_observe_only_goes_on_after_a_gap_and_never_writes():
    plant = Plant(observe_only=True).connect()
    plant.data()
    plant.feed(plant.data(2.0), plant.data(3.0))
    assert plant.wait(2000) == []
    assert plant.temperature == 3.0
    plant.feed(plant.data(4.0))
    assert plant.temperature == 4.0
    assert (plant.host.counters.gaps, plant.host.rebirths.wanted[RebirthReason.GAP]) == (1, 1)


def test_observe_only_applies_the_message_that_found_no_place():
    plant = Plant(observe_only=True, reorder_capacity=1).connect()
    plant.data()
    plant.feed(plant.data(2.0), plant.data(3.0), plant.data(4.0))
    assert plant.temperature == 4.0
    assert plant.host.counters.gaps == 1


def test_devices_stay_stale_after_a_node_birth_until_their_own():
    plant = Plant().connect()
    nbirth, pump, _ = plant.births()
    plant.feed(nbirth)
    assert (plant.quality("pump"), plant.host.devices_online) == (Quality.STALE, 0)
    plant.feed(pump)
    assert (plant.quality("pump"), plant.quality("fan"), plant.host.devices_online) == (
        Quality.GOOD,
        Quality.STALE,
        1,
    )


def test_device_births_that_overtook_their_node_birth_are_kept():
    plant = Plant().connect()
    for _ in range(10):
        plant.feed(plant.data())
    plant.now += 1000
    nbirth, pump, fan = plant.births()
    assert plant.feed(fan, pump) == []
    plant.feed(nbirth)
    assert plant.host.devices_online == 2
    assert plant.wait(60_000) == []


def test_device_death_is_at_the_time_of_its_payload():
    plant = Plant().connect()
    death = plant.edge.device_death("fan", T0 + 40)
    plant.now += 100
    assert plant.feed(death) == [life(Change.DIED, "fan", T0 + 40)]
    assert (plant.quality("fan"), plant.quality("pump"), plant.host.devices_online) == (
        Quality.STALE,
        Quality.GOOD,
        1,
    )


def test_data_before_birth_asks_for_a_rebirth():
    plant = Plant()
    plant.edge.next_will()
    plant.births()
    plant.feed(plant.data(), plant.data())
    assert plant.wait(0) == [ASK]
    assert plant.host.counters.ignored == 2
    assert plant.host.nodes_online == 0


def test_data_of_a_device_without_birth_asks_for_a_rebirth():
    plant = Plant()
    plant.edge.next_will()
    births = plant.edge.births(T0, lambda device: None if device == "fan" else values(device))
    plant.feed(*births)
    plant.edge.device_birth("fan", T0, values("fan"))
    plant.node.order.expected = 3
    plant.feed(plant.data(device="fan"))
    assert plant.wait(0) == [ASK]


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (Metric("Pressure", 1.0), RebirthReason.UNKNOWN_METRIC),
        (Metric(None, 1.0, alias=99), RebirthReason.UNKNOWN_ALIAS),
        (Metric(None, 1.0), RebirthReason.UNKNOWN_ALIAS),
        (Metric("Mode", "fast"), RebirthReason.UNDECODABLE),
    ],
)
def test_a_metric_that_cannot_be_placed_asks_for_a_rebirth(metric, reason):
    plant = Plant(aliases=True).connect()
    payload = Payload(T0, [metric, Metric("Temperature", 30.0)], 3)
    plant.host.receive(Topic(MessageType.DDATA, "IIoT", "n", "pump"), payload, T0)
    assert plant.wait(0) == [ASK]
    assert plant.host.rebirths.wanted[reason] == 1
    assert plant.temperature == 30.0


def test_undecodable_and_retained_messages_ask_for_a_rebirth():
    for hook, reason in (("receive_undecodable", "undecodable"), ("receive_retained", "retained_birth")):
        plant = Plant().connect()
        getattr(plant.host, hook)(Topic(MessageType.NDATA, "IIoT", "n"), T0)
        assert plant.wait(0) == [ASK]
        assert plant.host.rebirths.wanted[RebirthReason(reason)] == 1
        getattr(plant.host, hook)(Topic(MessageType.NCMD, "IIoT", "m"), T0)
        assert plant.wait(0) == []


def test_historical_values_leave_the_current_one():
    plant = Plant().connect()
    plant.feed(plant.edge.data("pump", {"Temperature": 1.0}, T0, acquired=T0 - 5000))
    assert (plant.temperature, plant.host.counters.historical) == (20.0, 1)


def test_null_and_quality():
    plant = Plant().connect()
    plant.feed(plant.edge.data("pump", {"Temperature": None}, T0))
    assert plant.temperature is None
    topic = Topic(MessageType.DDATA, "IIoT", "n", "pump")
    for seq, (code, quality) in enumerate(
        [(0, Quality.BAD), (500, Quality.STALE), (192, Quality.GOOD)], start=4
    ):
        metric = Metric("Temperature", 1.0, properties={"Quality": Property(DataType.INT32, code)})
        plant.host.receive(topic, Payload(T0, [metric], seq), T0)
        assert plant.quality() is quality


@pytest.mark.parametrize(
    ("message_type", "payload", "kind"),
    [
        (
            MessageType.NBIRTH,
            Payload(T0, [Metric(BD_SEQ, 1, DataType.UINT64)], 0),
            NonConformity.NO_REBIRTH_METRIC,
        ),
        (
            MessageType.NBIRTH,
            Payload(T0, [Metric(REBIRTH, False, DataType.BOOLEAN)], 0),
            NonConformity.MISSING_BD_SEQ,
        ),
        (MessageType.NBIRTH, Payload(T0, [], 5), NonConformity.NBIRTH_SEQ),
        (MessageType.NBIRTH, Payload(T0, []), NonConformity.MISSING_SEQ),
        (MessageType.NBIRTH, Payload(T0, [Metric("a", 1)], 0), NonConformity.INCOMPLETE_BIRTH_METRIC),
        (MessageType.DDEATH, Payload(), NonConformity.MISSING_SEQ),
        (MessageType.NDEATH, Payload(), NonConformity.MISSING_BD_SEQ),
        (
            MessageType.DBIRTH,
            Payload(T0, [Metric("a", 1, DataType.INT8, alias=4), Metric("b", 1, DataType.INT8, alias=4)], 3),
            NonConformity.ALIAS_COLLISION,
        ),
        (
            MessageType.DBIRTH,
            Payload(T0, [Metric("a", 1, DataType.INT8, alias=3)], 3),
            NonConformity.ALIAS_COLLISION,
        ),
    ],
)
def test_faults_of_peers_are_counted_and_survived(message_type, payload, kind):
    plant = Plant(aliases=True).connect()
    plant.host.receive(
        Topic(message_type, "IIoT", "n", "pump" if message_type.of_device else None), payload, T0
    )
    assert plant.host.counters.non_conformant[kind] == 1


def test_a_device_death_without_seq_counts_as_a_death():
    plant = Plant().connect()
    plant.host.receive(Topic(MessageType.DDEATH, "IIoT", "n", "pump"), Payload(), T0)
    assert not plant.pump.online


def test_the_short_form_works_without_node_birth_and_seq():
    host = SparkplugHost(HostPolicy(rebirth=RebirthPolicy(jitter=0)), lambda: 0.0)
    metric = Metric("Temperature", 20.0, DataType.DOUBLE)
    host.receive(parse_topic("spBv1.0/IIoT/DBIRTH/d", accept_short_form=True), Payload(T0, [metric]), T0)
    data = parse_topic("spBv1.0/IIoT/DDATA/d", accept_short_form=True)
    host.receive(data, Payload(T0, [Metric("Temperature", 21.0)], 9), T0)
    node = host.nodes["IIoT", "d"]
    assert node.devices["d"].metrics["Temperature"].value == 21.0
    assert (node.short_form, host.devices_online, host.nodes_online) == (True, 1, 0)
    assert host.counters.non_conformant[NonConformity.SHORT_FORM] == 2
    host.receive(parse_topic("spBv1.0/IIoT/DDATA/other", accept_short_form=True), Payload(T0), T0)
    assert host.tick(T0 + 60_000) == []


def test_commands_are_no_state():
    plant = Plant().connect()
    plant.host.receive(Topic(MessageType.NCMD, "IIoT", "other"), Payload(), T0)
    assert list(plant.host.nodes) == [KEY]


def test_nodes_beyond_the_limit_are_ignored():
    plant = Plant(max_nodes=1).connect()
    topic = Topic(MessageType.NBIRTH, "IIoT", "second")
    assert plant.host.receive(topic, Payload(T0, [], 0), T0) == []
    plant.host.receive_undecodable(topic, T0)
    assert (len(plant.host.nodes), plant.host.counters.ignored) == (1, 2)


@pytest.mark.parametrize("aliases", [False, True])
def test_commands_reach_the_edge_node(aliases):
    plant = Plant(aliases=aliases).connect()
    topic = "spBv1.0/IIoT/DCMD/n/pump"
    write = encode_write(plant.pump.metrics["Mode"], -3, T0)
    (written,) = decode_payload(write).metrics
    assert (written.name is None, written.alias is None) == (aliases, not aliases)
    assert plant.edge.receive(topic, write) == [Write("pump", "Mode", -3)]
    assert plant.edge.receive("spBv1.0/IIoT/NCMD/n", encode_rebirth_request(T0)) == [RebirthRequested()]
    assert plant.host.request_rebirth(plant.node, T0) == ASK
    assert plant.node.rebirth_requests == 1


@given(st.randoms(use_true_random=False), st.integers(1, 4), st.booleans())
def test_shuffled_delivery_ends_in_the_same_state(rng: random.Random, window, aliases):
    """Messages that arrive up to `window` places late are put in order without a gap."""
    plant, straight = Plant(aliases=aliases).connect(), Plant(aliases=aliases).connect()
    messages = [plant.data(float(i), rng.choice(["pump", "fan"])) for i in range(40)]
    late = sorted(range(len(messages)), key=lambda i: i + rng.uniform(0, window))
    plant.feed(*(messages[i] for i in late))
    straight.feed(*messages)
    for device in ("pump", "fan"):
        expected = straight.node.devices[device].metrics["Temperature"].value
        assert plant.node.devices[device].metrics["Temperature"].value == expected
    assert plant.host.counters.gaps == 0
    assert plant.wait(60_000) == []


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(MessageType), payloads, st.integers(0, 3000)), max_size=12),
    st.booleans(),
)
def test_no_sequence_of_messages_breaks_the_host(messages, observe_only):
    plant = Plant(observe_only=observe_only, reorder_capacity=3).connect()
    for message_type, payload, wait in messages:
        device = "pump" if message_type.of_device else None
        plant.host.receive(Topic(message_type, "IIoT", "n", device), payload, plant.now)
        plant.wait(wait)
    online = [unit.online for unit in plant.node.devices.values()]
    assert plant.host.devices_online == sum(online)
    assert plant.host.nodes_online == plant.node.unit.online
    assert plant.host._held == len(plant.node.order.held)
