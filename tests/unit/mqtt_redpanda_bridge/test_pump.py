import asyncio
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot import dead_letters
from iiot.errors import KafkaError
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload
from iiot.topics import DEVICE_STATE
from mqtt_redpanda_bridge import pump as pump_module
from mqtt_redpanda_bridge.devices import DeviceStates
from mqtt_redpanda_bridge.encode import Context
from mqtt_redpanda_bridge.pump import Pump
from mqtt_redpanda_bridge.routes import Route, RouteTable
from sparkplug_hostile import HOSTILE
from support import HeldRunner

TOO_LARGE = "MSG_SIZE_TOO_LARGE: Broker: Message size too large"
MAYBE_LATER = "UNKNOWN_TOPIC_OR_PART: Broker: Unknown topic or partition"
GOOD, POISON, UNMATCHED = "raw/1", "spBv1.0/g/DDATA/n/d", "elsewhere"
ROUTES = RouteTable(
    [
        Route(name="raw", filters=("raw/+",), topic="raw", format="raw", key="topic"),
        Route(name="sparkplug", filters=("spBv1.0/#",), topic="sparkplug", format="sparkplug-json"),
    ]
)


class Incoming:
    def __init__(self, topic, payload=b"x", duplicate=False):
        self.topic, self.payload, self.duplicate = topic, payload, duplicate
        self.acks = 0

    def ack(self):
        self.acks += 1


class Kafka:
    """Stands for the producer: holds records until the test decides their fate."""

    def __init__(self):
        self.pending, self.log, self.refuse = [], [], None

    def produce(self, topic, key, value, headers, on_delivery):
        if self.refuse:
            raise KafkaError(self.refuse)
        self.pending.append((topic, value, on_delivery))

    def report(self, at=0, error=None):
        topic, value, on_delivery = self.pending.pop(at)
        if error is None:
            self.log.append((topic, value))
        on_delivery(error)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def kafka():
    return Kafka()


def make_pump(kafka, clock=None, max_bytes=1 << 20, states=None, **more):
    context = Context(states=states or DeviceStates())
    clock = clock or Clock()
    return Pump(ROUTES, context, kafka, clock=clock, wall_clock=Clock(), max_bytes=max_bytes, **more)


def totals(pump):
    counters = pump.counters.values()
    fields = ("received", "delivered", "dead_lettered", "in_flight")
    return {field: sum(getattr(c, field) for c in counters) for field in fields}


def assert_identity(pump):
    for counters in pump.counters.values():
        assert counters.received == counters.delivered + counters.dead_lettered + counters.in_flight
    assert totals(pump)["in_flight"] == pump.in_flight


def test_a_message_is_acknowledged_after_its_delivery_report_only(kafka):
    pump, message = make_pump(kafka), Incoming(GOOD)
    pump.handle(message)
    assert (message.acks, pump.in_flight, pump.in_flight_bytes) == (0, 1, 1)
    kafka.report()
    assert (message.acks, pump.in_flight, pump.in_flight_bytes) == (1, 0, 0)


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [(POISON, b"\xff\xff", "undecodable"), ("spBv1.0/g/NOPE/n", b"", "illegal topic")],
)
def test_poison_goes_to_the_dead_letter_topic_and_is_acknowledged_after_that(kafka, topic, payload, reason):
    pump, message = make_pump(kafka), Incoming(topic, payload)
    pump.handle(message)
    assert kafka.pending[0][0] == "sparkplug.dlq"
    assert reason.encode() in kafka.pending[0][1]
    assert message.acks == 0
    kafka.report()
    assert (message.acks, totals(pump)["dead_lettered"]) == (1, 1)


@pytest.mark.parametrize("topic", ["spBv1.0/g/DDATA/n/", "raw/"])
def test_topics_as_long_as_mqtt_allows_are_not_remembered(kafka, topic):
    pump = make_pump(kafka)
    tracemalloc.start()
    try:
        for number in range(100):
            pump.handle(Incoming(f"{topic}{number:060000d}", b"{}"))
            kafka.report()
        kafka.log.clear()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert pump.in_flight == 0
    assert kept < 2_000_000


