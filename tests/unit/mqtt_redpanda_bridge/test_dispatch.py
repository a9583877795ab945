"""Devices shared among bridges: one member for each at any time, nothing lost, order kept."""

from collections import defaultdict, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.sparkplug.payload import Payload, encode_payload
from mqtt_redpanda_bridge import dispatch as dispatch_module
from mqtt_redpanda_bridge.devices import DeviceStates
from mqtt_redpanda_bridge.dispatch import Dispatcher, device_of
from mqtt_redpanda_bridge.encode import Context
from mqtt_redpanda_bridge.pump import Pump
from mqtt_redpanda_bridge.routes import Format, Route, RouteTable

ROUTES = RouteTable(
    [
        Route(name="sparkplug", filters=("spBv1.0/#",), topic="sparkplug", format=Format.SPARKPLUG_JSON),
        Route(name="raw", filters=("raw/+",), topic="raw", format=Format.RAW, key="level:2"),
    ]
)


class Incoming:
    def __init__(self, topic, payload=b"x"):
        self.topic, self.payload, self.duplicate = topic, payload, False
        self.acks = 0

    def ack(self):
        self.acks += 1


class Kafka:
    """Delivers what this bridge produces when the test says so."""

    def __init__(self, log):
        self.pending, self.log = deque(), log

    def produce(self, topic, key, value, headers, on_delivery):
        self.pending.append((value, on_delivery))

    def report(self):
        value, on_delivery = self.pending.popleft()
        self.log.append(value)
        on_delivery(None)


class Member:
    """Another bridge: delivers in order, reports when the test says so."""

    def __init__(self, rig):
        self.rig = rig
        self.unsettled = deque()
        self.got, self.taught, self.changes = deque(), [], []
        self.is_dismissed = self.is_alive = False

    def send(self, message):
        self.got.append(message)

    def teach(self, topic, payload):
        self.taught.append(topic)

    def prepare(self, change):
        self.changes.append(change)

    def dismiss(self):
        assert not self.unsettled
        self.is_dismissed = True

    def report(self):
        self.rig.log.append(self.got.popleft().payload)
        self.rig.dispatcher.settle(self, 1)


class Rig:
    def __init__(self, max_bytes=1 << 20):
        self.log, self.learnt, self.changes, self.known = [], [], [], []
        self.kafka = Kafka(self.log)
        context = Context(states=DeviceStates())
        clock = iter(range(1 << 30)).__next__
        self.pump = Pump(
            ROUTES, context, self.kafka, clock=clock, wall_clock=lambda: 0.0, max_bytes=max_bytes
        )
        self.dispatcher = Dispatcher(
            ROUTES,
            self.pump,
            births=lambda: self.known,
            learn=lambda topic, _: self.learnt.append(topic),
            prepare=self.changes.append,
            max_bytes=max_bytes,
        )
        self.dispatcher.start()

    def join(self):
        member = Member(self)
        self.dispatcher.join(member)
        return member

    def all_ready(self, *members):
        for member in members:
            if member.changes:
                self.dispatcher.ready(member, member.changes[-1])
        if self.changes:
            self.dispatcher.ready(None, self.changes[-1])

    def handle(self, topic, payload=b"x"):
        message = Incoming(topic, payload)
        self.dispatcher.handle(message)
        return message


@pytest.fixture
def rig():
    return Rig()


def topic_of(rig, member):
    """A topic whose device belongs to a member; None is this bridge."""
    for number in range(1000):
        topic = f"raw/{number}"
        before = len(rig.kafka.pending) if member is None else len(member.got)
        rig.handle(topic)
        if (len(rig.kafka.pending) if member is None else len(member.got)) > before:
            return topic
    raise AssertionError("no device belongs to it")


def test_alone_a_bridge_delivers_everything_itself(rig):
    message = rig.handle("raw/1")
    rig.kafka.report()
    assert (message.acks, rig.dispatcher.members, rig.dispatcher.handed_over) == (1, 1, 0)


def test_a_message_at_another_member_is_acknowledged_when_it_reports(rig):
    member = rig.join()
    rig.all_ready(member)
    topic = topic_of(rig, member)
    message = rig.handle(topic)
    while member.got:
        assert message.acks == 0
        member.report()
    assert message.acks == 1
    assert rig.dispatcher.handed_over == rig.dispatcher.settled


