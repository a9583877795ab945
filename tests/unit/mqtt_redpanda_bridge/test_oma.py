"""Devices of the OMA profile in Kafka: the envelope and the words of the JSON profile."""

import base64
import json
import math
from contextlib import suppress
from dataclasses import replace

import cbor2
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot import schemas
from iiot.errors import DecodeError
from iiot.lwm2m.content import Format as ContentFormat
from iiot.lwm2m.message import (
    Code,
    Command,
    Content,
    Deregister,
    Link,
    Notify,
    Operation,
    Register,
    Response,
    Send,
    Update,
)
from iiot.lwm2m.oma_profile import encode_downlink, encode_uplink
from iiot.lwm2m.path import Path
from mqtt_redpanda_bridge.devices import DeviceStates
from mqtt_redpanda_bridge.encode import Context, open_encoder
from mqtt_redpanda_bridge.pump import Pump
from mqtt_redpanda_bridge.routes import Format, Route, load_routes

NOW = 1_795_503_119_839
LEDGER = {"token": "7", "seq": 41, "timestamp": 1_700_000_000_000}
SENML = bytes.fromhex("82a321652f332f302f006139020fa2006232300204")  # /3/0/9 = 15, /3/0/20 = 4
ROUTE = Route(name="r", filters=("#",), topic="u", registration_topic="r", format=Format.LWM2M_OMA)
SCHEMA = jsonschema_rs.validator_for(json.loads(schemas.current(schemas.LWM2M_JSON).text))


def encoder(topic="lwm2m/rd/dev", context=None):
    return open_encoder(ROUTE, topic, context or Context())


def encode(message, **more):
    one = encoder(**more)
    payload = message if isinstance(message, bytes) else encode_uplink(message)
    value, headers = one.encode(payload, NOW)
    record = json.loads(value)
    SCHEMA.validate(record)
    headers = {name: v if isinstance(v, str) else v.decode() for name, v in headers}
    return one.topic_of(payload), record, headers


REGISTER = Register(endpoint="dev", lifetime=60, binding="M", links=(Link(Path.of(3, 0)),), **LEDGER)
UPLINKS = {
    "register": (
        REGISTER,
        "r",
        {
            "endpoint": "dev",
            "lifetime": 60,
            "version": "1.2",
            "bindingMode": "M",
            "objects": {"3": {"0": {}}},
        },
    ),
    "deregister": (Deregister(**LEDGER), "r", {}),
    "update": (Update(lifetime=30, **LEDGER), "u", {"lifetime": 30}),
    "send": (Send(content=Content(112, SENML), **LEDGER), "u", {"values": {"/3/0/9": 15, "/3/0/20": 4}}),
    "notify": (Notify(content=Content(112, SENML), **LEDGER), "u", {"values": {"/3/0/9": 15, "/3/0/20": 4}}),
}


@pytest.mark.parametrize("operation", UPLINKS)
def test_uplinks_are_told_as_the_json_profile_has_them(operation):
    message, topic, payload = UPLINKS[operation]
    found_topic, record, headers = encode(message)
    assert found_topic == topic
    assert record == {
        "endpoint": "dev",
        "operation": operation,
        "topic": "lwm2m/rd/dev",
        "timestamp": LEDGER["timestamp"],
        "payload": payload | LEDGER,
    }
    assert (headers["ce_id"], headers["ce_subject"]) == ("41", "dev")
    assert headers["ce_type"] == f"iot.lwm2m.{operation}"


def test_records_hold_paths_without_a_devices_alternate_path():
    pack = cbor2.dumps([{-2: "/lwm2m/3/0/", 0: "9", 2: 15}, {0: "20", 2: 4}])
    for message in (Send(content=Content(112, pack), **LEDGER), Notify(content=Content(112, pack), **LEDGER)):
        _, record, _ = encode(message)
        assert record["payload"]["values"] == {"/3/0/9": 15, "/3/0/20": 4}
    _, record, _ = encode(replace(REGISTER, root="/lwm2m", formats=(112,)))
    assert record["payload"]["objects"] == {"3": {"0": {}}}


def test_a_notification_that_does_not_name_its_path_is_passed_on_as_it_is():
    body = Content(ContentFormat.TEXT, b"23.4")
    _, record, _ = encode(Notify(content=body, **LEDGER))
    assert record["payload"] == LEDGER | {
        "values": {},
        "format": 0,
        "content": base64.b64encode(b"23.4").decode(),
    }


def test_without_the_extensions_a_message_has_the_time_of_receipt():
    _, record, headers = encode(encode_uplink(Update(token="3"), extensions=False))
    assert (record["timestamp"], record["payload"]) == (NOW, {"token": "3"})
    assert headers["ce_id"].startswith("bridge-")


