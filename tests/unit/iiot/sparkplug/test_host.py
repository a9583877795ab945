import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iiot.sparkplug.command import encode_rebirth_request, encode_write
from iiot.sparkplug.composite import Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode, MetricDefinition, RebirthRequested, Write
from iiot.sparkplug.host import HostPolicy, SparkplugHost
from iiot.sparkplug.host_events import Change, LifeEvent, NonConformity, RequestRebirth
from iiot.sparkplug.host_state import Quality
from iiot.sparkplug.payload import (
    BD_SEQ,
    REBIRTH,
    Metric,
    Parameter,
    Payload,
    Template,
    decode_payload,
)
from iiot.sparkplug.rebirth import RebirthPolicy, RebirthReason
from iiot.sparkplug.topic import MessageType, Topic, parse_topic
from sparkplug_strategies import payloads

T0 = 1_700_000_000_000
KEY = ("IIoT", "n")
ASK = RequestRebirth(*KEY)
PUMP = [
    MetricDefinition("Temperature", DataType.DOUBLE),
    MetricDefinition("Mode", DataType.INT8, writable=True),
]


def values(device):
    return {} if device is None else {"Temperature": 20.0, "Mode": -1}


class Plant:
    """One edge node with two devices, a host, and the time."""

    def __init__(self, *, aliases=False, observe_only=False, **policy):
        self.now = T0
        self.edge = EdgeNode("IIoT", "n", [], {"pump": PUMP, "fan": PUMP}, aliases=aliases)
        limits = RebirthPolicy(jitter=0, debounce=10_000, observe_only=observe_only)
        self.host = SparkplugHost(HostPolicy(rebirth=limits, **policy), lambda: 0.0)

    def feed(self, *messages):
        outputs = []
        for message in messages:
            outputs += self.host.receive(
                parse_topic(message.topic), decode_payload(message.payload), self.now
            )
        return outputs

    def wait(self, ms):
        self.now += ms
        return self.host.tick(self.now)

    def connect(self):
        self.will = self.edge.next_will()
        self.feed(*self.births())
        return self

    def births(self):
        return self.edge.births(self.now, values)

    def data(self, temperature=21.0, device="pump"):
        return self.edge.data(device, {"Temperature": temperature}, self.now)

    @property
    def node(self):
        return self.host.nodes[KEY]

    @property
    def pump(self):
        return self.node.devices["pump"]

    @property
    def temperature(self):
        return self.pump.metrics["Temperature"].value

    def quality(self, device="pump", metric="Temperature"):
        unit = self.node.devices[device]
        return unit.quality(unit.metrics[metric])


def life(change, device=None, time=T0):
    return LifeEvent(change, "IIoT", "n", device, time)


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


def test_node_death_takes_all_devices_offline_at_host_time():
    plant = Plant().connect()
    plant.now += 777
    died = [life(Change.DIED, device, T0 + 777) for device in ("pump", "fan", None)]
    assert plant.feed(plant.will) == died
    assert (plant.host.nodes_online, plant.host.devices_online) == (0, 0)
    assert (plant.quality(), plant.pump.died_at, plant.node.unit.died_at) == (
        Quality.STALE,
        T0 + 777,
        T0 + 777,
    )
    assert plant.feed(plant.will) == []


def test_the_late_will_of_an_earlier_session_is_ignored():
    plant = Plant().connect()
    old = plant.will
    plant.connect()
    assert plant.feed(old) == []
    assert (plant.host.nodes_online, plant.host.devices_online, plant.host.counters.ignored) == (1, 2, 1)


def test_a_birth_that_its_own_death_overtook_does_not_revive_the_node():
    plant = Plant()
    will = plant.edge.next_will()
    births = plant.births()
    plant.feed(will)
    plant.now += 100
    assert plant.feed(*births) == []
    assert plant.host.nodes_online == 0
    assert plant.wait(0) == [ASK]
    plant.now += 1000
    plant.feed(*plant.births())
    assert (plant.host.nodes_online, plant.host.devices_online) == (1, 2)


def test_a_node_that_never_counts_its_sessions_comes_back():
    plant = Plant().connect()
    plant.feed(plant.will)
    plant.now += 10_000
    plant.feed(*plant.births())
    assert plant.host.nodes_online == 1


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


