"""What devices report: one wrong value spoils no other, and nobody else is harmed."""

import json
import math
import struct
import tracemalloc

import cbor2
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.lwm2m.path import Path
from lwm2m_bench import Message, OmaBench
from lwm2m_server import uplink
from lwm2m_server.json_channel import JsonChannel
from lwm2m_vectors import BIGNUM, senml_pack, senml_record

REGISTER = {1: 6, 2: 1, 8: 60, 9: "1.2", 10: "M", 7: b"</1/0>,</3/0>,</3303/0>"}
GOOD, OTHER, BATTERY = "/3303/0/5700", "/3303/0/5601", "/3/0/9"
NOT_A_NUMBER = b"\xfb" + struct.pack("!d", math.nan)
NOW = 1_795_000_000


class Both(OmaBench):
    """A device that speaks the OMA binding, and one that speaks JSON."""

    def __init__(self):
        super().__init__()
        self.published_json = []
        self.json = JsonChannel(
            "",
            self.uplink,
            self.operations,
            lambda *message: self.published_json.append(message),
            self.counts,
        )

    def says_json(self, kind, body, endpoint="j1"):
        payload = body if isinstance(body, bytes) else orjson.dumps(body)
        message = Message(f"lwm2m/{endpoint}/{kind}", payload)
        self.json.handle(message)
        self.log.settle()
        return message

    def sends(self, payload, form=112):
        return self.says(cbor2.dumps({1: 24, 2: 3, 19: form, 7: payload}))

    def told(self):
        """Kind and data of the newest event."""
        return self.log.events[-1][0], self.log.events[-1][2]


@pytest.fixture
def bench():
    made = Both()
    made.says(cbor2.dumps(REGISTER))
    made.says_json("reg", {"lifetime": 60})
    made.take()
    made.published_json.clear()
    made.counts.clear()
    return made


def tree(value):
    return b"\xa1\x19\x0c\xe7\xa1\x00\xa2\x19\x16\x44\xfb" + struct.pack("!d", 19.5) + b"\x19\x15\xe1" + value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (BIGNUM, "an integer of 40000 bits"),
        (b"\xc3" + BIGNUM[1:], "an integer of 40000 bits"),
        (NOT_A_NUMBER, "nan"),
        (b"\xf9\x7c\x00", "inf"),
        (b"\xc4\x82\x1a\x7f\xff\xff\xff\x01", "a decimal fraction"),
        (b"\xd8\x23\x66((a+)+", "a value with a tag"),
        (b"\x81\x01", "[1]"),
        (b"\x63one", "one"),
    ],
)
@pytest.mark.parametrize("form", [112, 11544])
def test_of_a_send_the_wrong_record_is_refused_and_named_and_the_others_are_taken(bench, value, shown, form):
    good = senml_record(GOOD, b"\xfb" + struct.pack("!d", 19.5))
    payload = senml_pack(good, senml_record(OTHER, value)) if form == 112 else tree(value)
    assert bench.sends(payload, form).acked == 1
    (answer,) = bench.take()
    assert (answer[18], answer[2]) == (400, 3)
    assert answer[7].startswith(OTHER.encode())
    kind, data = bench.told()
    assert (kind, data["values"], data["refusedCount"]) == ("send", {GOOD: 19.5}, 1)
    (refused,) = data["refused"]
    assert (refused["field"], refused["value"]) == (OTHER, shown)
    assert [(str(path), point[1]) for path, point in bench.values.latest("d1", Path()).items()] == [
        (GOOD, 19.5)
    ]
    assert ("records refused", "send", 1) in bench.counts


def test_a_send_of_which_nothing_is_right_is_refused(bench):
    bench.sends(senml_pack(senml_record(OTHER, BIGNUM)))
    assert bench.take()[0][18] == 400
    kind, data = bench.told()
    assert (kind, data["code"], data["error"]["field"]) == ("refused", "4.00", OTHER)


def test_the_json_profile_names_the_record_too_and_asks_for_no_token(bench):
    bench.says_json("send", {"values": {GOOD: 19.5, BATTERY: "full", "/x": 1}})
    ((topic, payload),) = bench.published_json
    assert topic == "lwm2m/j1/ack/send"
    assert orjson.loads(payload) == {
        "code": "4.00",
        "error": {"field": BATTERY, "value": "full", "allowed": "a 64-bit integer"},
    }
    kind, data = bench.told()
    assert (kind, data["values"], data["refusedCount"]) == ("send", {GOOD: 19.5}, 2)
    assert [refused["field"] for refused in data["refused"]] == [BATTERY, "path"]


