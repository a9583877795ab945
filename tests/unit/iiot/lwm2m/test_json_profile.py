import contextlib
import json
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import DecodeError, IiotError, InvalidValueError
from iiot.lwm2m import json_profile as profile
from iiot.lwm2m.message import (
    Attributes,
    BootstrapRequest,
    Code,
    Command,
    Deregister,
    Link,
    Notify,
    ObjectLink,
    Operation,
    Record,
    Refusal,
    Register,
    Response,
    Send,
    Update,
)
from iiot.lwm2m.path import Path, content_path

EP = "device-temp-001"
SEED = (
    b'{"endpoint":"device-temp-001","lifetime":3600,"version":"1.2","bindingMode":"UQ",'
    b'"objects":{"3":{"0":{"0":"IoT Testing Corp","1":"SimDevice-temperature_sensor"}}}}'
)


def up(topic, payload):
    return profile.decode_uplink(profile.parse_topic(topic), payload)


def down(topic, payload):
    return profile.decode_downlink(profile.parse_topic(topic), payload)


def test_a_registration_as_people_type_it():
    message = up(f"lwm2m/{EP}/reg", SEED)
    assert message == Register(
        endpoint=EP,
        lifetime=3600,
        version="1.2",
        binding="UQ",
        links=(Link(Path.of(3, 0)),),
        records=(
            Record(Path.of(3, 0, 0), "IoT Testing Corp"),
            Record(Path.of(3, 0, 1), "SimDevice-temperature_sensor"),
        ),
    )
    assert profile.encode_uplink(EP, message) == (f"lwm2m/{EP}/reg", SEED)


def test_a_profile_id_in_place_of_objects():
    body = (
        b'{"endpoint":"device-temp-001","lifetime":60,"version":"1.2","bindingMode":"U","objects":{},'
        b'"pid":"6:12ab"}'
    )
    message = up(f"lwm2m/{EP}/reg", body)
    assert (message.profile_id, message.links) == ("6:12ab", ())
    assert profile.encode_uplink(EP, message) == (f"lwm2m/{EP}/reg", body)
    assert up(f"lwm2m/{EP}/update", b'{"pid":"oma:lamp"}').profile_id == "oma:lamp"
    with pytest.raises(InvalidValueError, match="pid"):
        up(f"lwm2m/{EP}/reg", b'{"lifetime":60,"pid":"lamp"}')


def test_object_versions_empty_objects_and_resource_instances():
    body = b'{"lifetime":60.0,"objects":{"5":{},"3303":{"ver":"1.1","0":{}},"3":{"0":{"6":{"0":1,"1":5}}}}}'
    message = up(f"lwm2m/{EP}/reg", body)
    assert message.links == (
        Link(Path.of(5)), Link(Path.of(3303), {"ver": "1.1"}), Link(Path.of(3303, 0)), Link(Path.of(3, 0)),
    )  # fmt: skip
    assert message.records == (Record(Path.of(3, 0, 6, 0), 1), Record(Path.of(3, 0, 6, 1), 5))
    assert (message.lifetime, message.version) == (60, "1.2")
    assert up(*profile.encode_uplink(EP, message)) == message


@pytest.mark.parametrize(
    ("kind", "payload", "message"),
    [
        ("update", b"", Update()),
        ("update", b" {} ", Update()),
        (
            "update",
            b'{"lifetime":60,"seq":5,"timestamp":7,"token":9}',
            Update(lifetime=60, seq=5, timestamp=7, token="9"),
        ),
        (
            "update",
            b'{"objects":{"3":{"0":{"9":5}}}}',
            Update(links=(Link(Path.of(3, 0)),), records=(Record(Path.of(3, 0, 9), 5),)),
        ),
        ("dereg", b"", Deregister()),
        (
            "send",
            b'{"values":{"/3303/0/5700":23.5,"/3/0/6":{"0":1}},"seq":1,"timestamp":2}',
            Send(
                records=(Record(Path.of(3303, 0, 5700), 23.5), Record(Path.of(3, 0, 6, 0), 1)),
                seq=1,
                timestamp=2,
            ),
        ),
        (
            "send",
            b'{"records":[{"path":"/3/0/9","value":5,"timestamp":1500}]}',
            Send(records=(Record(Path.of(3, 0, 9), 5, 1.5),)),
        ),
        ("notify/66", b'{"values":{"/3/0/9":5}}', Notify(token="66", records=(Record(Path.of(3, 0, 9), 5),))),
        (
            "resp/7",
            b'{"code":"2.05","values":{"/3/0/0":"x"}}',
            Response(token="7", code=Code.CONTENT, records=(Record(Path.of(3, 0, 0), "x"),)),
        ),
        (
            "resp/7",
            b'{"code":"4.04","error":"no such resource"}',
            Response(token="7", code=Code.NOT_FOUND, error="no such resource"),
        ),
        ("resp/7", b'{"code":2.05}', Response(token="7", code=Code.CONTENT)),
        ("bootstrap", b'{"token":"1","pack":true}', BootstrapRequest(token="1", pack=True)),
    ],
)
def test_uplink_bodies(kind, payload, message):
    assert up(f"lwm2m/{EP}/{kind}", payload) == message


