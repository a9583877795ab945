import asyncio

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.lwm2m.message import SUCCESS, Attributes, Code, Command, ObjectLink, Operation, Record
from iiot.lwm2m.path import Path
from lwm2m_bench import OmaBench
from support import eventually

REGISTER = "a601060201081a000151800963312e320a614d07573c2f312f303e2c3c2f332f303e2c3c2f333330332f303e"
SEND = "a40118180209131870075582a321652f332f302f006139020fa2006232300204"
BATTERY = Path.of(3, 0, 9)


@pytest.fixture
def bench():
    return OmaBench()


@pytest.fixture
def registered(bench):
    bench.says(REGISTER)
    bench.take()
    return bench


def test_registering_updating_and_leaving_in_the_words_of_the_specification(bench):
    assert bench.says(REGISTER).acked == 1
    assert bench.published == [("lwm2m/rd/d1", bytes.fromhex("a21218c90201"))]
    registration = bench.registry.get("d1")
    assert (registration.lifetime, registration.binding, registration.profile) == (86400, "M", "oma")
    assert [str(link.path) for link in registration.links] == ["/1/0", "/3/0", "/3303/0"]
    bench.take()
    bench.says("a3010702030819012c")
    bench.says("a201070205")
    assert registration.lifetime == 300
    bench.says(SEND)
    assert bench.log.events[-1][2]["values"] == {"/3/0/9": 15, "/3/0/20": 4}
    bench.says("a201080207")
    assert bench.take() == [{18: 204, 2: 3}, {18: 204, 2: 5}, {18: 204, 2: 9}, {18: 202, 2: 7}]
    assert bench.log.kinds == ["registered", "updated", "updated", "send", "deregistered"]
    assert len(bench.registry) == 0


def test_our_own_messages_come_back_without_effect(registered):
    registered.says("a201070203")
    (answer,) = registered.published
    registered.says(answer[1])
    registered.says("a3010902183805662f332f302f30")
    assert registered.counts[-2:] == ["echo", "echo"]
    assert len(registered.published) == 1


def test_a_repeated_request_has_no_second_effect_and_the_same_answer(registered):
    for _ in range(2):
        registered.says(SEND)
    assert registered.take() == [{18: 204, 2: 9}] * 2
    assert registered.log.kinds == ["registered", "send"]
    registered.clock.advance(11)
    registered.says(SEND)
    assert registered.log.kinds[-1] == "send"


def test_a_device_that_starts_anew_is_not_answered_from_memory(registered):
    registered.says(SEND)
    registered.says(REGISTER)
    registered.says(SEND)
    assert registered.log.kinds == ["registered", "send", "registered", "send"]


@pytest.mark.parametrize(
    ("message", "result"),
    [
        ({1: 6, 2: 1, 9: "1.2"}, 400),
        ({1: 6, 2: 1, 8: 60, 9: "9.9", 7: b"</3/0>"}, 412),
        ({1: 6, 2: 1, 8: 60, 9: "1.2"}, 409),
        ({1: 6, 2: 1, 3: "other", 8: 60, 9: "1.2"}, 400),
        ({1: 7, 2: 1}, 404),
        ({1: 8, 2: 1}, 404),
        ({1: 24, 2: 1, 7: b"80"}, 400),
        ({1: 24, 2: 1, 19: 0, 7: b"1"}, 400),
        ({1: 24, 2: 1, 19: 112, 7: b"\xff"}, 400),
        ({1: 3, 2: 1}, 400),
        ({1: 19, 2: 1}, 501),
        ({1: 24, 2: 1, 19: 112, 7: b"x" * 300_000}, 413),
    ],
)
def test_refusals_name_the_request(bench, message, result):
    handed = bench.says(cbor2.dumps(message))
    assert handed.acked == 1
    answer = bench.take()[-1]
    assert (answer[18], answer[2]) == (result, 1)
    assert len(bench.registry) == 0


def test_values_of_an_object_that_was_not_registered(registered):
    registered.says(cbor2.dumps({1: 24, 2: 3, 19: 112, 7: cbor2.dumps([{0: "/3305/0/5800", 2: 1.0}])}))
    assert registered.take()[-1][18] == 404