@pytest.fixture
def birth():
    return Incoming("spBv1.0/g/NBIRTH/n", encode_payload(Payload(1, [Metric("bdSeq", 0, DataType.INT64)], 0)))


@pytest.mark.parametrize("order", [(0, 0), (1, 0)], ids=["message first", "state first"])
def test_a_message_is_settled_when_kafka_has_it_and_the_state_that_it_changed(kafka, birth, order):
    pump = make_pump(kafka, states=DeviceStates(10_000))
    pump.handle(birth)
    assert [topic for topic, *_ in kafka.pending] == ["sparkplug", DEVICE_STATE]
    kafka.report(order[0])
    assert (birth.acks, pump.in_flight) == (0, 1)
    kafka.report(order[1])
    assert (birth.acks, totals(pump)["delivered"]) == (1, 1)
    assert_identity(pump)


def test_a_state_that_kafka_failed_is_produced_again_and_one_that_it_refuses_holds_nothing_up(kafka, birth):
    pump = make_pump(kafka, states=DeviceStates(10_000))
    pump.handle(birth)
    kafka.report(1, MAYBE_LATER)
    kafka.report(0)
    assert (birth.acks, len(pump.stalled)) == (0, 1)
    pump.retry()
    kafka.report(0, TOO_LARGE)
    assert (birth.acks, totals(pump)["delivered"]) == (1, 1)


@pytest.mark.parametrize("at_once", [True, False])
def test_what_kafka_will_never_take_is_dead_lettered(kafka, at_once):
    pump, message = make_pump(kafka), Incoming(GOOD)
    if at_once:
        produce = kafka.produce

        def refuse_big(topic, *rest):
            if topic == "raw":
                raise KafkaError(TOO_LARGE)
            produce(topic, *rest)

        kafka.produce = refuse_big
    pump.handle(message)
    if not at_once:
        kafka.report(error=TOO_LARGE)
    assert message.acks == 0
    kafka.report()
    assert kafka.log[0][0] == "raw.dlq"
    assert b"MSG_SIZE_TOO_LARGE" in kafka.log[0][1]
    assert (message.acks, totals(pump)["dead_lettered"], pump.kafka_errors) == (1, 1, 1)


@pytest.fixture
def letters(kafka):
    """What of the payload was offered to a topic with a small limit; None: the record itself."""

    def offer(error, limit):
        sizes = []
        while kafka.pending:
            topic, value, _ = kafka.pending[0]
            sizes.append(len(dead_letters.read(value).payload) if topic.endswith(".dlq") else None)
            kafka.report(error=error if len(value) > limit else None)
        return sizes

    return offer


def test_a_dead_letter_that_is_too_large_is_cut_until_kafka_takes_it(kafka, letters):
    worker, message = HeldRunner(), Incoming(POISON, b"\xff" * 900_000)
    pump = make_pump(kafka, run=worker)
    pump.handle(message)
    worker.finish()
    assert letters(TOO_LARGE, 2000) == [900_000, 65_536, 1024]
    assert dead_letters.read(kafka.log[0][1]).reason.startswith("undecodable")
    assert (message.acks, totals(pump)["dead_lettered"], pump.lost_letters, pump.stalled) == (1, 1, 0, [])


@pytest.mark.parametrize("topic", [GOOD, POISON])
def test_a_message_of_which_kafka_takes_no_letter_is_counted_and_acknowledged(kafka, letters, topic):
    pump, message = make_pump(kafka), Incoming(topic, b"\xff" * 100)
    pump.handle(message)
    assert letters(TOO_LARGE, 1)[-2:] == [100, 0]
    assert (message.acks, totals(pump)["dead_lettered"], pump.lost_letters) == (1, 1, 1)
    assert (pump.stalled, pump.in_flight_bytes, pump.held_bytes) == ([], 0, 0)
    assert_identity(pump)