@pytest.mark.parametrize(
    ("kind", "payload", "message"),
    [
        (
            "cmd/1",
            b'{"operation":"read","path":"/3/0/0"}',
            Command(token="1", operation=Operation.READ, path=Path.of(3, 0, 0)),
        ),
        (
            "cmd/1",
            b'{"operation":"write","path":"/1/0/1","value":60}',
            Command(
                token="1",
                operation=Operation.WRITE,
                path=Path.of(1, 0, 1),
                records=(Record(Path.of(1, 0, 1), 60),),
            ),
        ),
        (
            "cmd/1",
            b'{"operation":"execute","path":"/3/0/4","arguments":"0=\'x\'"}',
            Command(token="1", operation=Operation.EXECUTE, path=Path.of(3, 0, 4), arguments="0='x'"),
        ),
        (
            "cmd/1",
            b'{"operation":"write-composite","values":{"/1/0/1":60,"/3/0/14":"+01"}}',
            Command(
                token="1",
                operation=Operation.WRITE_COMPOSITE,
                records=(Record(Path.of(1, 0, 1), 60), Record(Path.of(3, 0, 14), "+01")),
            ),
        ),
        (
            "cmd/1",
            b'{"operation":"read-composite","paths":["/3/0/0","/1/0/1"]}',
            Command(
                token="1", operation=Operation.READ_COMPOSITE, paths=(Path.of(3, 0, 0), Path.of(1, 0, 1))
            ),
        ),
        (
            "cmd/1",
            b'{"operation":"write-attributes","path":"/3303/0/5700","attributes":{"pmin":10,"gt":30.5,"edge":true,"lt":null}}',
            Command(
                token="1",
                operation=Operation.WRITE_ATTRIBUTES,
                path=Path.of(3303, 0, 5700),
                attributes=Attributes(pmin=10, gt=30.5, edge=True, unset=frozenset({"lt"})),
            ),
        ),
        (
            "cmd/1",
            b'{"operation":"discover","path":"/3","depth":1}',
            Command(token="1", operation=Operation.DISCOVER, path=Path.of(3), depth=1),
        ),
        (
            "cmd/1",
            b'{"operation":"create","path":"/3306","value":{"5850":true,"7":{"0":1,"1":2}}}',
            Command(
                token="1",
                operation=Operation.CREATE,
                path=Path.of(3306),
                records=tuple(
                    Record(content_path((3306, 65535, *ids)), value)
                    for ids, value in (((5850,), True), ((7, 0), 1), ((7, 1), 2))
                ),
            ),
        ),
        (
            "cmd/1",
            b'{"operation":"create","path":"/3306","values":{"/3306/4/5850":true}}',
            Command(
                token="1",
                operation=Operation.CREATE,
                path=Path.of(3306),
                records=(Record(Path.of(3306, 4, 5850), True),),
            ),
        ),
        (
            "ack/reg",
            b'{"code":"4.00","error":{"field":"lifetime","value":-1,"allowed":"0 and more"}}',
            Response(
                operation=Operation.REGISTER,
                code=Code.BAD_REQUEST,
                error=Refusal("lifetime", -1, "0 and more"),
            ),
        ),
        (
            "ack/send",
            b'{"code":"2.04","token":"5"}',
            Response(operation=Operation.SEND, code=Code.CHANGED, token="5"),
        ),
    ],
)
def test_downlink_bodies(kind, payload, message):
    assert down(f"lwm2m/{EP}/{kind}", payload) == message
    topic, encoded = profile.encode_downlink(EP, message)
    assert topic == f"lwm2m/{EP}/{kind}"
    assert orjson.loads(encoded) == orjson.loads(payload)


