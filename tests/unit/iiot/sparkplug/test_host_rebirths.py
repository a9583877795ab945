"""How often a host asks for rebirth, with edge nodes that answer at once, late, in vain or never."""

import itertools

import pytest

from iiot.sparkplug.host import SparkplugHost
from iiot.sparkplug.host_events import RequestRebirth
from iiot.sparkplug.host_policy import HostPolicy
from iiot.sparkplug.payload import Metric, Payload
from iiot.sparkplug.rebirth import RebirthPolicy, RebirthReason, RebirthScheduler
from iiot.sparkplug.topic import MessageType, Topic
from sparkplug_plant import ASK, KEY, T0, Plant

DDATA = Topic(MessageType.DDATA, *KEY, "pump")


class Answering:
    """A plant that is watched for a while, and answers every rebirth request at once."""

    def __init__(self, debounce):
        self.plant = Plant().connect()
        limits = RebirthPolicy(jitter=0, debounce=debounce)
        self.plant.host = SparkplugHost(HostPolicy(rebirth=limits), lambda: 0.0)
        self.plant.feed(*self.plant.births())
        self.asked = []
        self.stale = 0

    def run(self, seconds, step):
        """Call `step` each second; returns when births were asked for, in s."""
        for second in range(seconds):
            step(second)
            for moment in range(10):
                outputs = self.plant.wait(100)
                if any(isinstance(output, RequestRebirth) for output in outputs):
                    self.asked.append(second + moment / 10)
                    self.plant.feed(*self.plant.births())
                self.stale += self.plant.node.unit.stale
        return self.asked


@pytest.mark.parametrize(("debounce", "most_stale"), [(3_000, 300), (30_000, 2_500)])
def test_each_loss_is_cured_by_its_own_birth_and_the_wait_does_not_grow(debounce, most_stale):
    watched = Answering(debounce)

    def lose_one_of_five(second):
        data = watched.plant.data(float(second))
        if second % 5:
            watched.plant.feed(data)

    asked = watched.run(300, lose_one_of_five)
    waits = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert max(waits) <= max(5.2, debounce / 1000 + 5.2)
    assert len(asked) >= 300_000 // max(debounce, 5_000) - 2
    assert watched.stale < most_stale


def test_a_node_that_counts_wrongly_is_asked_ever_less():
    watched = Answering(3_000)

    def data(_):
        watched.plant.data()  # a number is left out before each message
        watched.plant.feed(watched.plant.data())

    asked = watched.run(600, data)
    waits = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert waits == sorted(waits)
    assert waits[-1] > 100


@pytest.mark.parametrize(
    "bad",
    [
        Metric("Pressure", 1.0),
        Metric(None, 1.0, alias=99),
        Metric("Mode", "fast"),
    ],
)
def test_what_births_do_not_cure_is_asked_for_ever_less_also_when_good_data_comes_between(bad):
    watched = Answering(3_000)

    def data(second):
        watched.plant.feed(watched.plant.data(float(second)))
        expected = watched.plant.node.order.expected
        watched.plant.edge._seq.take()
        watched.plant.host.receive(DDATA, Payload(T0, [bad], expected), watched.plant.now)

    asked = watched.run(600, data)
    assert len(asked) < 10


def test_what_a_birth_cured_does_not_slow_down_the_next_cause():
    rebirths = RebirthScheduler(RebirthPolicy(debounce=1000, jitter=0), lambda: 0.0)
    for number, now in enumerate(range(0, 20_000, 1_000)):
        rebirths.want(KEY, RebirthReason.UNKNOWN_METRIC, now, f"metric {number}")
        assert rebirths.take_due(now) == [KEY]
        rebirths.born(KEY)


def test_a_person_who_asks_does_not_slow_down_the_host():
    rebirths = RebirthScheduler(RebirthPolicy(debounce=1000, jitter=0), lambda: 0.0)
    for now in range(0, 2_000, 100):
        rebirths.asked(KEY, now)
    rebirths.want(KEY, RebirthReason.GAP, 2_000)
    assert rebirths.take_due(1_900 + 999) == []
    assert rebirths.take_due(1_900 + 1_000) == [KEY]


def test_births_that_make_requests_needless_leave_nothing_behind():
    rebirths = RebirthScheduler(RebirthPolicy(debounce=1_000_000, jitter=0), lambda: 0.0)
    rebirths.asked(KEY, 0)
    for _ in range(10_000):
        rebirths.want(KEY, RebirthReason.UNDECODABLE, 1)
        rebirths.born(KEY)
    assert len(rebirths._heap) < 2_000


def test_a_death_is_no_cure():
    rebirths = RebirthScheduler(RebirthPolicy(debounce=1000, jitter=0), lambda: 0.0)
    asked = []
    for now in range(0, 100_000, 100):
        rebirths.want(KEY, RebirthReason.BEFORE_BIRTH, now, "pump")
        if rebirths.take_due(now):
            asked.append(now)
            rebirths.died(KEY)
    assert len(asked) < 10


@pytest.mark.parametrize("answers", [True, False])
def test_a_message_that_cannot_be_read_is_one_rebirth_and_no_gap(answers):
    plant = Plant().connect()
    plant.data()
    plant.host.receive_undecodable(DDATA, plant.now)
    assert plant.wait(0) == [ASK]
    plant.feed(plant.data(5.0))
    assert (plant.temperature, plant.host.counters.gaps) == (5.0, 0)
    assert plant.wait(5_000) == []
    if answers:
        plant.feed(*plant.births())
    assert plant.wait(60_000) == []


def test_a_message_that_cannot_be_read_fills_its_place_also_behind_those_that_wait():
    plant = Plant().connect()
    plant.data()
    assert plant.feed(plant.data(5.0), plant.data(6.0)) == []
    plant.host.receive_undecodable(DDATA, plant.now)
    assert (plant.temperature, plant.host.counters.gaps) == (6.0, 0)
    assert plant.wait(5_000) == [ASK]


def test_garbage_of_others_does_not_hide_a_loss_nor_disturb_the_order():
    plant = Plant().connect()
    plant.host.receive_undecodable(DDATA, plant.now)
    plant.feed(plant.data(5.0), plant.data(6.0))
    assert plant.temperature == 6.0
    plant.data()
    plant.feed(plant.data(7.0))
    plant.wait(2_000)
    assert plant.host.counters.gaps == 1
