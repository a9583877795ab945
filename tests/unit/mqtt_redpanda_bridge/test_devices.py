import json
from contextlib import suppress

import cbor2
import pytest

from iiot import schemas
from iiot.errors import DecodeError
from iiot.lwm2m.message import Register
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload
from iiot.sparkplug.topic import MessageType, Topic
from mqtt_redpanda_bridge.devices import DeviceStates
from mqtt_redpanda_bridge.encode import Context, Lwm2mJson
from mqtt_redpanda_bridge.oma import Lwm2mOma
from mqtt_redpanda_bridge.routes import Format, Route
from schema_check import validator

T = 1_795_503_119_000
INTERVAL = 10_000
LWM2M = Route(name="json", filters=("lwm2m/#",), topic="t", format=Format.LWM2M_JSON)
OMA = Route(name="oma", filters=("lwm2m/rd/+",), topic="t", format=Format.LWM2M_OMA)


@pytest.fixture
def states():
    return DeviceStates(INTERVAL)


def written(states):
    """The state that has to be written now, None if none."""
    record = states.take()
    if record is None:
        return None
    key, value, headers = record
    state = json.loads(value)
    assert validator(schemas.STATE).is_valid(state), state
    assert key.decode() == state["device"] == dict(headers)["ce_subject"].decode()
    return state


def sparkplug(states, kind, at, *, device=None, bd_seq=None, node="n"):
    metrics = [] if bd_seq is None else [Metric("bdSeq", bd_seq, DataType.INT64)]
    states.sparkplug(Topic(MessageType(kind), "g", node, device), Payload(at, metrics, 0), at)
    return written(states)


def lwm2m(states, kind, at, content=None, endpoint="n"):
    context = Context(states=states)
    encoder = Lwm2mJson(LWM2M, f"lwm2m/{endpoint}/{kind}", context)
    encoder.encode(json.dumps(content or {}).encode(), at)
    return written(states)


def test_births_deaths_and_registrations_are_written_at_once(states):
    born = sparkplug(states, "NBIRTH", T, bd_seq=4)
    assert born["sparkplug"] == {"group": "g", "online": True, "since": T, "bd_seq": 4, "devices": {}}
    assert born["lwm2m"] is None
    with_device = sparkplug(states, "DBIRTH", T + 1, device="d")
    assert with_device["sparkplug"]["devices"] == {"d": {"online": True, "since": T + 1}}
    registered = lwm2m(states, "reg", T + 2, {"lifetime": 300})
    assert registered["lwm2m"] == {"registered": True, "since": T + 2, "lifetime": 300}
    dead = sparkplug(states, "NDEATH", T + 3, bd_seq=4)
    assert (dead["sparkplug"]["online"], dead["sparkplug"]["since"]) == (False, T + 3)
    assert dead["sparkplug"]["devices"] == {"d": {"online": False, "since": T + 3}}
    # The broker sends a death: the device was last seen before.
    assert dead["last_seen"] == T + 2
    assert lwm2m(states, "dereg", T + 4)["lwm2m"]["registered"] is False


def test_a_device_that_dies_leaves_its_node_online(states):
    sparkplug(states, "NBIRTH", T)
    sparkplug(states, "DBIRTH", T, device="d")
    state = sparkplug(states, "DDEATH", T + 1, device="d")
    assert (state["sparkplug"]["online"], state["sparkplug"]["devices"]["d"]["online"]) == (True, False)


def test_the_death_of_an_earlier_session_changes_nothing(states):
    sparkplug(states, "NBIRTH", T, bd_seq=4)
    sparkplug(states, "NBIRTH", T + 1, bd_seq=5)
    assert sparkplug(states, "NDEATH", T + 2, bd_seq=4) is None
    assert sparkplug(states, "NDEATH", T + 3, bd_seq=5)["sparkplug"]["online"] is False


def test_last_seen_is_written_once_in_an_interval_for_each_device(states):
    for node in ("n", "m"):
        assert sparkplug(states, "NBIRTH", T, node=node)
    data = [sparkplug(states, "NDATA", T + ms, node="n") for ms in range(0, 3 * INTERVAL, 100)]
    assert [state["last_seen"] - T for state in data if state] == [INTERVAL, 2 * INTERVAL]
    assert lwm2m(states, "send", T + INTERVAL, endpoint="m")["last_seen"] == T + INTERVAL


def test_a_clock_set_back_silences_no_device(states):
    sparkplug(states, "NBIRTH", T)
    assert sparkplug(states, "NDATA", T - 3_600_000) is not None
    assert sparkplug(states, "NDATA", T - 3_600_000 + 1) is None