@pytest.mark.parametrize(
    ("kind", "payload", "field"),
    [
        ("reg", b"{}", "lifetime"),
        ("reg", b'{"lifetime":-1}', "lifetime"),
        ("reg", b'{"lifetime":true}', "lifetime"),
        ("reg", b'{"lifetime":1e300}', "lifetime"),
        ("reg", b'{"lifetime":60,"endpoint":"other"}', "endpoint"),
        ("reg", b'{"lifetime":60,"bindingMode":"XY"}', "bindingMode"),
        ("reg", b'{"lifetime":60,"bindingMode":""}', "bindingMode"),
        ("reg", b'{"lifetime":60,"objects":[]}', "objects"),
        ("reg", b'{"lifetime":60,"objects":{"x":{}}}', "id below /"),
        ("reg", b'{"lifetime":60,"objects":{"3":5}}', "objects/3"),
        ("reg", b'{"lifetime":60,"objects":{"3":{"0":5}}}', "objects/3/0"),
        ("reg", b'{"lifetime":60,"objects":{"3":{"65535":{}}}}', "path"),
        ("reg", b'{"lifetime":60,"objects":{"3":{"0":{"0":[1]}}}}', "/3/0/0"),
        ("update", b'{"seq":-1}', "seq"),
        ("update", b'{"timestamp":"now"}', "timestamp"),
        ("send", b'{"values":[]}', "values"),
        ("reg", b'{"lifetime":60,"bindingMode":"XYZ"}', "bindingMode"),
        ("reg", b'{"lifetime":60,"bindingMode":"UU"}', "bindingMode"),
        ("reg", b'{"lifetime":60,"bindingMode":"Q"}', "bindingMode"),
        ("reg", b'{"lifetime":' + b"[" * 60 + b"]" * 60 + b"}", "lifetime"),
        ("send", b'{"records":{"path":1}}', "records"),
        ("resp/1", b"{}", "code"),
        ("resp/1", b'{"code":"2.99"}', "code"),
        ("resp/1", b'{"code":"2.01","links":5}', "links"),
    ],
)
def test_a_wrong_field_is_named(kind, payload, field):
    with pytest.raises(InvalidValueError) as caught:
        up(f"lwm2m/{EP}/{kind}", payload)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("payload", "refusals"),
    [
        ({"values": {"/3/0": 5}}, {("/3/0", 5)}),
        ({"values": {"/3/0/x": 5}}, {("path", "/3/0/x")}),
        ({"values": {"/3/0/0": [1]}}, {("/3/0/0", (1,))}),
        ({"values": {"/3/0/6": 1, "/3/0/6/0": 2}}, {("/3/0/6", 1), ("/3/0/6/0", 2)}),
        ({"values": {"/3/0/6": 1, "3/0/6/": 2}}, {("/3/0/6", 1), ("/3/0/6", 2)}),
        (
            {"values": {"/3/0/6": 1}, "records": [{"path": "/3/0/6", "value": 2}]},
            {("/3/0/6", 1), ("/3/0/6", 2)},
        ),
        ({"records": [{"path": "/3/0/9", "value": 5, "timestamp": "x"}]}, {("timestamp", "x")}),
        ({"records": [{"path": 5, "value": 5}]}, {("/5", 5)}),
    ],
)
def test_a_record_that_cannot_be_used_spoils_no_other(payload, refusals):
    payload.setdefault("values", {})["/3303/0/5700"] = 21.5
    for kind in ("send", "notify/7"):
        records = up(f"lwm2m/{EP}/{kind}", json.dumps(payload).encode()).records
        found = {
            (r.fault.field, tuple(v) if isinstance(v := r.fault.value, list) else v)
            for r in records
            if r.fault
        }
        assert found == refusals
        assert Record(Path.of(3303, 0, 5700), 21.5) in records


def test_records_with_and_without_a_time_do_not_clash():
    body = {
        "values": {"/3/0/9": 5},
        "records": [{"path": "/3/0/9", "value": n, "timestamp": n} for n in (1, 2)],
    }
    records = up(f"lwm2m/{EP}/send", json.dumps(body).encode()).records
    assert [(r.value, r.time, r.fault) for r in records] == [
        (5, None, None),
        (1, 0.001, None),
        (2, 0.002, None),
    ]