@pytest.mark.parametrize(
    "payload", [b"", b"\xff\x00", b"{}", b"\x01", cbor2.dumps({1: 6}), b"\xa2\x01\x06\x02\x20"]
)
def test_what_cannot_be_answered_is_counted_and_dropped(bench, payload):
    assert bench.says(payload).acked == 1
    assert (bench.published, bench.log.events, bench.counts) == ([], [], ["undecodable"])


def test_strict_mode_gives_no_reason_and_has_no_text_keys():
    bench = OmaBench(extensions=False)
    bench.says(cbor2.dumps({1: 7, 2: 1}))
    assert bench.take() == [{18: 404, 2: 1}]


async def ask(bench, answer, **command):
    """Send a command, answer it, and return what left and what came back."""
    asking = asyncio.create_task(bench.operations.request("d1", Command(**command), 5))
    await eventually(lambda: bench.published, "the command leaves")
    (sent,) = bench.take()
    bench.says(cbor2.dumps(answer | {2: sent[2]}))
    response = await asking
    assert sent.pop(2) % 2 == 0
    return sent, response


async def test_reads_are_decoded_from_whatever_format_the_device_chose(registered):
    sent, response = await ask(registered, {18: 205, 19: 0, 7: "85"}, operation=Operation.READ, path=BATTERY)
    assert sent == {1: 9, 5: "/3/0/9"}
    assert response.records == (Record(BATTERY, 85),)
    tlv = bytes.fromhex("8606410001410105")
    path = Path.of(3, 0, 6)
    _, response = await ask(registered, {18: 205, 19: 11542, 7: tlv}, operation=Operation.READ, path=path)
    assert response.records == (Record(path / 0, 1), Record(path / 1, 5))
    sent, _ = await ask(registered, {18: 404}, operation=Operation.READ, path=path, format=11544)
    assert sent[4] == 11544


async def test_no_bytes_are_an_empty_text_or_an_object_without_instances(registered):
    path = Path.of(3303, 0, 5750)
    _, response = await ask(registered, {18: 205, 19: 0, 7: b""}, operation=Operation.READ, path=path)
    assert response.records == (Record(path, ""),)
    _, response = await ask(
        registered, {18: 205, 19: 112, 7: b""}, operation=Operation.READ, path=Path.of(3306)
    )
    assert (response.code, response.records) == (Code.CONTENT, ())
    _, response = await ask(registered, {18: 205, 19: 0, 7: b""}, operation=Operation.READ, path=BATTERY)
    assert response.code == Code.INTERNAL_SERVER_ERROR


def test_a_strange_request_on_the_bootstrap_topic_is_answered_there(registered):
    registered.says(cbor2.dumps({1: 7, 2: 115}), "lwm2m/bs/d1")
    assert registered.published[0][0] == "lwm2m/bs/d1"
    assert registered.take()[0][18] == 501
    assert registered.counts[-1] == "operation"


async def test_an_answer_in_the_wrong_format_ends_the_waiting(registered):
    for answer in ({18: 205, 19: 112, 7: b"\xff"}, {18: 205, 19: 9999, 7: b"x"}, {18: 299}):
        _, response = await ask(registered, answer, operation=Operation.READ, path=BATTERY)
        assert response.code == Code.INTERNAL_SERVER_ERROR
        assert "unintelligible" in response.error