def test_members_change_only_when_nothing_is_in_flight_and_all_are_ready(rig):
    first = rig.handle("raw/1")
    member = rig.join()
    second = rig.handle("raw/1")
    assert (member.changes, rig.dispatcher.in_flight) == ([], 2)
    rig.kafka.report()
    assert (first.acks, member.changes, rig.changes) == (1, [1], [1])
    assert not rig.kafka.pending
    assert not member.got
    rig.dispatcher.ready(member, 1)
    rig.dispatcher.ready(None, 1)
    assert len(rig.kafka.pending) + len(member.got) == 1
    assert second.acks == 0


def test_an_answer_to_an_earlier_change_does_not_count(rig):
    one = rig.join()
    two = rig.join()
    assert (one.changes, two.changes) == ([1, 2], [2])
    for member in (one, two, None):
        rig.dispatcher.ready(member, 1)
    message = rig.handle("raw/1")
    assert rig.dispatcher.in_flight == 1
    rig.all_ready(one, two)
    assert rig.dispatcher.members == 3
    assert message.payload in [entry.payload for entry in (*one.got, *two.got)] or rig.kafka.pending


def test_what_a_lost_member_had_is_delivered_before_anything_newer(rig):
    member = rig.join()
    rig.all_ready(member)
    topic = topic_of(rig, member)
    for text in (b"1", b"2"):
        rig.handle(topic, text)
    rig.dispatcher.lost(member)
    rig.handle(topic, b"3")
    while rig.kafka.pending:
        rig.kafka.report()
    rig.all_ready()
    while rig.kafka.pending:
        rig.kafka.report()
    assert [value for value in rig.log if value in (b"1", b"2", b"3")] == [b"1", b"2", b"3"]
    assert rig.dispatcher.taken_back >= 2
    assert rig.dispatcher.handed_over == rig.dispatcher.settled + rig.dispatcher.taken_back
    assert rig.pump.counters["raw"].redelivered == rig.dispatcher.taken_back


def test_a_member_that_leaves_is_let_go_when_it_has_nothing_left(rig):
    member = rig.join()
    rig.all_ready(member)
    topic_of(rig, member)
    rig.dispatcher.leave(member)
    assert not member.is_dismissed
    while member.got:
        member.report()
    while rig.kafka.pending:
        rig.kafka.report()
    assert member.is_dismissed
    rig.all_ready()
    assert (rig.dispatcher.members, rig.dispatcher.in_flight) == (1, 0)


def test_everyone_learns_every_birth_and_newcomers_all_that_are_known(rig):
    rig.known = [("spBv1.0/g/NBIRTH/old", b"")]
    members = [rig.join(), rig.join()]
    rig.all_ready(*members)
    assert all("spBv1.0/g/NBIRTH/old" in member.taught for member in members)
    for number in range(20):
        rig.handle(f"spBv1.0/g/NBIRTH/n{number}", encode_payload(Payload(1, [], 0)))
    for number in range(20):
        topic = f"spBv1.0/g/NBIRTH/n{number}"
        holders = [topic in member.taught for member in members]
        owners = [topic in [entry.topic for entry in member.got] for member in members]
        assert sum(holders) + sum(owners) == 2
        assert (topic in rig.learnt) == any(owners)


def test_too_many_bytes_at_others_stop_the_reading(rig):
    rig = Rig(max_bytes=100)
    calls = []
    rig.dispatcher.on_pressure = calls.append
    member = rig.join()
    rig.all_ready(member)
    topic = topic_of(rig, member)
    rig.handle(topic, b"x" * 101)
    assert (calls, rig.dispatcher.under_pressure) == ([True], True)
    while member.got:
        member.report()
    assert calls == [True, False]


def test_after_a_stop_the_broker_keeps_what_nobody_has_begun(rig):
    begun = rig.handle("raw/1")
    rig.join()
    waiting = rig.handle("raw/1")
    idle = []
    rig.dispatcher.on_idle = lambda: idle.append(1)
    rig.dispatcher.stop()
    late = rig.handle("raw/1")
    assert rig.dispatcher.in_flight == 1
    rig.kafka.report()
    assert idle
    assert (begun.acks, waiting.acks, late.acks) == (1, 0, 0)


def test_a_bridge_that_is_not_the_receiver_any_more_starts_anew(rig):
    member = rig.join()
    rig.all_ready(member)
    topic_of(rig, member)
    rig.dispatcher.disband()
    rig.dispatcher.lost(member)
    assert (rig.dispatcher.members, rig.dispatcher.handed_in_flight) == (1, 0)


