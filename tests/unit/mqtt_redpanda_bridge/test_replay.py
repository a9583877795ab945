from datetime import UTC, datetime

import orjson
import pytest

from iiot import dead_letters, replays
from iiot.errors import KafkaError
from iiot.kafka_reader import Record
from iiot.replays import Place
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload
from iiot.sparkplug.topic import parse_topic
from iiot.topics import REPLAYED
from mqtt_redpanda_bridge import replay as replay_module
from mqtt_redpanda_bridge.devices import DeviceStates
from mqtt_redpanda_bridge.encode import Context, dead_letter
from mqtt_redpanda_bridge.replay import LetterGoneError, NotReplayableError, ReplayedError, Replayer
from mqtt_redpanda_bridge.routes import load_routes

NOW = datetime(2026, 11, 30, 15, tzinfo=UTC)
UPDATES = "iot.telemetry.lwm2m.updates"
HTTP = "iot.telemetry.lwm2m.http"
SPARKPLUG = "iot.telemetry.sparkplug.data"


class Kafka:
    """Topics in memory: what the replayer reads, and what it produces."""

    def __init__(self):
        self.records, self.marks, self.produced, self.error = {}, {}, [], None

    def __call__(self):
        return self

    def put(self, topic, key, value, headers=()):
        offset = sum(place.topic == topic for place in self.records)
        named = tuple((name, text if isinstance(text, bytes) else text.encode()) for name, text in headers)
        record = Record(topic, 0, offset, NOW, key, value, named)
        self.records[Place.of(record)] = record
        return Place.of(record)

    def bury(self, topic, mqtt_topic, payload, reason="undecodable"):
        return self.put(f"{topic}.dlq", b"dev", *dead_letter(mqtt_topic, payload, reason, "dev", 0))

    def at(self, topic, partition, offset):
        if not any(place.topic == topic for place in self.records):
            raise KeyError(topic)
        return self.records.get(Place(topic, partition, offset))

    def read_all(self, topic):
        assert topic == REPLAYED
        return list(self.marks.items())

    def close(self):
        pass

    def produce(self, topic, key, value, headers, on_delivery):
        if topic == REPLAYED:
            self.marks[key] = value
        elif self.error is None:
            self.produced.append((topic, key, value, dict(headers)))
        on_delivery(self.error)


@pytest.fixture
def kafka(monkeypatch):
    async def create(*_):
        return []

    monkeypatch.setattr(replay_module, "ensure_topics", create)
    return Kafka()


@pytest.fixture
def context():
    return Context(states=DeviceStates(1000))


@pytest.fixture
def replay(kafka, context):
    replayer = Replayer(load_routes(None), context, kafka, kafka, "kafka:9092")

    async def call(place, *, dry_run=False, again=False):
        return await replayer.replay(place, dry_run=dry_run, again=again)

    return call


async def test_a_message_becomes_the_record_that_it_should_have_been(kafka, replay):
    payload = b'{"values":{"/3303/0/5700":1},"seq":7,"timestamp":1700000000000}'
    place = kafka.bury(UPDATES, "lwm2m/dev/send", payload, "MSG_SIZE_TOO_LARGE: no")
    await replay(place)
    ((topic, key, value, headers),) = kafka.produced
    assert (topic, key) == (UPDATES, b"dev")
    assert orjson.loads(value)["payload"] == orjson.loads(payload)
    assert (headers["ce_id"], headers["replayed_from"]) == ("7", str(place))


async def test_a_replayed_letter_says_so_and_can_be_replayed_again_on_demand(kafka, replay):
    place = kafka.bury(UPDATES, "lwm2m/dev/send", b"{}")
    await replay(place)
    with pytest.raises(ReplayedError, match=f"{place}: replayed at "):
        await replay(place)
    assert len(kafka.produced) == 1
    await replay(place, again=True)
    assert len(kafka.produced) == 2


async def test_a_dry_run_writes_nothing(kafka, replay):
    made = await replay(kafka.bury(UPDATES, "lwm2m/dev/send", b"{}"), dry_run=True)
    assert (made.topic, made.key) == (UPDATES, b"dev")
    assert (kafka.produced, kafka.marks) == ([], {})


async def test_names_come_from_the_births_that_the_bridge_knows(kafka, replay, context):
    birth = parse_topic("spBv1.0/g/NBIRTH/dev")
    context.births.learn(birth, Payload(1, [Metric("Level", 85, DataType.INT8, 1, alias=3)], 0))
    data = encode_payload(Payload(2, [Metric(None, -2, DataType.INT8, 2, alias=3)], 1), with_datatypes=False)
    await replay(kafka.bury(SPARKPLUG, "spBv1.0/g/NDATA/dev", data))
    (metric,) = orjson.loads(kafka.produced[0][2])["metrics"]
    assert (metric["name"], metric["value"]) == ("Level", -2)