@pytest.mark.parametrize(
    "error",
    ["POLICY_VIOLATION: no", "TOPIC_EXCEPTION: no", "INVALID_RECORD: no", "_INVALID_ARG: no", TOO_LARGE,
     "RECORD_LIST_TOO_LARGE: no"],
)  # fmt: skip
def test_what_is_refused_for_good_is_never_tried_for_ever(kafka, error):
    pump, message = make_pump(kafka), Incoming(GOOD)
    pump.handle(message)
    tries = 0
    while kafka.pending:
        kafka.report(error=error)
        tries += 1
        assert tries < 10
    assert (message.acks, pump.lost_letters, pump.stalled) == (1, 1, [])


@pytest.mark.parametrize("error", [MAYBE_LATER, "TOPIC_AUTHORIZATION_FAILED: no"])
def test_a_letter_whose_topic_stays_away_is_given_up_and_a_record_is_kept(kafka, error):
    pump, poison, good = make_pump(kafka), Incoming(POISON, b"\xff"), Incoming(GOOD)
    pump.handle(poison)
    for _ in range(dead_letters.TRIES):
        assert poison.acks == 0
        kafka.report(error=error)
        pump.retry()
    assert (poison.acks, pump.lost_letters) == (1, 1)
    pump.handle(good)
    for _ in range(dead_letters.TRIES + 5):
        kafka.report(error=error)
        pump.retry()
    kafka.report()
    assert (good.acks, pump.lost_letters, totals(pump)["delivered"]) == (1, 1, 1)


def test_a_record_that_the_client_chokes_on_ends_as_a_dead_letter(kafka):
    pump, message = make_pump(kafka), Incoming(GOOD)
    produce = kafka.produce

    def choke(topic, *rest):
        if topic == "raw":
            raise TypeError("headers")
        produce(topic, *rest)

    kafka.produce = choke
    pump.handle(message)
    kafka.report()
    assert "TypeError" in dead_letters.read(kafka.log[0][1]).reason
    assert (message.acks, totals(pump)["dead_lettered"]) == (1, 1)


def test_a_bug_in_the_device_states_costs_no_message(kafka, birth, monkeypatch):
    pump = make_pump(kafka, states=DeviceStates(10_000))
    monkeypatch.setattr(pump.context.states, "take", lambda: 1 / 0)
    pump.handle(birth)
    kafka.report()
    assert (birth.acks, totals(pump)["delivered"]) == (1, 1)


def test_what_could_not_be_handed_on_becomes_a_dead_letter(kafka):
    pump, message, stray = make_pump(kafka), Incoming(GOOD), Incoming(UNMATCHED)
    pump.bury(message, "internal error: x")
    pump.bury(stray, "internal error: x")
    assert (message.acks, stray.acks) == (0, 1)
    kafka.report()
    assert dead_letters.read(kafka.log[0][1]).reason == "internal error: x"
    assert (message.acks, totals(pump)["dead_lettered"], pump.unmatched) == (1, 1, 1)
    assert_identity(pump)


def test_memory_counts_the_record_and_the_producer_s_copy(kafka):
    pump, calls = make_pump(kafka, max_bytes=299), []
    pump.on_pressure = calls.append
    pump.handle(Incoming(GOOD, b"x" * 100))
    assert (pump.in_flight_bytes, pump.held_bytes, calls) == (100, 300, [True])
    kafka.report()
    assert (pump.held_bytes, calls) == (0, [True, False])


def test_a_bug_in_an_encoder_costs_one_message_only(kafka, monkeypatch):
    pump = make_pump(kafka)
    pump.handle(Incoming(POISON, encode_payload(Payload())))
    lane = pump._lanes[POISON]
    monkeypatch.setattr(lane.encoder, "encode", lambda *_: 1 / 0)
    pump.handle(Incoming(POISON))
    assert [topic for topic, _, _ in kafka.pending] == ["sparkplug", "sparkplug.dlq"]