def test_an_update_with_another_lifetime_is_a_change(states):
    lwm2m(states, "reg", T, {"lifetime": 300})
    assert lwm2m(states, "update", T + 1, {"lifetime": 300}) is None
    assert lwm2m(states, "update", T + 2, {"lifetime": 60})["lwm2m"]["lifetime"] == 60
    assert lwm2m(states, "update", T + 3, {"lifetime": "soon"}) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"lifetime": -1}, {"lifetime": 2**32}, {"lifetime": "soon"},
        {"lifetime": 60, "bindingMode": "XYZ"},
        {"lifetime": 60, "version": "9.9"}, {"lifetime": 60, "endpoint": "other"},
        {"lifetime": 60, "objects": {"3": {"0": {"9": "full"}}}},
        {"lifetime": 60, "objects": {"3": {"65535": {}}}},
    ],
)  # fmt: skip
def test_a_register_that_the_server_refuses_makes_no_registration(states, wrong):
    assert lwm2m(states, "reg", T, wrong)["lwm2m"] is None
    lwm2m(states, "reg", T + 1, {"lifetime": 300})
    assert lwm2m(states, "reg", T + 2, wrong) is None
    told = lwm2m(states, "dereg", T + INTERVAL)
    assert told["lwm2m"] == {"registered": False, "since": T + INTERVAL, "lifetime": None}
    assert lwm2m(states, "update", T + INTERVAL + 1, {"lifetime": 60}) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {8: -1}, {8: 2**32}, {9: "9.9"}, {10: "XYZ"}, {3: "other"}, {7: b""}, {7: b"</x>"},
    ],
)  # fmt: skip
def test_a_register_of_the_oma_profile_likewise(states, wrong):
    message = {1: 6, 2: 1, 8: 60, 9: "1.2", 10: "M", 7: b"</3/0>"}
    encoder = Lwm2mOma(OMA, "lwm2m/rd/n", states)
    with suppress(DecodeError):
        encoder.encode(cbor2.dumps(message | wrong), T)
    assert (told := written(states)) is None or told["lwm2m"] is None
    encoder.encode(cbor2.dumps(message), T + 1)
    assert written(states)["lwm2m"] == {"registered": True, "since": T + 1, "lifetime": 60}


def test_the_next_bridge_goes_on_from_what_was_written(states):
    sparkplug(states, "NBIRTH", T, bd_seq=4)
    states.lwm2m("n", Register(endpoint="n", lifetime=300), "json", T + 1)
    successor = DeviceStates(INTERVAL)
    successor.restore(*states.take()[:2])
    assert sparkplug(successor, "NDATA", T + 2) is None
    state = sparkplug(successor, "NDEATH", T + 3, bd_seq=4)
    assert (state["sparkplug"]["online"], state["lwm2m"]["lifetime"]) == (False, 300)


def record_of(node, **changed):
    state = {"device": node, "last_seen": T, "sparkplug": None, "lwm2m": None}
    return json.dumps(state | changed).encode()


@pytest.mark.parametrize(
    "value",
    [
        *(b"\xff", b"[]", b"{}", b"null", b'{"device": "n", "last_seen": 1}'),
        record_of(["n"]),
        record_of("n", last_seen="yesterday"),
        record_of("n", sparkplug={"online": True}),
        record_of("n", lwm2m=300),
    ],
)
def test_a_state_that_no_bridge_wrote_is_passed_over(states, value):
    states.restore(b"n", value)
    assert states.count == 0
    assert sparkplug(states, "NDEATH", T, bd_seq=4) is None


def test_a_state_that_somebody_removed_is_forgotten(states):
    for node in ("a", "b"):
        states.restore(node.encode(), record_of(node))
    states.restore(b"a", b"")
    states.restore(b"never there", b"")
    assert (states.count, states.forgotten) == (1, 0)


def test_nothing_is_kept_when_it_is_off():
    assert sparkplug(DeviceStates(None), "NBIRTH", T) is None
    assert lwm2m(DeviceStates(None), "reg", T, {"lifetime": 60}) is None


def test_beyond_the_limit_the_device_silent_for_longest_is_forgotten():
    states = DeviceStates(INTERVAL, limit=2)
    for node, at in (("a", T), ("b", T + 1)):
        sparkplug(states, "NBIRTH", at, node=node, bd_seq=4)
    sparkplug(states, "NDATA", T + 2, node="a")
    sparkplug(states, "NBIRTH", T + 3, node="c")
    assert (states.count, states.forgotten) == (2, 1)
    assert sparkplug(states, "NDEATH", T + 4, node="a", bd_seq=4)["sparkplug"]["online"] is False
    # What it does not tell again is unknown.
    assert sparkplug(states, "NDATA", T + 5, node="b")["sparkplug"] is None


def test_states_read_back_are_bounded_too_and_replace_what_was_known(states):
    found = DeviceStates(0, limit=2)
    for node in ("a", "b", "c"):
        found.restore(node.encode(), record_of(node))
    sparkplug(states, "NBIRTH", T, node="old")
    states.adopt(found)
    assert (states.count, states.forgotten) == (2, 1)


def test_an_edge_node_that_invents_devices_makes_no_record_that_kafka_refuses(states):
    sparkplug(states, "NBIRTH", T, bd_seq=4)
    sparkplug(states, "DBIRTH", T, device="pump")
    for number in range(1_500):
        states.sparkplug(Topic(MessageType.DDEATH, "g", "n", f"{number:0400d}"), Payload(T, [], 0), T)
    _, value, _ = states.take()
    devices = json.loads(value)["sparkplug"]["devices"]
    assert len(value) < 500_000
    assert (len(devices), devices["pump"]["online"], f"{1_499:0400d}" in devices) == (1_000, True, True)
    assert states.forgotten == 501


def test_a_device_that_is_known_pushes_no_other_out(states):
    sparkplug(states, "NBIRTH", T, bd_seq=4)
    for number in range(1_000):
        sparkplug(states, "DBIRTH", T, device=f"d{number}")
    again = sparkplug(states, "DDEATH", T + 1, device="d5")
    assert (len(again["sparkplug"]["devices"]), states.forgotten) == (1_000, 0)