def test_what_servers_say_and_every_response_is_no_telemetry():
    one = encoder()
    assert one.topic_of(encode_uplink(Response(token="2", code=Code.CHANGED))) is None
    for operation in (Operation.READ, Operation.WRITE, Operation.OBSERVE, Operation.EXECUTE):
        command = Command(token="2", operation=operation, path=Path.of(3, 0, 0))
        assert one.topic_of(encode_downlink(command)) is None
    assert encoder("lwm2m/bs/dev").topic_of(b"\xa2\x01\x06\x02\x03") is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        cbor2.dumps({1: 6}),
        cbor2.dumps({1: 6, 2: 3}),
        cbor2.dumps({1: 6, 2: 3, 8: -1, 9: "1.2"}),
        cbor2.dumps({1: 24, 2: 3, 19: 0, 7: b"1"}),
        cbor2.dumps({1: 24, 2: 3, 19: 112, 7: b"\xff"}),
    ],
    ids=bytes.hex,
)
def test_what_cannot_be_decoded_goes_where_its_dead_letters_are(payload):
    one = encoder()
    assert one.topic_of(payload) in ("u", "r")
    with pytest.raises(DecodeError):
        one.encode(payload, NOW)


@given(st.binary(max_size=60) | st.dictionaries(st.integers(0, 24), st.integers(0, 30)).map(cbor2.dumps))
def test_hostile_bytes_are_refused_and_nothing_else(payload):
    one = encoder()
    if one.topic_of(payload) is not None:
        with suppress(DecodeError):
            one.encode(payload, NOW)


@pytest.mark.parametrize("topic", ["lwm2m/rd/a/b", "x/y/rd/a", "lwm2m/rd/$a", "lwm2m/rd/reg"])
def test_other_topics_are_refused(topic):
    with pytest.raises(DecodeError):
        encoder(topic)


def test_registrations_change_the_state_of_a_device():
    context = Context(states=DeviceStates(10_000))
    encode(REGISTER, context=context)
    _, value, _ = context.states.take()
    assert json.loads(value)["lwm2m"] == {"registered": True, "since": NOW, "lifetime": 60}


class Outlet:
    def __init__(self):
        self.records = []

    def produce(self, topic, key, value, headers, on_delivery):
        self.records.append((topic, key, json.loads(value)))
        on_delivery(None)


class Incoming:
    duplicate = False

    def __init__(self, topic, payload):
        self.topic, self.payload, self.acks = topic, payload, 0

    def ack(self):
        self.acks += 1


@pytest.mark.parametrize("prefix", ["", "tenant-a"])
def test_the_default_routes_take_both_profiles_with_and_without_a_prefix(prefix):
    root = f"{prefix}/lwm2m" if prefix else "lwm2m"
    outlet, table = Outlet(), load_routes(None, prefix)
    pump = Pump(table, Context(), outlet, clock=lambda: 0.0, wall_clock=lambda: 0.0, max_bytes=1 << 20)
    messages = [
        Incoming(f"{root}/rd/dev", encode_uplink(REGISTER)),
        Incoming(f"{root}/rd/dev", encode_downlink(Response(token="7", code=Code.CREATED))),
        Incoming(f"{root}/rd/dev", encode_uplink(Send(content=Content(112, SENML), token="9"))),
        Incoming(f"{root}/rd/dev", b"poison"),
        Incoming(f"{root}/old/reg", b'{"lifetime": 60}'),
        Incoming(f"{root}/old/send", b"{}"),
    ]
    for message in messages:
        pump.handle(message)
    assert [(topic, key) for topic, key, _ in outlet.records] == [
        ("iot.telemetry.lwm2m.registration", b"dev"),
        ("iot.telemetry.lwm2m.updates", b"dev"),
        ("iot.telemetry.lwm2m.updates.dlq", b"dev"),
        ("iot.telemetry.lwm2m.registration", b"old"),
        ("iot.telemetry.lwm2m.updates", b"old"),
    ]
    assert [message.acks for message in messages] == [1] * 6
    assert (pump.unmatched, pump.not_telemetry, pump.in_flight) == (0, 1, 0)
    counters = pump.counters["lwm2m-oma"]
    assert (counters.received, counters.delivered, counters.dead_lettered) == (3, 2, 1)


def sending(*records):
    payload = bytes([0x80 + len(records)]) + b"".join(map(cbor2.dumps, records))
    return cbor2.dumps({1: 24, 2: 3, 19: 112, 7: payload})


def test_relative_times_become_absolute():
    _, record, _ = encode(sending({0: "/3303/0/5700", 2: 19.5, 6: -30}, {0: "/3/0/9", 2: 5}))
    assert record["payload"]["values"] == {"/3/0/9": 5}
    (timed,) = record["payload"]["records"]
    assert timed == {"path": "/3303/0/5700", "value": 19.5, "timestamp": NOW - 30_000}


def test_of_a_send_what_cannot_be_used_is_listed_beside_the_rest():
    _, record, _ = encode(
        sending({0: "/3303/0/5700", 2: math.nan}, {0: "/3/0/9", 2: 5}, {0: "/3/0/10", 2: 2**70})
    )
    assert record["payload"]["values"] == {"/3/0/9": 5}
    assert record["payload"]["refusedCount"] == 2
    assert [refused["field"] for refused in record["payload"]["refused"]] == ["/3303/0/5700", "/3/0/10"]
    with pytest.raises(DecodeError, match="/3303/0/5700"):
        encode(sending({0: "/3303/0/5700", 2: math.nan}))