def test_unmatched_messages_are_counted_and_acknowledged(kafka):
    pump, message = make_pump(kafka), Incoming(UNMATCHED)
    pump.handle(message)
    assert (pump.unmatched, message.acks, totals(pump)["received"]) == (1, 1, 0)


def test_after_a_failure_the_rest_waits_and_is_produced_in_order_of_arrival(kafka):
    pump, stalls = make_pump(kafka), []
    pump.on_stall = lambda: stalls.append(1)
    for text in (b"1", b"2", b"3"):
        pump.handle(Incoming(GOOD, text))
    kafka.report(0, MAYBE_LATER)
    pump.handle(Incoming(GOOD, b"4"))
    kafka.report(0, MAYBE_LATER)
    kafka.report(0, MAYBE_LATER)
    assert (stalls, len(pump.stalled), kafka.pending) == ([1], 4, [])
    pump.retry()
    while kafka.pending:
        kafka.report()
    assert [value for _, value in kafka.log] == [b"1", b"2", b"3", b"4"]
    assert (pump.in_flight, pump.stalled) == (0, [])


def test_a_retry_that_fails_at_once_keeps_everything(kafka):
    pump = make_pump(kafka)
    kafka.refuse = MAYBE_LATER
    for text in (b"1", b"2"):
        pump.handle(Incoming(GOOD, text))
    pump.retry()
    assert (len(pump.stalled), pump.in_flight) == (2, 2)
    kafka.refuse = None
    pump.retry()
    assert [value for _, value, _ in kafka.pending] == [b"1", b"2"]


def test_reading_pauses_when_too_many_bytes_are_in_flight(kafka):
    pump, calls = make_pump(kafka, max_bytes=300), []
    pump.on_pressure = calls.append
    for _ in range(3):
        pump.handle(Incoming(GOOD, b"x" * 50))
    assert calls == [True]
    kafka.report()
    assert calls == [True]
    kafka.report()
    assert calls == [True, False]


def test_idle_is_told_when_the_last_one_settles(kafka):
    pump, told = make_pump(kafka), []
    pump.on_idle = lambda: told.append(pump.in_flight)
    pump.handle(Incoming(GOOD))
    pump.handle(Incoming(GOOD))
    kafka.report()
    assert told == []
    kafka.report()
    assert told == [0]


def test_latencies_fall_into_their_buckets(kafka):
    clock = Clock()
    pump = make_pump(kafka, clock)
    pump.handle(Incoming(GOOD))
    clock.now = 0.02
    kafka.report()
    counters = pump.counters["raw"]
    assert counters.latency_counts[pump_module.LATENCY_BUCKETS.index(0.025)] == 1
    assert counters.latency_sum == pytest.approx(0.02)


def test_the_encoder_cache_is_bounded(kafka, monkeypatch):
    monkeypatch.setattr(pump_module, "MAX_LANES", 10)
    pump = make_pump(kafka)
    for number in range(50):
        pump.handle(Incoming(f"raw/{number}"))
    assert len(pump._lanes) <= 10


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("in"), st.sampled_from([GOOD, POISON, UNMATCHED])),
        st.tuples(
            st.just("report"), st.integers(0, 5), st.sampled_from([None, None, TOO_LARGE, MAYBE_LATER])
        ),
        st.tuples(st.just("refuse"), st.sampled_from([None, TOO_LARGE, MAYBE_LATER])),
        st.tuples(st.just("retry")),
    ),
    max_size=60,
)


