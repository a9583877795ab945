"""Sessions of edge nodes as a host sees them: deaths, takeovers, stored births, clocks."""

import pytest

from iiot.errors import SessionStateError
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode
from iiot.sparkplug.host_events import Change, LifeEvent, NonConformity, RequestRebirth
from iiot.sparkplug.host_state import Quality
from iiot.sparkplug.payload import (
    Metric,
    Payload,
    decode_payload,
)
from iiot.sparkplug.topic import MessageType, Topic, parse_topic
from sparkplug_plant import ASK, KEY, PUMP, T0, Plant, life, values


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


def test_an_overtaken_birth_tells_the_metrics_and_the_next_message_that_the_node_lives():
    plant = Plant()
    will = plant.edge.next_will()
    births = plant.births()
    plant.feed(will)
    plant.now += 249
    assert plant.feed(*births) == []
    assert (plant.host.nodes_online, plant.host.devices_online) == (0, 0)
    plant.now += 1  # what comes now was not overtaken
    assert plant.feed(plant.data(7.0)) == [
        life(Change.BORN, None, plant.now),
        life(Change.BORN, "pump", plant.now),
    ]
    assert (plant.temperature, plant.quality(metric="Mode")) == (7.0, Quality.STALE)


@pytest.mark.parametrize("wait", [0, 100, 249, 250, 10_000])
def test_a_session_that_was_seen_cannot_be_overtaken_so_its_number_may_come_again(wait):
    plant = Plant().connect()
    plant.feed(plant.will)
    plant.now += wait
    plant.edge = EdgeNode("IIoT", "n", [], {"pump": PUMP, "fan": PUMP})  # counts no sessions
    plant.connect()
    assert (plant.host.nodes_online, plant.host.devices_online) == (1, 2)
    assert plant.feed(plant.data(7.0)) == []
    assert plant.temperature == 7.0
    assert plant.wait(60_000) == []


def test_a_birth_that_came_after_the_death_of_its_session_is_overtaken_also_when_an_earlier_one_was_seen():
    plant = Plant().connect()
    plant.feed(plant.will)
    will = plant.edge.next_will()
    births = plant.births()
    plant.now += 5000
    plant.feed(will)
    plant.now += 10
    assert plant.feed(*births) == []
    assert plant.host.nodes_online == 0
    assert plant.wait(0) == [ASK]


@pytest.mark.parametrize("name", ["bdSeq", None])
@pytest.mark.parametrize("of_the_birth", [7, 8])
@pytest.mark.parametrize(("number", "lives"), [(3, True), (4, False)])
def test_an_alias_tells_the_session_of_a_death_as_its_name_does(name, of_the_birth, number, lives):
    plant = Plant()
    birth = Payload(T0, [Metric("bdSeq", 4, DataType.INT64, alias=of_the_birth)], 0)
    plant.host.receive(Topic(MessageType.NBIRTH, *KEY), birth, T0)
    death = Payload(None, [Metric(name, number, alias=7)])  # 7 may be an alias of the session before
    plant.host.receive(Topic(MessageType.NDEATH, *KEY), death, T0)
    assert plant.node.unit.online is lives


def test_a_death_that_was_missed_while_cut_off_is_told_when_it_comes():
    plant = Plant().connect()
    plant.host.connection_lost(plant.now)
    plant.now += 50
    assert plant.feed(plant.will) == [life(Change.DIED, None, plant.now)]
    assert plant.node.unit.died_at == plant.now
    assert plant.feed(plant.will) == []


def test_a_death_is_told_once_also_of_a_node_that_was_never_seen_alive():
    plant = Plant()
    will = plant.edge.next_will()
    assert plant.feed(will, will) == [life(Change.DIED)]
    assert plant.node.dead
    plant.births()
    plant.feed(plant.data())  # who speaks is not dead, and may be asked for a rebirth
    assert not plant.node.dead


def test_a_node_that_never_counts_its_sessions_comes_back():
    plant = Plant().connect()
    plant.feed(plant.will)
    plant.now += 10_000
    plant.feed(*plant.births())
    assert plant.host.nodes_online == 1


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
    assert plant.feed(plant.data(33.0)) == [life(Change.BORN), life(Change.BORN, "pump")]
    assert plant.temperature == 33.0
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


def test_two_publishers_that_count_alike_are_told():
    plant = Plant()
    twin = EdgeNode("IIoT", "n", [], {"pump": PUMP})
    changes = []
    for _ in range(5):
        for edge in (
            plant.edge,
            twin,
        ):  # the second's births look like overtaken ones
            will = edge.next_will()
            outputs = plant.feed(*edge.births(plant.now, values), will)
            changes += [output.change for output in outputs if isinstance(output, LifeEvent)]
            plant.now += 100
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


def test_an_edge_node_that_is_gone_can_be_forgotten():
    plant = Plant().connect()
    node = plant.node
    with pytest.raises(SessionStateError):
        plant.host.forget(node, plant.now)
    plant.host.connection_lost(plant.now)  # a rebirth is wanted from then on
    assert plant.host.forget(node, plant.now) == life(Change.FORGOTTEN)
    assert plant.host.nodes == {}
    assert plant.wait(60_000) == []
    plant.feed(*plant.births())
    assert (plant.host.nodes_online, plant.host.devices_online, plant.node.births) == (1, 2, 1)


def test_a_forgotten_edge_node_makes_room_and_starts_without_a_past():
    plant = Plant(max_nodes=1).connect()
    plant.data()  # lost
    plant.feed(plant.data())
    plant.feed(plant.will)
    plant.host.forget(plant.node, plant.now)
    topic = Topic(MessageType.DDATA, "IIoT", "second", "pump")
    plant.host.receive(topic, Payload(T0, [], 0), plant.now)
    assert plant.wait(2000) == [RequestRebirth("IIoT", "second")]
    assert plant.host._held == 0