def test_of_a_notification_likewise(bench):
    token = bench.observations.intend("d1", (Path.of(3303),), False).token
    payload = senml_pack(senml_record(GOOD, b"\x13"), senml_record(OTHER, NOT_A_NUMBER))
    bench.says(cbor2.dumps({1: 23, 2: int(token), 19: 112, 7: payload}))
    kind, data = bench.told()
    assert (kind, data["values"]) == ("notification", {GOOD: 19.0})
    assert [refused["field"] for refused in data["refused"]] == [OTHER]


@pytest.mark.parametrize(
    "pack",
    [
        [{0: GOOD, 2: 1.5}, {0: GOOD, 2: 2.5}, {0: BATTERY, 2: 5}],
        [{0: GOOD, 2: 1.5, 6: -5}, {0: GOOD, 2: 2.5, 6: -5}, {0: BATTERY, 2: 5}],
        [{0: "/3/0/6", 2: 1}, {0: "/3/0/6/0", 2: 2}, {0: BATTERY, 2: 5}],
    ],
)
def test_of_two_values_for_one_place_and_moment_none_is_taken(bench, pack):
    bench.sends(cbor2.dumps(pack))
    assert bench.take()[0][18] == 400
    kind, data = bench.told()
    assert (kind, data["values"], data["refusedCount"]) == ("send", {BATTERY: 5}, 2)


@pytest.mark.parametrize(
    ("pack", "moment"),
    [
        ([{0: GOOD, 6: -30, 2: 19.5}], NOW - 30),
        ([{0: GOOD, 6: 321, 2: 19.5}], NOW + 321),
        ([{-3: -60, 0: GOOD, 6: -30, 2: 19.5}], NOW - 90),
        ([{-3: -60.5, 0: GOOD, 2: 19.5}], NOW - 60.5),
        ([{-3: 1_794_000_000, 0: GOOD, 6: -30, 2: 19.5}], 1_793_999_970),
        ([{-3: 2**28, 0: GOOD, 2: 19.5}], 2**28),
        ([{-3: 2**28 - 1, 0: GOOD, 2: 19.5}], NOW + 2**28 - 1),
        ([{-3: cbor2.CBORTag(1, 1_794_000_000), 0: GOOD, 2: 19.5}], 1_794_000_000),
    ],
)
@pytest.mark.parametrize("form", [110, 112, None])
def test_relative_times_are_absolute_in_event_and_history(bench, pack, moment, form):
    endpoint = "d1"
    if form == 112:
        bench.sends(cbor2.dumps(pack))
    elif form == 110:
        names = {-3: "bt", 0: "n", 6: "t", 2: "v"}
        plain = [{names[k]: getattr(v, "value", v) for k, v in entry.items()} for entry in pack]
        bench.sends(orjson.dumps(plain), 110)
    else:
        endpoint = "j1"
        given = sum(getattr(pack[0].get(label, 0), "value", pack[0].get(label, 0)) for label in (-3, 6))
        entry = {"path": GOOD, "value": 19.5, "timestamp": round(given * 1000)}
        bench.says_json("send", {"records": [entry]})
    kind, data = bench.told()
    assert (kind, data["records"]) == (
        "send", [{"path": GOOD, "value": 19.5, "timestamp": round(moment * 1000)}]
    )  # fmt: skip
    # What a device says of the future counts as of now: a clock that is ahead must not hide later values.
    expected = min(round(moment * 1000), NOW * 1000)
    assert bench.values.latest(endpoint, Path())[Path.parse(GOOD)] == (expected, 19.5)
    assert bench.values.history(endpoint, Path(), 0, 10)[Path.parse(GOOD)] == [(expected, 19.5)]


@pytest.mark.parametrize("time", [1e300, -1e300, -1e10, 2**62, math.nan, math.inf])
def test_a_time_that_cannot_be_refuses_its_record(bench, time):
    bench.sends(cbor2.dumps([{0: GOOD, 6: time, 2: 19.5}, {0: BATTERY, 2: 5}]))
    assert bench.take()[0][7].startswith(f"{GOOD} time".encode())
    assert bench.told()[1]["values"] == {BATTERY: 5}


