"""Traffic of any form is judged without an error, and who sends it spoils nobody else's verdict."""

import zlib
from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from iiot._pb.sparkplug_b_pb2 import Payload as Pb
from iiot.sparkplug.compression import ENVELOPE
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.lint.events import Connect, ConnectWill, Publish
from iiot.sparkplug.lint.linter import Linter
from iiot.sparkplug.lint.report import as_json
from sparkplug_breaches import INSTANCE, both, dataset, template
from sparkplug_traffic import FULL_VIEW, Traffic, by_name, metric

TOPICS = [
    *(f"spBv1.0/group/{verb}/node" for verb in ("NBIRTH", "NDEATH", "NDATA", "NCMD")),
    *(f"spBv1.0/group/{verb}/node/dev" for verb in ("DBIRTH", "DDEATH", "DDATA", "DCMD")),
    "spBv1.0/STATE/host",
    "STATE/host",
    "spBv1.0/group/NBIRTH/node/dev",
    "$sparkplug/certificates/spBv1.0/group/NBIRTH/node",
]
NUMBERS = [0, 1, 19, 20, 255, 256, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1]
TEXTS = [
    "",
    "bdSeq",
    "Quality",
    "Node Control/Rebirth",
    "CMD/Node Control/Rebirth",
    ENVELOPE,
    "x" * 2000,
    "\0",
]


def rich_birth(payload):
    both(template(), template(**INSTANCE), dataset())(payload)
    metric(payload, "Flags", DataType.BOOLEAN_ARRAY, bytes_value=b"\1\0\0\0\x80")
    metric(payload, "Id", DataType.UUID, string_value="0191e0f4-7d3a-7cc0-9a3b-0f5c8d2e1a77")
    properties = by_name(payload, "Load").properties
    properties.keys.extend(["Quality", "limits"])
    properties.values.add(type=DataType.INT32, int_value=192)
    inner = properties.values.add(type=DataType.PROPERTY_SET).propertyset_value
    inner.keys.append("high")
    inner.values.add(type=DataType.INT8, int_value=5)


def frames():
    """Topics and payloads of a conformant session that has values of every kind."""
    traffic = Traffic()
    traffic.host_birth()
    traffic.nbirth(edit=rich_birth)
    traffic.dbirth()
    traffic.ndata(lambda payload: metric(payload, "Flags", None, bytes_value=b"\0\0\0\0"))
    traffic.ddata()
    traffic.command(double_value=1.0)
    traffic.rebirth_request()
    traffic.nbirth(edit=rich_birth)
    traffic.dbirth()
    traffic.ddeath()
    traffic.ndeath()
    return [(event.topic, event.payload) for event in traffic.events]


FRAMES = frames()