TEMPERATURE = Path.of(3303, 0, 5700)
LIFETIME = Path.of(1, 0, 1)
PACKAGE = Path.of(5, 0, 0)
UNITS = Path((3303, 65535, 5701))
COMMANDS = [
    ("discover", {"path": Path.of(3), "depth": 1}, {1: 11, 5: "/3", 22: 1}),
    (
        "write",
        {"path": LIFETIME, "records": (Record(LIFETIME, 60),)},
        {1: 12, 5: "/1/0/1", 19: 0, 7: b"60"},
    ),
    (
        "write",
        {"path": PACKAGE, "records": (Record(PACKAGE, b"\0\1"),)},
        {1: 12, 5: "/5/0/0", 19: 42, 7: b"\0\1"},
    ),
    (
        "write-attributes",
        {"path": TEMPERATURE, "attributes": Attributes(pmin=10, pmax=60, gt=30.0, st=0.5)},
        {1: 14, 5: "/3303/0/5700", 12: 10, 13: 60, 14: 30.0, 15: 0.5},
    ),
    (
        "execute",
        {"path": Path.of(3, 0, 4), "arguments": "0='now'"},
        {1: 16, 5: "/3/0/4", 7: b"0='now'"},
    ),
    ("observe", {"path": TEMPERATURE}, {1: 20, 5: "/3303/0/5700"}),
    ("delete", {"path": Path.of(3303, 1)}, {1: 18, 5: "/3303/1"}),
    (
        "read-composite",
        {"paths": (Path.of(3, 0, 0), BATTERY, LIFETIME)},
        {1: 10, 6: bytes.fromhex("83a100662f332f302f30a100662f332f302f39a100662f312f302f31")},
    ),
    (
        "write-composite",
        {"records": (Record(LIFETIME, 60),)},
        {1: 15, 19: 112, 7: cbor2.dumps([{-2: "/1/0/1", 2: 60}])},
    ),
    (
        "create",
        {"path": Path.of(3303), "format": 11544, "records": (Record(UNITS, "Cel"),)},
        {1: 17, 5: "/3303", 19: 11544, 7: cbor2.dumps({(3303, 65535, 5701): "Cel"})},
    ),
]


@pytest.mark.parametrize(("operation", "command", "expected"), COMMANDS)
async def test_each_command_in_the_words_of_the_specification(registered, operation, command, expected):
    code = SUCCESS[Operation(operation)]
    answer = {18: int(code)} | ({19: 40, 7: b"</3>"} if operation == "discover" else {})
    sent, response = await ask(registered, answer, operation=Operation(operation), **command)
    assert sent == expected
    assert response.code is code


async def test_discover_and_links(registered):
    links = b"</3/0>;pmin=10,</3/0/9>;dim=2,</3/0/0>"
    _, response = await ask(
        registered, {18: 205, 19: 40, 7: links}, operation=Operation.DISCOVER, path=Path.of(3, 0)
    )
    assert [(str(found.path), dict(found.attributes)) for found in response.links] == [
        ("/3/0", {"pmin": 10}), ("/3/0/9", {"dim": 2}), ("/3/0/0", {}),
    ]  # fmt: skip
    link = Record(Path.of(1, 0, 10), ObjectLink(11, 0))
    sent, _ = await ask(registered, {18: 204}, operation=Operation.WRITE, path=link.path, records=(link,))
    assert sent[7] == b"11:0"


async def test_a_prefix_separates_tenants():
    bench = OmaBench(prefix="tenant-a")
    assert bench.channel.owns("tenant-a/lwm2m/rd/d1")
    assert not bench.channel.owns("lwm2m/rd/d1")
    bench.says(REGISTER, "tenant-a/lwm2m/rd/d1")
    assert bench.published[0][0] == "tenant-a/lwm2m/rd/d1"


KEYS = st.dictionaries(
    st.sampled_from([*range(1, 23), "lt", "seq", "ts"]),
    st.one_of(
        st.integers(-5, 30), st.integers(0, 2**64 - 1), st.binary(max_size=20), st.text(max_size=10),
        st.none(),
        st.sampled_from(["/3/0/9", b"</3/0>", b"\x81\xa2\x20\x63/3/\x02\x01", 112, 205, 404]),
    ),
    max_size=7,
)  # fmt: skip


@given(st.lists(st.one_of(st.binary(max_size=60), KEYS.map(cbor2.dumps)), max_size=8))
def test_hostile_bytes_are_acknowledged_and_never_raise(messages):
    bench = OmaBench()
    bench.says(REGISTER)
    for payload in messages:
        for topic in ("lwm2m/rd/d1", "lwm2m/bs/d1"):
            assert bench.says(payload, topic).acked == 1
    assert len(bench.published) <= 1 + 2 * len(messages)
    assert "failed" not in bench.counts