@given(STEPS)
def test_nothing_is_lost_or_acknowledged_early_whatever_the_order_of_events(steps):
    kafka = Kafka()
    pump = make_pump(kafka)
    messages = []

    def settled():
        return len(kafka.log) + pump.lost_letters

    for step in steps:
        if step[0] == "in":
            messages.append(Incoming(step[1], b"\xff%d" % len(messages)))
            pump.handle(messages[-1])
        elif step[0] == "report" and kafka.pending:
            kafka.report(step[1] % len(kafka.pending), step[2])
        elif step[0] == "refuse":
            kafka.refuse = step[1]
        elif step[0] == "retry":
            pump.retry()
        assert_identity(pump)
        routed = [message for message in messages if message.topic != UNMATCHED]
        assert sum(message.acks for message in routed) == settled()
        assert len(kafka.pending) + len(pump.stalled) == pump.in_flight
    kafka.refuse = None
    while pump.in_flight:
        pump.retry()
        while kafka.pending:
            kafka.report()
    assert_identity(pump)
    assert all(message.acks == 1 for message in messages)
    assert totals(pump)["received"] == settled()


def node_birth(count):
    metrics = [Metric(f"Line/Cell{n}", n, DataType.INT32, alias=n + 1) for n in range(count)]
    return encode_payload(Payload(1, metrics, 0))


def data(alias):
    metric = Metric(None, -5, DataType.INT32, alias=alias)
    return encode_payload(Payload(2, [metric], 1), with_datatypes=False)


@pytest.mark.parametrize("large", [node_birth(2_000), HOSTILE["4 kB of zlib"]], ids=["birth", "compressed"])
def test_what_comes_behind_a_large_message_waits_for_it_and_is_in_flight(kafka, large):
    worker = HeldRunner()
    pump = make_pump(kafka, states=DeviceStates(10_000), run=worker)
    messages = [
        Incoming("spBv1.0/g/NBIRTH/n", large),
        Incoming("spBv1.0/g/NDATA/n", data(7)),
        Incoming(GOOD),
    ]
    for message in messages:
        pump.handle(message)
    assert (kafka.pending, pump.in_flight) == ([], 3)
    assert pump.in_flight_bytes == sum(len(message.payload) for message in messages)
    assert_identity(pump)
    worker.finish()
    topics = [topic for topic, *_ in kafka.pending if topic != DEVICE_STATE]
    assert topics[0].startswith("sparkplug")
    assert topics[1:] == ["sparkplug", "raw"]
    while kafka.pending:
        kafka.report()
    assert [message.acks for message in messages] == [1, 1, 1]
    assert_identity(pump)


def test_data_behind_a_large_birth_has_its_names(kafka):
    worker = HeldRunner()
    pump = make_pump(kafka, run=worker)
    pump.handle(Incoming("spBv1.0/g/NBIRTH/n", node_birth(2_000)))
    pump.handle(Incoming("spBv1.0/g/NDATA/n", data(7)))
    worker.finish()
    (metric,) = json.loads(kafka.pending[-1][1])["metrics"]
    assert (metric["name"], metric["value"]) == ("Line/Cell6", -5)


def test_a_birth_that_another_bridge_delivers_is_learnt_in_its_turn(kafka):
    worker, log = HeldRunner(), []
    pump = make_pump(kafka, run=worker)
    pump.in_order(node_birth(2_000), lambda: log.append(len(kafka.pending)))
    pump.handle(Incoming(GOOD))
    assert (log, kafka.pending) == ([], [])
    worker.finish()
    assert (log, len(kafka.pending)) == ([0], 1)


def test_the_bridge_works_on_large_messages_in_a_thread_of_its_loop(kafka):
    async def run():
        pump, settled = make_pump(kafka), asyncio.Event()
        pump.on_idle = settled.set
        kafka.produce = lambda *record: record[-1](None)
        pump.handle(Incoming(GOOD, bytes(20_000)))
        assert (pump.in_flight, settled.is_set()) == (1, False)
        await asyncio.wait_for(settled.wait(), 10)
        assert_identity(pump)

    asyncio.run(run())