def places(message):
    """Every message within a message, itself included, with each of its fields."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
        if field.message_type is not None:
            value = getattr(message, field.name)
            present = value if field.is_repeated else [value] * message.HasField(field.name)
            for member in present:
                yield from places(member)


def make_extreme(draw, message, field):
    """Give one field a value that no honest sender would."""
    if field.is_repeated:
        entries = getattr(message, field.name)
        if draw(st.booleans()) or not len(entries):
            del entries[:]
        else:
            entries.extend([entries[0]] * draw(st.integers(1, 40)))
    elif field.message_type is not None:
        message.ClearField(field.name) if draw(st.booleans()) else getattr(message, field.name).SetInParent()
    elif field.cpp_type == field.CPPTYPE_STRING:
        text = draw(st.sampled_from(TEXTS))
        setattr(message, field.name, text if field.type == field.TYPE_STRING else text.encode())
    elif field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        setattr(message, field.name, draw(st.sampled_from([float("nan"), float("inf"), 0.0])))
    elif field.cpp_type == field.CPPTYPE_BOOL:
        setattr(message, field.name, draw(st.booleans()))
    else:
        number = draw(st.sampled_from(NUMBERS))
        setattr(message, field.name, number % 2**32 if field.cpp_type == field.CPPTYPE_UINT32 else number)


@st.composite
def spoilt(draw):
    """A frame of the session with something wrong, and often on its own topic."""
    topic, payload = draw(st.sampled_from(FRAMES))
    if "STATE" not in topic:
        message = Pb.FromString(payload)
        make_extreme(draw, *draw(st.sampled_from(list(places(message)))))
        payload = message.SerializeToString()
        how = draw(st.sampled_from(["as it is", "not UTF-8", "cut", "compressed"]))
        if how == "not UTF-8":
            name = draw(st.sampled_from([b"Level", b"Speed", b"Maker", b"high", b"Load"]))
            payload = payload.replace(name, b"\xff" * len(name))
        elif how == "cut":
            payload = payload[: draw(st.integers(0, len(payload)))]
        elif how == "compressed":
            payload = Pb(uuid=ENVELOPE, body=zlib.compress(payload)).SerializeToString()
    return draw(st.sampled_from([topic, topic, topic, *TOPICS])), payload


messages = st.one_of(
    spoilt(), st.sampled_from(FRAMES), st.tuples(st.sampled_from(TOPICS), st.binary(max_size=60))
)


def feed_all(linter, hostile):
    """The messages, also retained and as wills, in turn with those of an edge node that is conformant."""
    other = Traffic()
    for number, ((topic, payload), retain, will) in enumerate(hostile):
        linter.feed(Publish(other.now, topic, payload, number % 3, retain, client=f"client {number % 2}"))
        if will:
            registered = ConnectWill(topic, payload, number % 3, retain)
            linter.feed(Connect(other.now, f"client {number % 2}", 5, True, 0, registered))
        if number == 0:
            other.nbirth()
        else:
            other.ndata()
        born = other.events[-1]
        linter.feed(Publish(born.time, born.topic.replace("/group/", "/plant/"), born.payload))


@given(st.lists(st.tuples(messages, st.booleans(), st.booleans()), min_size=1, max_size=15))
def test_whatever_comes_is_judged_and_nobody_else_is_blamed(hostile):
    linter = Linter(FULL_VIEW, primary_host=None)
    feed_all(linter, hostile)
    findings = linter.finish(linter.last + 60_000)

    report = orjson.loads(orjson.dumps(as_json(linter, findings)))
    assert report["violations"] + report["warnings"] == len(findings)
    assert [found.rule.key for found in findings if found.subject.group == "plant"] == []
    assert all(found.assertions for found in findings)


def test_the_frames_that_are_spoilt_are_conformant_as_they_are():
    linter = Linter(FULL_VIEW)
    for number, (topic, payload) in enumerate(FRAMES):
        state = "STATE" in topic
        linter.feed(
            Publish(Traffic().now + 100 * (number + 1), topic, payload, state or "NDEATH" in topic, state)
        )

    assert linter.finish() == []


def test_names_that_are_not_utf8_are_told_and_not_stumbled_over():
    """As names of metrics with one alias, and of members beside others that are UTF-8."""
    traffic = Traffic()

    def birth(payload):
        template(members=("Speed", "QQQQ"), parameters=("Maker", "QQQQ"))(payload)
        for name in ("QQQQ", "Flow"):
            metric(payload, name, DataType.INT32, alias=7, int_value=1)

    def drive(payload):
        template(**INSTANCE | {"members": ("QQQQ", "Flow"), "parameters": ("QQQQ", "Year")})(payload)

    traffic.nbirth(edit=birth)
    traffic.dbirth(drive)
    linter = Linter(FULL_VIEW)
    for event in traffic.events:
        linter.feed(replace(event, payload=event.payload.replace(b"QQQQ", b"\xff\xfe\xff\xfe")))
    report = orjson.loads(orjson.dumps(as_json(linter, findings := linter.finish())))

    assert report["messages"] == 2
    rules = {found.rule.key for found in findings}
    assert {"text-not-utf8", "alias-not-unique", "template-member-missing"} <= rules


def test_evidence_is_short_however_large_the_message():
    def fill(inner, depth):
        inner.is_definition = True
        for number in range(12 if depth else 0):
            fill(metric(inner, f"Part{number}", DataType.TEMPLATE, timestamp=0).template_value, depth - 1)

    traffic = Traffic()
    traffic.nbirth(256, lambda payload: fill(metric(payload, "Plant", DataType.TEMPLATE).template_value, 4))
    linter = Linter(FULL_VIEW)
    linter.feed(traffic.events[0])
    report = as_json(linter, linter.finish())

    assert report["violations"] > 0
    assert len(traffic.events[0].payload) > 300_000
    assert len(orjson.dumps(report)) < 300_000


def test_a_detail_is_short_however_long_the_names():
    """A name stands once for each of the many properties below it."""
    traffic = Traffic()

    def birth(payload):
        load = by_name(payload, "Load")
        load.name = "L" * 200_000
        for _ in range(200):
            load.properties.keys.append("k" * 1000)
            load.properties.values.add(int_value=1)

    traffic.nbirth(edit=birth)
    linter = Linter(FULL_VIEW)
    linter.feed(traffic.events[0])
    findings = {found.rule.key: found for found in linter.finish()}

    assert findings["property-type-missing"].count == 200
    assert all(len(piece.detail) < 500 for found in findings.values() for piece in found.evidence)


def test_only_some_gaps_are_waited_for():
    """Whoever leaves out every other seq makes a gap with each message, and each would be kept."""
    traffic = Traffic()
    traffic.births()
    linter = Linter(FULL_VIEW)
    for event in traffic.events:
        linter.feed(event)
    for seq in (*range(3, 203, 2), 2):  # 100 gaps within the time that a late message has, then the oldest
        payload = Pb(timestamp=traffic.now, seq=seq)
        metric(payload, "Level", None, int_value=1000 + seq)
        linter.feed(Publish(traffic.now, "spBv1.0/group/DDATA/node/dev", payload.SerializeToString()))

    (found,) = linter.finish(traffic.now)
    assert found.rule.key == "seq-order"
    assert found.count == 101  # the oldest came too late to count as late