def test_commands_reach_the_edge_node():
    plant = Plant(aliases=True).connect()
    topic = "spBv1.0/IIoT/DCMD/n/pump"
    write = encode_write(plant.pump.metrics["Mode"], -3, T0)
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


def test_a_host_that_was_cut_off_knows_nothing_until_the_births():
    plant = Plant().connect()
    assert plant.host.connection_lost(plant.now) == [life(Change.STALE)]
    assert (plant.host.nodes_online, plant.host.devices_online) == (0, 0)
    assert plant.quality() is Quality.STALE
    assert plant.wait(0) == [ASK]
    plant.feed(*plant.births())
    assert (plant.host.nodes_online, plant.host.devices_online) == (1, 2)


def test_an_observer_that_was_cut_off_keeps_what_it_knows():
    plant = Plant(observe_only=True).connect()
    assert plant.host.connection_lost(plant.now) == []
    assert plant.host.devices_online == 2


def test_a_session_that_is_replaced_before_its_death_is_told():
    plant = Plant().connect()
    plant.edge.next_will()
    outputs = plant.feed(*plant.births())
    assert LifeEvent(Change.REPLACED, *KEY, None, T0) in outputs
    assert (plant.node.replaced, plant.node.duplicate) == (1, False)
    plant.feed(plant.will)
    assert plant.node.unit.online
    assert plant.host.counters.non_conformant[NonConformity.SESSION_REPLACED] == 1


def test_two_publishers_with_one_id_are_told_from_a_takeover():
    plant = Plant()
    twin = EdgeNode("IIoT", "n", [], {"pump": PUMP}, bd_seq=40)
    for edge in (plant.edge, twin):
        for _ in range(3):
            edge.next_will()
    changes = []
    for edge in (plant.edge, twin, plant.edge):
        changes += [output.change for output in plant.feed(*edge.births(plant.now, values))]
    assert changes.count(Change.REPLACED) == 2
    assert changes.count(Change.DUPLICATE) == 1
    assert plant.node.duplicate


@pytest.mark.parametrize(("validate", "online"), [(True, True), (False, False)])
def test_the_bdseq_of_a_death_counts_unless_switched_off(validate, online):
    plant = Plant(validate_bd_seq=validate).connect()
    stranger = EdgeNode("IIoT", "n", [], {}, bd_seq=99)
    plant.feed(stranger.next_will())
    assert plant.node.unit.online is online


class Stored:
    """A host that comes late to an edge node whose births the broker has stored."""

    def __init__(self):
        self.plant = Plant(aliases=True)
        self.will = self.plant.edge.next_will()
        self.births = self.plant.births()
        self.missed = [self.plant.data(value) for value in (1.0, 2.0)]
        for message in self.births:
            topic, payload = parse_topic(message.topic), decode_payload(message.payload)
            self.plant.host.receive_certificate(topic, payload, self.plant.now)


def test_stored_births_make_data_readable_without_a_rebirth():
    plant = Stored().plant
    assert (plant.host.nodes_online, plant.host.devices_online) == (0, 0)
    assert plant.quality() is Quality.STALE
    (born,) = plant.feed(plant.data(33.0))
    assert (born.change, plant.temperature) == (Change.BORN, 33.0)
    assert (plant.host.nodes_online, plant.host.devices_online) == (1, 1)
    assert plant.quality() is Quality.GOOD
    assert plant.quality(metric="Mode") is Quality.STALE  # nobody vouches for its stored value
    assert plant.wait(60_000) == []
    plant.feed(*plant.births())
    assert plant.quality(metric="Mode") is Quality.GOOD
    assert plant.host.devices_online == 2


def test_gaps_count_from_the_first_message_after_stored_births():
    plant = Stored().plant
    plant.feed(plant.data(33.0))
    plant.data(34.0)
    plant.feed(plant.data(35.0))
    assert plant.wait(60_000)[-1] == ASK
    assert plant.node.gaps == 1


def test_stored_births_of_a_dead_node_stay_dead():
    stored = Stored()
    plant = stored.plant
    plant.feed(stored.will)
    plant.feed(plant.data(33.0))
    assert (plant.host.nodes_online, plant.host.devices_online) == (0, 0)
    assert plant.wait(60_000) == [ASK]


def test_a_living_node_is_not_overwritten_by_what_was_stored():
    plant = Plant().connect()
    plant.feed(plant.data(50.0))
    for message in plant.births():
        plant.host.receive_certificate(parse_topic(message.topic), decode_payload(message.payload), T0)
    assert plant.temperature == 50.0
    assert plant.host.counters.certificates == 0