@pytest.mark.parametrize(
    "payload",
    [
        b"{", b"[]", b"1", b"\xff", b'{"a":' * 2000, b'{"a":' * 70 + b"1" + b"}" * 70,
        b'{"a":1e999}', b'{"a":NaN}',
        b'{"values":{"/3/0/9":1,"/3/0/9":2}}', b'{"values":{"/3/0/6":{"0":1,"0":2}}}', b'{"seq":1,"seq":2}',
        b'{"values":{"/3/0/9":1,"\\u002f3/0/9":2}}', b'{"a":[' + b"1," * 60_000 + b"1]}",
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(payload):
    with pytest.raises(DecodeError):
        up(f"lwm2m/{EP}/send", payload)


@pytest.mark.parametrize(
    "topic",
    [
        "lwm2m",
        "lwm2m/x",
        "lwm2m/rd/x",
        "lwm2m/x/reg/1",
        "lwm2m/x/resp",
        "lwm2m/x/resp/",
        "other/x/reg",
        "lwm2m/x/cmd/1/2",
    ],
)
def test_foreign_topics_are_refused(topic):
    with pytest.raises(DecodeError):
        profile.parse_topic(topic)


def test_illegal_endpoints_and_wrong_directions_are_refused():
    with pytest.raises(InvalidValueError, match="device id"):
        profile.parse_topic("lwm2m/bs/reg")
    with pytest.raises(DecodeError, match="only servers"):
        up("lwm2m/x/cmd/1", b"{}")
    with pytest.raises(DecodeError, match="only devices"):
        down("lwm2m/x/reg", b"{}")
    with pytest.raises(InvalidValueError, match="operation"):
        profile.encode_downlink("x", Response(code=Code.CONTENT))


def test_topics_under_a_prefix():
    assert profile.parse_topic("tenant/lwm2m/x/reg", "tenant") == profile.Topic("x", "reg")
    with pytest.raises(DecodeError):
        profile.parse_topic("lwm2m/x/reg", "tenant")
    assert "tenant/lwm2m/+/resp/+" in profile.up_filters("tenant")
    assert profile.down_filters("x") == ("lwm2m/x/ack/+", "lwm2m/x/cmd/+")


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**64, -(2**63) - 1])
def test_numbers_that_json_cannot_carry_are_never_sent(value):
    with pytest.raises(InvalidValueError):
        profile.encode_uplink(EP, Send(records=(Record(Path.of(3, 0, 9), value),)))


def test_bytes_and_object_links_travel_as_text():
    records = (Record(Path.of(5, 0, 0), b"\xab\xcd\xef"), Record(Path.of(0, 0, 26), ObjectLink(24, 0)))
    _, body = profile.encode_uplink(EP, Send(records=records))
    assert orjson.loads(body)["values"] == {"/5/0/0": "q83v", "/0/0/26": "24:0"}


def test_a_refused_value_goes_back_shortened():
    refusal = Refusal("x", {"long": "y" * 1000}, "less")
    message = Response(operation=Operation.SEND, code=Code.BAD_REQUEST, error=refusal)
    assert len(profile.encode_downlink(EP, message)[1]) < 200


paths = st.lists(st.integers(0, 65534), min_size=3, max_size=3).map(lambda ids: Path.of(*ids))
values = st.one_of(
    st.text(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
records = st.dictionaries(paths, values, max_size=5).map(lambda d: tuple(Record(p, v) for p, v in d.items()))
numbers = st.none() | st.integers(0, 2**53)
tokens = st.text("abc019-", min_size=1, max_size=20)
uplinks = st.one_of(
    st.builds(Send, records=records, seq=numbers, timestamp=numbers, token=tokens),
    st.builds(Notify, records=records, seq=numbers, timestamp=numbers, token=tokens),
    st.builds(Update, lifetime=st.none() | st.integers(0, 2**32 - 1), seq=numbers, timestamp=numbers),
    st.builds(Deregister, seq=numbers, timestamp=numbers),
    st.builds(
        Response, token=tokens, code=st.sampled_from(Code), records=records, error=st.none() | st.text()
    ),
    st.builds(
        Register,
        endpoint=st.just(EP),
        lifetime=st.integers(0, 2**32 - 1),
        links=st.sets(st.integers(0, 65534), max_size=4).map(
            lambda ids: tuple(Link(Path.of(3303, i)) for i in ids)
        ),
    ),
)


@given(uplinks)
def test_every_uplink_comes_back_as_it_was(message):
    topic, payload = profile.encode_uplink(EP, message)
    decoded = up(topic, payload)
    assert decoded == message
    assert profile.encode_uplink(EP, decoded) == (topic, payload)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NUMBERS = ["lifetime", "seq", "timestamp", "depth"]
TEXTS = ["endpoint", "version", "bindingMode", "token", "code", "location", "operation", "path", "arguments"]
TREES = ["objects", "values", "records", "links", "error", "paths", "value", "attributes"]
kinds = st.sampled_from(
    ["reg", "update", "dereg", "send", "bootstrap", "notify/1", "resp/1", "cmd/1", "ack/reg"]
)


@given(
    kinds,
    st.binary()
    | st.dictionaries(st.sampled_from(NUMBERS + TEXTS + TREES), json_values).map(
        lambda body: json.dumps(body).encode()
    ),
)
def test_hostile_bodies_raise_only_our_errors(kind, payload):
    topic = profile.parse_topic(f"lwm2m/{EP}/{kind}")
    for decode in (profile.decode_uplink, profile.decode_downlink):
        with contextlib.suppress(IiotError):
            decode(topic, payload)
