"""One recording for each rule that breaks it, and nothing else that the specification demands."""

import pytest

import sparkplug_value_breaches  # noqa: F401 - adds its recordings to the table
from iiot._pb.sparkplug_b_pb2 import Payload as Pb
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.lint.events import Vantage
from iiot.sparkplug.lint.rules import RULES
from sparkplug_breaches import (
    CASES,
    HOUR,
    INSTANCE,
    both,
    breaks,
    dataset,
    quality,
    setting,
    template,
    with_properties,
)
from sparkplug_traffic import HOST, START, Traffic, by_name, lint, metric


@breaks("topic-namespace")
def _(traffic):
    traffic.publish("spav1.0/group/NBIRTH/node", b"")


@breaks("topic-verb")
def _(traffic):
    traffic.publish("spBv1.0/group/NBIRTHS/node", b"")


@breaks("topic-device-missing")
def _(traffic):
    traffic.publish("spBv1.0/group/DDATA/node", b"")


@breaks("topic-device-present")
def _(traffic):
    traffic.publish("spBv1.0/group/NDATA/node/dev", b"")
    traffic.publish("spBv1.0/STATE/host/1", b"")


@breaks("topic-empty-id")
def _(traffic):
    traffic.publish("spBv1.0/group/DDATA//dev", b"")
    traffic.publish("spBv1.0/group/NDATA", b"")
    traffic.publish("spBv1.0/STATE/", b"")


@breaks("state-topic-legacy")
def _(traffic):
    traffic.publish("STATE/host", b"ONLINE", qos=1, retain=True)


@breaks("id-case")
def _(traffic):
    traffic.births()
    traffic.nbirth(node="Node")


@breaks("qos-not-0")
def _(traffic):
    traffic.nbirth(qos=1)


@breaks("ndeath-qos-not-1")
def _(traffic):
    traffic.ndeath(qos=0)


@breaks("retained")
def _(traffic):
    traffic.births()
    traffic.ddata(retain=True)


@breaks("payload-unreadable")
def _(traffic):
    traffic.publish("spBv1.0/group/DDATA/node/dev", b'{"value": 1}')


@breaks("timestamp-missing")
def _(traffic):
    traffic.births()
    traffic.ddeath(lambda payload: payload.ClearField("timestamp"))