MOTOR = Template(
    [
        Metric("Speed", -5, DataType.INT32, T0),
        Metric("Name", "a", DataType.STRING, T0),
        Metric("Gear", Template([Metric("Ratio", -1, DataType.INT8, T0)], ref="Gear"), DataType.TEMPLATE, T0),
    ],
    [Parameter("Maker", DataType.STRING, "x")],
    ref="Motor",
)


def with_motor():
    plant = Plant()
    metrics = [MetricDefinition("Drive", DataType.TEMPLATE)]
    plant.edge = EdgeNode("IIoT", "n", [], {"pump": metrics})
    plant.edge.next_will()
    plant.feed(*plant.edge.births(T0, lambda device: {"Drive": MOTOR} if device else {}))
    return plant


def test_parts_of_a_template_change_only_their_members():
    plant = with_motor()
    gear = Template([Metric("Ratio", -7, DataType.INT8, T0)], ref="Gear")
    part = Template(
        [Metric("Speed", -9, DataType.INT32, T0 + 1), Metric("Gear", gear, DataType.TEMPLATE, T0 + 1)],
        ref="Motor",
    )
    plant.feed(plant.edge.data("pump", {"Drive": part}, T0 + 1))
    drive = plant.pump.metrics["Drive"].value
    assert [(member.name, member.datatype) for member in drive.metrics] == [
        ("Speed", DataType.INT32),
        ("Name", DataType.STRING),
        ("Gear", DataType.TEMPLATE),
    ]
    assert [member.value for member in drive.metrics[:2]] == [-9, "a"]
    assert drive.metrics[2].value.metrics[0].value == -7
    assert drive.parameters == MOTOR.parameters


def test_a_member_that_no_birth_announced_is_refused():
    plant = with_motor()
    part = Template([Metric("Size", 1, DataType.INT32, T0)], ref="Motor")
    plant.feed(plant.edge.data("pump", {"Drive": part}, T0 + 1))
    assert plant.pump.metrics["Drive"].value.metrics[0].value == -5
    assert plant.wait(60_000) == [ASK]
    assert plant.host.counters.undecodable == 1


def test_two_publishers_that_throw_each_other_out_are_told():
    plant = Plant()
    twin = EdgeNode("IIoT", "n", [], {"pump": PUMP}, bd_seq=40)
    changes = []
    for _ in range(2):
        for edge in (plant.edge, twin):  # the broker publishes the will of whom it throws out
            will = edge.next_will()
            outputs = plant.feed(*edge.births(plant.now, values), will)
            changes += [output.change for output in outputs]
            plant.now += 1000
    assert changes.count(Change.DUPLICATE) == 1
    assert plant.node.duplicate


def test_restarts_that_forget_the_bdseq_are_no_duplicates():
    plant = Plant()
    for _ in range(10):
        plant.edge = EdgeNode("IIoT", "n", [], {"pump": PUMP})
        plant.connect()
        plant.feed(plant.will)
        plant.now += 1000
    assert not plant.node.duplicate


@pytest.mark.parametrize("jump", [-3_600_000, 3_600_000])
def test_a_clock_that_jumps_changes_the_times_shown_and_no_decision(jump):
    plant = Plant().connect()
    plant.data()  # lost
    plant.feed(plant.data(22.0))
    plant.host.epoch = jump
    assert plant.wait(1999) == []
    assert plant.wait(1) == [life(Change.STALE, time=plant.now + jump), RequestRebirth("IIoT", "n")]
    plant.feed(*plant.births())
    plant.data()
    plant.feed(plant.data())
    plant.host.epoch = -jump
    assert plant.wait(2000) == [life(Change.STALE, time=plant.now - jump)]
    assert plant.wait(5_999) == []  # ten seconds after the first request, not before
    assert plant.wait(2_001) == [RequestRebirth("IIoT", "n")]
    plant.feed(*plant.births())
    assert plant.pump.seen_at == plant.now - jump
    plant.feed(plant.will)
    assert plant.node.unit.died_at == plant.now - jump
    plant.host.epoch = jump
    plant.now += 250
    plant.feed(*plant.births())  # not trailing: the window is over, whatever the clock says
    assert plant.host.nodes_online == 1