def test_the_ways_kept_are_bounded(rig, monkeypatch):
    monkeypatch.setattr(dispatch_module, "MAX_LANES", 10)
    member = rig.join()
    rig.all_ready(member)
    for number in range(50):
        rig.handle(f"raw/{number}")
    assert len(rig.dispatcher._ways) <= 10


@pytest.mark.parametrize(
    ("form", "key", "topic", "device"),
    [
        (Format.SPARKPLUG_JSON, "level:2", "spBv1.0/g/DDATA/n/d", ("n", False)),
        (Format.SPARKPLUG_PROTOBUF, "device", "spBv1.0/g/NBIRTH/n", ("n", True)),
        (Format.SPARKPLUG_JSON, "device", "spBv1.0/g/DBIRTH/n", ("n", True)),
        (Format.SPARKPLUG_JSON, "device", "spBv1.0/STATE/h", ("spBv1.0/STATE/h", False)),
        (Format.SPARKPLUG_JSON, "device", "spBv1.0/nonsense", ("spBv1.0/nonsense", False)),
        (Format.LWM2M_JSON, "device", "lwm2m/n/notify/7", ("n", False)),
        (Format.LWM2M_JSON, "device", "tenant/lwm2m/n/reg", ("n", False)),
        (Format.LWM2M_JSON, "device", "other/n/reg", ("other/n/reg", False)),
        (Format.LWM2M_OMA, "device", "lwm2m/rd/n", ("n", False)),
        (Format.LWM2M_OMA, "device", "tenant/lwm2m/rd/n", ("n", False)),
        (Format.LWM2M_OMA, "device", "lwm2m/rd", ("lwm2m/rd", False)),
        (Format.RAW, "level:2", "raw/n/x", ("n", False)),
        (Format.RAW, "topic", "raw/n/x", ("raw/n/x", False)),
    ],
)
def test_the_device_of_a_topic(form, key, topic, device):
    assert device_of(Route(name="r", filters=("#",), topic="t", format=form, key=key), topic) == device


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "kafka", "report", "ready", "join", "leave", "lose", "late"]),
        st.integers(0, 5),
    ),
    max_size=80,
)


class Group:
    """Messages, members that come and go, and what became of it all."""

    def __init__(self):
        self.rig = Rig()
        self.members, self.gone, self.sent, self.numbers = [], [], [], defaultdict(int)

    def send(self, device):
        self.numbers[device] += 1
        self.sent.append(self.rig.handle(f"raw/{device}", b"%d %d" % (device, self.numbers[device])))

    def kafka(self, _):
        if self.rig.kafka.pending:
            self.rig.kafka.report()

    def ready(self, _):
        self.rig.all_ready(*self.members)

    def join(self, _):
        if len(self.members) < 4:
            self.members.append(self.rig.join())

    def report(self, which):
        for member in self.members[which : which + 1]:
            if member.got:
                member.report()

    def leave(self, which):
        for member in self.members[which : which + 1]:
            self.rig.dispatcher.leave(member)

    def lose(self, which):
        for member in self.members[which : which + 1]:
            self.rig.dispatcher.lost(member)
            self.members.remove(member)
            self.gone.append(member)

    def late(self, which):
        """What a lost member had may still reach Kafka, at any time later."""
        for member in self.gone[which : which + 1]:
            if member.got:
                member.report()

    def settle_all(self):
        for _ in range(len(self.sent) + 10):
            self.ready(0)
            for _ in range(len(self.rig.kafka.pending)):
                self.kafka(0)
            for which, member in enumerate(self.members):
                for _ in range(len(member.got)):
                    self.report(which)

    def assert_identities(self):
        dispatcher = self.rig.dispatcher
        known = dispatcher.settled + dispatcher.taken_back + dispatcher.handed_in_flight
        assert dispatcher.handed_over == known
        assert sum(message.acks for message in self.sent) == len(self.sent) - dispatcher.in_flight


@given(STEPS)
def test_nothing_is_lost_or_overtaken_whatever_members_do(steps):
    group = Group()
    for name, value in steps:
        getattr(group, name)(value)
        group.assert_identities()
    group.settle_all()
    group.assert_identities()
    assert all(message.acks == 1 for message in group.sent)
    for device, last in group.numbers.items():
        arrived = [int(text.split()[1]) for text in group.rig.log if text.startswith(b"%d " % device)]
        assert list(dict.fromkeys(arrived)) == list(range(1, last + 1))