async def test_neither_births_nor_states_learn_from_what_is_old(kafka, replay, context):
    topic = parse_topic("spBv1.0/g/NBIRTH/dev")
    context.births.learn(topic, Payload(9, [Metric("New", 1, DataType.INT8, 9, alias=1)], 0))
    old = encode_payload(Payload(1, [Metric("Old", 1, DataType.INT8, 1, alias=1)], 0))
    await replay(kafka.bury(SPARKPLUG, "spBv1.0/g/NBIRTH/dev", old))
    await replay(kafka.bury("iot.telemetry.lwm2m.registration", "lwm2m/dev/reg", b'{"lifetime":60}'))
    assert len(kafka.produced) == 2
    assert context.births.known(topic).by_alias[1].name == "New"
    assert (context.states.count, context.states.take()) == (0, None)


EVENT = b'{"id":5,"type":"send","endpoint":"dev","timestamp":"2026-11-30T15:00:00Z","data":{}}'


@pytest.mark.parametrize("headers", [(), (("ce_source", "/lwm2m-server/events"),)])
async def test_an_event_of_redpanda_connect_goes_to_its_topic(kafka, replay, headers):
    letter = dead_letters.write(HTTP, EVENT, "refused by Kafka: MESSAGE_TOO_LARGE")
    await replay(kafka.put(f"{HTTP}.dlq", b"dev", letter, headers))
    ((topic, key, value, made),) = kafka.produced
    assert (topic, key, value) == (HTTP, b"dev", EVENT)
    assert (made["event_id"], made["ce_type"], made["ce_subject"]) == ("5", "iot.lwm2m.send", "dev")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"type":"gap","after":5}', "gap: behind event 5"),
        (b'{"type":"reset","after":5}', "reset: event 5"),
        (b'{"type":"send"}', "missing endpoint"),
        (b"17", "not an event object"),
        (b"x", "not an event object"),
    ],
)
async def test_what_is_no_event_stays_a_letter(kafka, replay, payload, reason):
    place = kafka.put(f"{HTTP}.dlq", b"lwm2m-http-source", dead_letters.write(HTTP, payload, reason))
    with pytest.raises(NotReplayableError):
        await replay(place)
    assert (kafka.produced, kafka.marks) == ([], {})


@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [
        ("lwm2m/dev/send", b"not json", "undecodable: not JSON"),
        ("lwm2m/dev/send", b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "more than 64 levels"),
        ("spBv1.0/g/NDATA/dev", b"\xff\xff", "undecodable"),
        ("spBv1.0/g/NOPE/dev", b"", "no route takes"),
        ("elsewhere", b"", "no route takes"),
    ],
)
async def test_what_would_become_a_letter_again_is_refused_with_the_reason(
    kafka, replay, topic, payload, why
):
    place = kafka.bury(UPDATES, topic, payload)
    with pytest.raises(NotReplayableError, match=why):
        await replay(place)
    assert (kafka.produced, kafka.marks) == ([], {})


async def test_a_letter_without_all_of_the_payload_is_refused(kafka, replay):
    cut = dead_letters.write("lwm2m/dev/send", b'{"a":"' + b"x" * 1000 + b'"}', "why", limit=10)
    with pytest.raises(NotReplayableError, match="it has 10 of 1008 bytes"):
        await replay(kafka.put(f"{UPDATES}.dlq", b"dev", cut))


async def test_what_is_not_there_or_no_letter(kafka, replay):
    place = kafka.put(f"{UPDATES}.dlq", b"dev", b"something else")
    with pytest.raises(NotReplayableError, match="not a dead letter"):
        await replay(place)
    with pytest.raises(LetterGoneError, match="no such record"):
        await replay(Place(place.topic, 0, 99))
    with pytest.raises(LetterGoneError, match="no such topic"):
        await replay(Place("absent.dlq", 0, 0))


async def test_what_kafka_does_not_take_is_not_marked(kafka, replay):
    place, kafka.error = kafka.bury(UPDATES, "lwm2m/dev/send", b"{}"), "MSG_SIZE_TOO_LARGE: no"
    with pytest.raises(KafkaError, match="MSG_SIZE_TOO_LARGE"):
        await replay(place)
    assert kafka.marks == {}


def test_marks_of_another_topic_of_the_same_name_do_not_count():
    first = Record("a.dlq", 0, 0, NOW, b"", b"", ())
    later = Record("a.dlq", 0, 0, NOW.replace(hour=16), b"", b"", ())
    marks = replays.read_marks([(replays.mark_key(first), replays.mark("a", 5)), (b"x", b"no mark")])
    assert (marks.get(replays.mark_key(first)), marks.get(replays.mark_key(later))) == (5, None)