def test_a_base_time_beyond_all_clocks_is_answered_and_leaves_an_event(bench):
    for pack in ([{-3: 1e300, 0: GOOD, 2: 1.5}], [{-3: math.nan, 0: GOOD, 2: 1.5}]):
        assert bench.sends(cbor2.dumps(pack)).acked == 1
        assert bench.take()[0][18] == 400
        assert bench.told()[0] == "refused"


@pytest.mark.parametrize(
    ("entry", "why"),
    [({-1: 11}, "version 11"), ({"foo_": 1}, "foo_"), ({"bver_": 1}, "bver_"), ({-1: "10"}, "version")],
)
def test_a_pack_that_must_be_understood_and_is_not_is_refused(bench, entry, why):
    bench.sends(cbor2.dumps([{0: GOOD, 2: 1.5}, {0: BATTERY, 2: 5} | entry]))
    answer = bench.take()[0]
    assert answer[18] == 400
    assert why in answer[7].decode()
    assert bench.told()[0] == "refused"


@pytest.mark.parametrize("entry", [{-1: 10}, {"foo": 1}, {9: 1}, {1: "Cel"}])
def test_what_need_not_be_understood_is_left_aside(bench, entry):
    bench.sends(cbor2.dumps([{0: GOOD, 2: 1.5} | entry]))
    assert bench.take()[0][18] == 204


@pytest.mark.parametrize("value", [["bytes"], {"bytes": 1}, 5, None])
def test_only_what_is_large_is_too_large(bench, value):
    bench.says(cbor2.dumps({1: 24, 2: 3, 19: 112, 7: value}))
    assert bench.take()[0][18] == 400


@pytest.mark.parametrize("path", ["/3303/1/5700", "/3303/65534/5700", "/3305/0/5800", "/1/1/5"])
def test_an_instance_that_was_not_registered_is_not_found(bench, path):
    bench.sends(cbor2.dumps([{0: path, 2: 7}]))
    assert bench.take()[0][18] == 404


def test_an_update_without_objects_keeps_them(bench):
    for update, result in (({7: b""}, 204), ({7: b'</>;rt="oma.lwm2m"'}, 400), ({}, 204)):
        bench.says(cbor2.dumps({1: 7, 2: 5} | update))
        assert bench.take()[-1][18] == result
        bench.sends(cbor2.dumps([{0: GOOD, 2: float(len(update))}]))
        assert bench.take()[-1][18] == 204
        bench.clock.advance(11)
    bench.says_json("update", {"objects": {}})
    assert orjson.loads(bench.published_json[-1][1])["error"]["field"] == "objects"


@pytest.mark.parametrize(
    ("payload", "form", "budget"),
    [
        (b"\x9a\x00\x03\xd0\x90" + b"\x80" * 250_000, 112, "elements"),
        (b"[" + b"[]," * 80_000 + b"1]", 110, "elements"),
        (b"\x81" * 70 + b"\x01", 112, "levels"),
        (b"[" * 70 + b"]" * 70, 110, "levels of JSON"),
        (cbor2.dumps([{0: GOOD}] * 10_001), 112, "records"),
        (cbor2.dumps({3: {0: {6: dict.fromkeys(range(10_001), 1)}}}), 11544, "records"),
    ],
)
def test_what_costs_more_than_its_budget_is_refused_counted_and_cheap(bench, payload, form, budget):
    message = cbor2.dumps({1: 24, 2: 3, 19: form, 7: payload})
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    bench.says(message)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert peak < 4 * 2**20
    assert bench.take()[0][18] == 400
    assert ("budget", budget) in bench.counts
    assert bench.told()[0] == "refused"


def test_more_objects_than_a_registration_may_have(bench):
    links = ",".join(f"</3303/{number}>" for number in range(6_000)).encode()
    bench.says(cbor2.dumps({1: 7, 2: 5, 7: links}))
    assert bench.take()[0][18] == 400
    instances = {str(number): {} for number in range(6_000)}
    bench.says_json("reg", {"lifetime": 60, "objects": {"3303": instances}})
    assert bench.counts.count(("budget", "links")) == 2


def test_what_nobody_foresaw_is_answered_counted_and_harms_nobody(bench, monkeypatch):
    def fails(*_):
        raise RuntimeError("nobody foresaw this")

    with monkeypatch.context() as broken:
        broken.setattr(uplink.json_values, "bodies", fails)
        assert bench.sends(cbor2.dumps([{0: GOOD, 2: 1.5}])).acked == 1
        assert bench.says_json("send", {"values": {GOOD: 1.5}}).acked == 1
    assert [answer[18] for answer in bench.take()] == [500]
    assert orjson.loads(bench.published_json[-1][1])["code"] == "5.00"
    assert bench.counts.count("failed") == 2
    bench.clock.advance(11)
    bench.sends(cbor2.dumps([{0: GOOD, 2: 1.5}]))
    assert bench.take()[0][18] == 204