@breaks("timestamp-not-utc")
def _(traffic):
    traffic.births()
    traffic.ddeath(lambda payload: setattr(payload, "timestamp", payload.timestamp + 2 * HOUR))
    traffic.dbirth()
    traffic.ddeath(lambda payload: setattr(payload, "timestamp", payload.timestamp // 1000))


@breaks("clock-differs")
def _(traffic):
    traffic.births()
    traffic.ddeath(lambda payload: setattr(payload, "timestamp", payload.timestamp - 7 * 60_000))


@breaks("seq-missing")
def _(traffic):
    traffic.births()
    traffic.ddeath(lambda payload: payload.ClearField("seq"))


@breaks("seq-out-of-range")
def _(traffic):
    traffic.births()
    traffic.ddeath(lambda payload: setattr(payload, "seq", 256))


@breaks("nbirth-seq-not-0")
def _(traffic):
    traffic.nbirth(edit=lambda payload: setattr(payload, "seq", 7))
    traffic.seq = 7
    traffic.dbirth()


@breaks("seq-forbidden")
def _(traffic):
    traffic.ndeath(edit=lambda payload: setattr(payload, "seq", 0))
    traffic.command(double_value=1.0, edit=lambda payload: setattr(payload, "seq", 3))


@breaks("metric-name-missing", "birth-alias-without-name")
def _(traffic):
    traffic.nbirth()
    traffic.dbirth(lambda payload: metric(payload, None, DataType.INT32, alias=4, int_value=1))


@breaks("alias-not-unique")
def _(traffic):
    traffic.nbirth(edit=setting("Load", alias=1))
    traffic.dbirth(setting("Level", alias=1))


@breaks("alias-missing")
def _(traffic):
    traffic.nbirth(
        edit=both(
            setting("Load", alias=1),
            lambda payload: metric(payload, "Speed", DataType.INT32, int_value=1),
        )
    )


@breaks("metric-name-twice")
def _(traffic):
    traffic.nbirth()
    traffic.dbirth(lambda payload: metric(payload, "Level", DataType.INT32, int_value=6))


@breaks("node-metric-of-device")
def _(traffic):
    traffic.nbirth()
    traffic.dbirth(lambda payload: metric(payload, "bdSeq", DataType.INT64, long_value=0))


@breaks("alias-with-name")
def _(traffic):
    traffic.nbirth(edit=setting("Load", alias=1))
    traffic.ndata()


@breaks("datatype-missing")
def _(traffic):
    traffic.nbirth(edit=setting("Load", datatype=None))


@breaks("datatype-invalid")
def _(traffic):
    traffic.nbirth(edit=setting("Load", datatype=77))


@breaks("datatype-in-data")
def _(traffic):
    traffic.births()
    traffic.ddata(setting("Level", datatype=DataType.INT32))


@breaks("value-missing")
def _(traffic):
    traffic.nbirth(edit=setting("Load", double_value=None))


@breaks("null-with-value")
def _(traffic):
    traffic.nbirth(edit=setting("Load", is_null=True))


@breaks("value-of-other-type")
def _(traffic):
    traffic.births()
    traffic.ddata(setting("Level", string_value="5"))


@breaks("metric-timestamp-missing")
def _(traffic):
    traffic.births()
    traffic.ddata(setting("Level", timestamp=None))


@breaks("metric-timestamp-not-utc")
def _(traffic):
    traffic.births()
    traffic.ddata(setting("Level", timestamp=START + HOUR))
    traffic.ddata(setting("Level", timestamp=START * 1000))


@breaks("metric-order")
def _(traffic):
    traffic.births()
    traffic.ddata(lambda payload: metric(payload, "Level", None, timestamp=START, int_value=1))


@breaks("metric-name-case")
def _(traffic):
    traffic.nbirth(edit=lambda payload: metric(payload, "load", DataType.INT32, int_value=1))


@breaks("bdseq-missing")
def _(traffic):
    traffic.nbirth(edit=lambda payload: payload.metrics.remove(by_name(payload, "bdSeq")))


@breaks("bdseq-type")
def _(traffic):
    traffic.nbirth(edit=setting("bdSeq", datatype=DataType.UINT64))


@breaks("bdseq-range")
def _(traffic):
    traffic.nbirth(bd_seq=256)


@breaks("ndeath-other-metrics")
def _(traffic):
    traffic.ndeath(edit=lambda payload: metric(payload, "Load", DataType.DOUBLE, double_value=1.0))


@breaks("rebirth-metric-missing")
def _(traffic):
    traffic.nbirth(edit=setting("Node Control/Rebirth", name="CMD/Node Control/Rebirth"))


@breaks("rebirth-metric-type")
def _(traffic):
    traffic.nbirth(edit=setting("Node Control/Rebirth", datatype=DataType.INT32, int_value=0))


@breaks("rebirth-metric-value")
def _(traffic):
    traffic.nbirth(edit=setting("Node Control/Rebirth", boolean_value=True))


@breaks("rebirth-metric-alias")
def _(traffic):
    traffic.nbirth(edit=setting("Node Control/Rebirth", alias=2))


@breaks("properties-unpaired")
def _(traffic):
    traffic.nbirth(edit=with_properties(lambda properties: properties.keys.extend(["a", "b"])))


@breaks("property-type-missing")
def _(traffic):
    traffic.nbirth(edit=quality(int_value=192))


@breaks("property-type-invalid")
def _(traffic):
    def fill(properties):
        properties.keys.append("unit")
        properties.values.add(type=19, string_value="C")

    traffic.nbirth(edit=with_properties(fill))


@breaks("quality-type")
def _(traffic):
    traffic.nbirth(edit=quality(type=DataType.INT64, int_value=0))


@breaks("quality-value")
def _(traffic):
    traffic.nbirth(edit=quality(type=DataType.INT32, int_value=193))


@breaks("dataset-column-count")
def _(traffic):
    traffic.nbirth(edit=dataset(num_of_columns=2))


@breaks("dataset-types-unpaired")
def _(traffic):
    traffic.nbirth(edit=dataset(types=[3, 3]))


@breaks("dataset-types-missing")
def _(traffic):
    traffic.nbirth(edit=dataset(types=[]))


@breaks("dataset-type-invalid")
def _(traffic):
    traffic.nbirth(edit=dataset(types=[16]))


@breaks("dataset-cell")
def _(traffic):
    traffic.nbirth(edit=dataset(cells=2))


@breaks("template-kind-missing")
def _(traffic):
    traffic.nbirth(edit=both(template(), template("Drive", kind=None, ref="Motor")))


@breaks("template-definition-ref")
def _(traffic):
    traffic.nbirth(edit=template(ref="Other"))


@breaks("template-instance-ref")
def _(traffic):
    traffic.nbirth(edit=both(template(), template("Drive", kind=False)))


@breaks("template-definition-place")
def _(traffic):
    traffic.nbirth()
    traffic.dbirth(template())


@breaks("template-undefined")
def _(traffic):
    traffic.nbirth(edit=template(**INSTANCE))


@breaks("template-member-unknown")
def _(traffic):
    traffic.nbirth(edit=template())
    traffic.dbirth(template(**INSTANCE, members=("Speed", "Size")))


@breaks("template-member-missing")
def _(traffic):
    traffic.nbirth(edit=template(members=("Speed", "Size")))
    traffic.dbirth(template(**INSTANCE))


@breaks("template-parameter-unknown")
def _(traffic):
    traffic.nbirth(edit=template(parameters=()))
    traffic.dbirth(template(**INSTANCE))


@breaks("template-parameter-name")
def _(traffic):
    traffic.nbirth(edit=template(parameters=("",)))


def untyped(payload):
    by_name(payload, "Motor").template_value.parameters[0].ClearField("type")


@breaks("template-parameter-type-missing")
def _(traffic):
    traffic.nbirth(edit=both(template(), untyped))


@breaks("template-parameter-type-invalid")
def _(traffic):
    traffic.nbirth(edit=template(type=DataType.TEMPLATE))


@breaks("template-parameter-value")
def _(traffic):
    traffic.nbirth(edit=template(int_value=4))


@breaks("text-not-utf8")
def _(traffic):
    payload = Pb(timestamp=traffic.now, seq=1)
    metric(payload, "QQQQ", None, int_value=1)
    traffic.publish(
        "spBv1.0/group/NDATA/node", payload.SerializeToString().replace(b"QQQQ", b"\xff\xfe\xff\xfe")
    )


@breaks("seq-order")
def _(traffic):
    traffic.births()
    traffic.next_seq()
    traffic.ddata()


@breaks("edge-node-not-unique", also=["session-without-death", "seq-order"])
def _(traffic):
    traffic.births(bd_seq=3)
    for other in (100, 101, 102, 103, 104, 105):
        traffic.ddata()
        mine, traffic.seq = traffic.seq, other
        traffic.ddata()
        traffic.seq = mine


@breaks("before-nbirth")
def _(traffic):
    traffic.births()
    traffic.ndeath()
    traffic.ddata()


@breaks("before-dbirth")
def _(traffic):
    traffic.births()
    traffic.ddeath()
    traffic.ddata()


@breaks("dbirth-after-data")
def _(traffic):
    traffic.births()
    traffic.nbirth()
    traffic.ndata()
    traffic.dbirth()


@breaks("dbirth-late")
def _(traffic):
    traffic.nbirth()
    traffic.ndata()
    traffic.dbirth()


@breaks("ddeath-without-birth")
def _(traffic):
    traffic.births()
    traffic.ddeath()
    traffic.ddeath()
    traffic.ddeath(device="never")


@breaks("metric-not-in-birth")
def _(traffic):
    traffic.births()
    traffic.ddata(setting("Level", name="Height"))


@breaks("nothing-changed")
def _(traffic):
    traffic.births()
    traffic.ddata(setting("Level", int_value=5))


@breaks("ndeath-bdseq")
def _(traffic):
    traffic.births(bd_seq=1)
    traffic.ndeath(bd_seq=2)


@breaks("session-without-death")
def _(traffic):
    traffic.births(bd_seq=1)
    traffic.births(bd_seq=2)
    traffic.ddata()


@breaks("bdseq-order")
def _(traffic):
    traffic.births(bd_seq=5)
    traffic.ndeath(bd_seq=5)
    traffic.births(bd_seq=5)


@breaks("rebirth-bdseq")
def _(traffic):
    traffic.births(bd_seq=5)
    traffic.rebirth_request()
    traffic.births(bd_seq=6)


@breaks("rebirth-with-death")
def _(traffic):
    traffic.births(bd_seq=5)
    traffic.rebirth_request()
    traffic.ndeath(bd_seq=5)
    traffic.births(bd_seq=6)


@breaks("rebirth-unanswered", "rebirth-data-goes-on")
def _(traffic):
    traffic.births()
    traffic.rebirth_request()
    for _ in range(12):
        traffic.wait(1)
        traffic.ddata()


@breaks("command-empty")
def _(traffic):
    traffic.command(edit=lambda payload: payload.metrics.pop(), double_value=1.0)


@breaks("command-unknown-metric")
def _(traffic):
    traffic.births()
    traffic.command("Weight", double_value=1.0)


@breaks("rebirth-request-value")
def _(traffic):
    traffic.rebirth_request(lambda payload: setattr(payload.metrics[0], "boolean_value", False))


@breaks("rebirth-request-name")
def _(traffic):
    traffic.command("node control/rebirth", boolean_value=True)


@breaks("rebirth-request-verb")
def _(traffic):
    traffic.command("Node Control/Rebirth", device="dev", boolean_value=True)


@breaks("command-without-host", vantage=Vantage(True, True, begins_with_stored=True))
def _(traffic):
    traffic.births()
    traffic.rebirth_request()
    traffic.births()


@breaks("state-payload")
def _(traffic):
    traffic.publish(HOST, b"ONLINE", qos=1, retain=True)
    traffic.publish(HOST, b'{"online": "false", "timestamp": 1}', qos=1, retain=True)


@breaks("state-qos")
def _(traffic):
    traffic.host_birth(qos=0)


@breaks("state-not-retained")
def _(traffic):
    traffic.host_birth(retain=False)


@breaks("state-timestamp")
def _(traffic):
    traffic.host_birth(START // 1000)


@breaks("state-clock-back")
def _(traffic):
    traffic.host_birth(START)
    traffic.host_birth(START - HOUR)


@breaks("state-birth-timestamp", "state-not-repaired")
def _(traffic):
    traffic.host_birth(START)
    traffic.host_death(START - 40)


@breaks("state-clean-timestamp")
def _(traffic):
    traffic.host_birth()
    traffic.wait(3600)
    traffic.host_death(traffic.host_time + 1)


@breaks("host-not-unique")
def _(traffic):
    for timestamp in (START, START + 50, START):
        traffic.host_birth(timestamp)


@breaks("primary-host-not-awaited")
def _(traffic):
    traffic.host_birth()
    traffic.host_death(traffic.now)
    traffic.wait(60)
    traffic.births()


@breaks("primary-host-left")
def _(traffic):
    traffic.host_birth()
    traffic.births()
    traffic.host_death(traffic.now)
    traffic.wait(60)
    traffic.ddata()


@breaks("primary-host-old-state")
def _(traffic):
    traffic.host_birth()
    traffic.births()
    traffic.host_death(START - 5)
    traffic.ndeath()
    traffic.host_birth(traffic.host_time)


def own_subscriptions(traffic, qos=1):
    traffic.subscribe("spBv1.0/group/NCMD/node", qos)
    traffic.subscribe("spBv1.0/group/DCMD/node/#", qos)


@breaks("clean-session")
def _(traffic):
    traffic.connect_edge(clean=False)


@breaks("will-missing")
def _(traffic):
    traffic.connect_without_will("node")
    own_subscriptions(traffic)
    traffic.nbirth(client="node")


@breaks("will-topic")
def _(traffic):
    traffic.connect_edge(topic="spBv1.0/group/NDEATH/other")
    own_subscriptions(traffic)
    traffic.nbirth(client="node")


@breaks("will-qos")
def _(traffic):
    traffic.connect_edge(qos=0)
    traffic.connect_host(qos=0)


@breaks("will-retain")
def _(traffic):
    traffic.connect_edge(retain=True)
    traffic.connect_host(retain=False)


@breaks("will-bdseq")
def _(traffic):
    traffic.connect_edge(bd_seq=1)
    own_subscriptions(traffic)
    traffic.nbirth(bd_seq=2, client="node")


@breaks("will-timestamp")
def _(traffic):
    traffic.connect_host(timestamp=START - HOUR)


@breaks("first-publish")
def _(traffic):
    traffic.connect_edge()
    traffic.publish("lwm2m/node/reg", b"{}", client="node")


@breaks("ncmd-subscription", "dcmd-subscription")
def _(traffic):
    traffic.connect_edge()
    own_subscriptions(traffic, qos=0)
    traffic.nbirth(client="node")


@breaks("state-subscription")
def _(traffic):
    traffic.connect_host()
    traffic.host_birth(traffic.host_time, client="host")


@breaks("disconnect-without-death")
def _(traffic):
    traffic.connect_edge(version=4)
    own_subscriptions(traffic)
    traffic.nbirth(client="node")
    traffic.disconnect(reason=0)


@breaks("server-qos", vantage=Vantage(maximum_qos=0))
def _(traffic):
    traffic.nbirth()


@breaks("server-retain", vantage=Vantage(retain_available=False))
def _(traffic):
    traffic.nbirth()


@breaks("server-will")
def _(traffic):
    traffic.connect_edge()
    own_subscriptions(traffic)
    traffic.nbirth(client="node")
    traffic.disconnect(reason=None)


STORED = "$sparkplug/certificates/"


@breaks("certificate-topic")
def _(traffic):
    traffic.publish(f"{STORED}spBv1.0/group/NDATA/node", b"", retain=True)


@breaks("certificate-missing")
def _(traffic):
    traffic.births()
    offered = traffic.events[0]
    traffic.publish(STORED + offered.topic, offered.payload, retain=True)
    traffic.dbirth(device="other")


@breaks("certificate-not-retained")
def _(traffic):
    traffic.nbirth()
    traffic.publish(STORED + traffic.events[0].topic, traffic.events[0].payload)


@breaks("gap-not-asked", also=["seq-order"])
def _(traffic):
    traffic.host_birth()
    traffic.births()
    traffic.next_seq()
    traffic.ddata()
    traffic.wait(130)
    traffic.ddata()


@breaks("device-not-unique")
def _(traffic):
    traffic.births()
    for turn in range(6):
        name = "Level" if turn % 2 else "Flow"
        traffic.dbirth(lambda payload, name=name: setattr(payload.metrics[0], "name", name))


def test_publishers_that_throw_each_other_out_are_told():
    traffic = Traffic()
    for bd_seq in (5, 90, 6, 91, 7):
        traffic.births(bd_seq)
        traffic.ndeath(bd_seq)

    assert {rule for rule, _ in lint(traffic.events)} == {"bdseq-order", "edge-node-not-unique"}


@pytest.mark.parametrize("key", RULES)
def test_each_rule_finds_what_it_is_for_and_nothing_else_speaks(key):
    build, expected, vantage = CASES[key]
    traffic = Traffic()
    build(traffic)
    primary_host = "host" if key.startswith("primary-host") else None
    found = lint(traffic.events, vantage, seconds=60, primary_host=primary_host)

    assert {rule for rule, _ in found} <= expected
    assert key in {rule for rule, _ in found}
    for finding in found.values():
        assert finding.assertions
        assert finding.evidence[0].detail
        assert finding.evidence[0].time >= START