def test_a_notification_about_something_else_is_refused(bench):
    for token_of, strange in (
        ((Path.parse(GOOD),), BATTERY),
        ((Path.of(3, 0, 6, 1),), "/3/0/0"),
        ((Path.of(3, 0, 6, 1),), "/3/0/6"),
        ((Path.of(3), Path.of(1, 0)), GOOD),
    ):
        token = bench.observations.intend("d1", token_of, len(token_of) > 1).token
        bench.says(cbor2.dumps({1: 23, 2: int(token), 19: 112, 7: cbor2.dumps([{0: strange, 2: 7}])}))
        kind, data = bench.told()
        assert (kind, data["code"], data["error"]["value"]) == ("refused", "4.00", strange)
        known = bench.observations.known("d1", token)
        assert (known.notifications, known.state) == (0, "pending")
    assert bench.counts.count(("unfit", "notify")) == 4
    assert bench.values.latest("d1", Path()) == {}


def test_a_notification_of_the_json_profile_likewise(bench):
    token = bench.observations.intend("j1", (Path.parse(GOOD),), False).token
    bench.says_json(f"notify/{token}", {"values": {GOOD: 1.5, BATTERY: 5}})
    assert bench.told()[0] == "refused"
    bench.says_json(f"notify/{token}", {"values": {GOOD: 1.5}})
    assert bench.told()[0] == "notification"


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5),
    st.binary(max_size=5),
    st.sampled_from([GOOD, BATTERY, "/3/0/6", "/3/0/6/0", "/", "65535", 2**28, -30, 1e300, "UQ", "1.2"]),
)  # fmt: skip
LABELS = st.sampled_from([-5, -3, -2, -1, 0, 2, 3, 4, 6, 8, "vlo", "foo_", "x"])
PACKS = st.lists(st.one_of(st.dictionaries(LABELS, SCALARS, max_size=5), SCALARS), max_size=5)
TREES = st.recursive(
    SCALARS,
    lambda below: st.dictionaries(
        st.one_of(st.integers(-1, 65536), st.tuples(st.integers(0, 9))), below, max_size=3
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        *(
            "values",
            "records",
            "path",
            "value",
            "timestamp",
            "seq",
            "token",
            "lifetime",
            "objects",
            "version",
        ),
        *("bindingMode", "code", "links", "location", "error", "endpoint", "format", "pack", "ver"),
        *(GOOD, BATTERY, "/3", "3", "0", "6"),
    ]
)
BODIES = st.recursive(
    SCALARS.filter(lambda value: not isinstance(value, bytes)),
    lambda below: st.one_of(st.dictionaries(NAMES, below, max_size=4), st.lists(below, max_size=3)),
    max_leaves=10,
)
KINDS = ("reg", "update", "dereg", "send", "bootstrap", "notify/7", "resp/7")


FORMS = st.sampled_from([110, 112, 322, 11542, 11544, 0, 60])


@given(st.lists(st.tuples(FORMS, st.one_of(PACKS, TREES)), max_size=4))
def test_no_report_fails_the_server(reports):
    bench = Both()
    bench.says(cbor2.dumps(REGISTER))
    token = int(bench.observations.intend("d1", (Path.of(3), Path.of(3303)), True).token)
    for form, content in reports:
        payload = cbor2.dumps(content) if form not in (110, 0) else repr(content).replace("'", '"').encode()
        for head in ({1: 24, 2: 3}, {1: 23, 2: token}):
            assert bench.says(cbor2.dumps(head | {19: form, 7: payload})).acked == 1
    assert "failed" not in bench.counts
    orjson.dumps([event[2] for event in bench.log.events])


@given(st.lists(st.tuples(st.sampled_from(KINDS), BODIES), max_size=6))
def test_no_json_fails_the_server(messages):
    bench = Both()
    bench.says_json("reg", {"lifetime": 60})
    token = bench.observations.intend("j1", (Path.of(3),), False).token
    for kind, body in messages:
        assert bench.says_json(kind.replace("/7", f"/{token}"), json.dumps(body).encode()).acked == 1
    assert "failed" not in bench.counts
    orjson.dumps([event[2] for event in bench.log.events])
