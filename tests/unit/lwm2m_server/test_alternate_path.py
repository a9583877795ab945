"""The OMA profile with a device whose objects are not at the root, and with one that says what it speaks."""

import asyncio

import cbor2
import pytest

from iiot.lwm2m.content import Format
from iiot.lwm2m.message import Command, Operation, Record
from iiot.lwm2m.path import Path
from lwm2m_bench import OmaBench
from lwm2m_server.descriptions import describe
from lwm2m_server.format_choice import choose
from lwm2m_server.registry import Registry
from support import eventually

BATTERY = Path.of(3, 0, 9)
LIFETIME = Path.of(1, 0, 1)
OBJECTS = b'</lwm2m>;rt="oma.lwm2m"%s,</lwm2m/1/0>,</lwm2m/3/0>,</lwm2m/5/0>,</lwm2m/3306>'


@pytest.fixture
def bench():
    bench = OmaBench()
    return registered(bench)


def registered(bench, attributes=b""):
    bench.says(cbor2.dumps({1: 6, 2: 1, 8: 600, 9: "1.2", 7: OBJECTS % attributes}))
    assert bench.take() == [{18: 201, 2: 1}]
    return bench


async def ask(bench, answer, **command):
    asking = asyncio.create_task(bench.operations.request("d1", Command(**command), 5))
    await eventually(lambda: bench.published, "the command leaves")
    (sent,) = bench.take()
    bench.says(cbor2.dumps(answer | {2: sent.pop(2)}))
    return sent, await asking


def senml(*records):
    return {18: 205, 19: 112, 7: cbor2.dumps(list(records))}


def test_the_registration_has_the_root_and_paths_without_it(bench):
    registration = bench.registry.get("d1")
    assert registration.root == "/lwm2m"
    assert [str(link.path) for link in registration.links] == ["/1/0", "/3/0", "/5/0", "/3306"]
    assert describe(registration, secure=False)["rootPath"] == "/lwm2m"
    kept = Registry(bench.clock).restore(registration.dump(), 60)
    assert (kept.root, kept.formats) == ("/lwm2m", ())


@pytest.mark.parametrize("prefix", ["/lwm2m", ""])
async def test_requests_have_the_root_before_them_and_answers_may(bench, prefix):
    answer = senml({-2: f"{prefix}/3/0/", 0: "9", 2: 85}, {0: "1", 3: "x"})
    sent, response = await ask(bench, answer, operation=Operation.READ, path=Path.of(3, 0))
    assert sent == {1: 9, 5: "/lwm2m/3/0"}
    assert response.records == (Record(BATTERY, 85), Record(Path.of(3, 0, 1), "x"))
    answer = senml({0: f"{prefix}/3/0/9", 2: 85})
    sent, response = await ask(bench, answer, operation=Operation.READ_COMPOSITE, paths=(BATTERY,))
    assert cbor2.loads(sent[6]) == [{0: "/lwm2m/3/0/9"}]
    assert response.records == (Record(BATTERY, 85),)
    answer = {18: 205, 19: 40, 7: f"<{prefix}/3/0>;pmin=1,<{prefix}/3/0/9>".encode()}
    sent, response = await ask(bench, answer, operation=Operation.DISCOVER, path=Path.of(3, 0))
    assert sent[5] == "/lwm2m/3/0"
    assert [str(link.path) for link in response.links] == ["/3/0", "/3/0/9"]
    written = (Record(LIFETIME, 60), Record(Path.of(1, 0, 2), 1))
    sent, _ = await ask(bench, {18: 204}, operation=Operation.WRITE, path=Path.of(1, 0), records=written)
    assert sent[5] == "/lwm2m/1/0"
    assert cbor2.loads(sent[7])[0][-2] == "/lwm2m/1/0/"
    answer = {18: 201, "location": f"{prefix}/3306/4"}
    created = (Record(Path((3306, 65535, 5850)), True),)
    sent, response = await ask(bench, answer, operation=Operation.CREATE, path=Path.of(3306), records=created)
    assert (sent[5], response.location) == ("/lwm2m/3306", Path.of(3306, 4))


async def test_an_answer_below_another_root_is_unintelligible(bench):
    answer = senml({0: "/other/3/0/9", 2: 85})
    _, response = await ask(bench, answer, operation=Operation.READ, path=BATTERY)
    assert response.code == 500


def test_values_that_a_device_sends_are_events_without_the_root(bench):
    pack = cbor2.dumps([{-2: "/lwm2m/3/0/", 0: "9", 2: 85}])
    bench.says(cbor2.dumps({1: 24, 2: 3, 19: 112, 7: pack}))
    assert bench.take() == [{18: 204, 2: 3}]
    assert bench.log.events[-1][2]["values"] == {"/3/0/9": 85}
    observation = bench.observations.intend("d1", (Path.of(3, 0),), False)
    bench.says(cbor2.dumps({1: 23, 2: int(observation.token), 19: 112, 7: pack}))
    assert bench.log.events[-1][2]["values"] == {"/3/0/9": 85}
    bench.says(cbor2.dumps({1: 24, 2: 5, 19: 112, 7: cbor2.dumps([{0: "/elsewhere/3/0/9", 2: 1}])}))
    assert bench.take()[-1][18] == 400


def test_an_update_moves_the_objects(bench):
    bench.says(cbor2.dumps({1: 7, 2: 3}))
    assert bench.registry.get("d1").root == "/lwm2m"
    bench.says(cbor2.dumps({1: 7, 2: 5, 7: b'</new>;rt="oma.lwm2m";ct=110,</new/3/0>'}))
    registration = bench.registry.get("d1")
    assert (registration.root, registration.formats) == ("/new", (110,))


async def test_values_are_written_in_a_format_that_the_device_speaks():
    bench = registered(OmaBench(), b';ct="110 11542"')
    one = (Record(LIFETIME, 60),)
    sent, _ = await ask(bench, {18: 204}, operation=Operation.WRITE, path=LIFETIME, records=one)
    assert sent[19] == Format.TLV
    sent, _ = await ask(bench, {18: 204}, operation=Operation.WRITE_COMPOSITE, records=one)
    assert (sent[19], sent[7]) == (Format.SENML_JSON, b'[{"bn":"/lwm2m/1/0/1","v":60}]')
    sent, _ = await ask(
        bench, {18: 204}, operation=Operation.WRITE, path=LIFETIME, records=one, format=Format.TEXT
    )
    assert sent[19] == Format.TEXT


TWO = (Record(LIFETIME, 60), Record(Path.of(1, 0, 2), 1))
REMOVAL = (Record(Path.of(3, 0, 6, 1)),)


@pytest.mark.parametrize(
    ("operation", "path", "records", "spoken", "chosen"),
    [
        ("write", LIFETIME, TWO[:1], (), Format.TEXT),
        ("write", LIFETIME, TWO[:1], (0, 112), Format.TEXT),
        ("write", LIFETIME, TWO[:1], (60, 110, 112), Format.CBOR),
        ("write", LIFETIME, TWO[:1], (11544,), Format.LWM2M_CBOR),
        ("write", LIFETIME, TWO[:1], (40, 9999), Format.TEXT),
        ("write", Path.of(5, 0, 0), (Record(Path.of(5, 0, 0), b"x"),), (), Format.OPAQUE),
        ("write", Path.of(5, 0, 0), (Record(Path.of(5, 0, 0), b"x"),), (0, 11542), Format.TLV),
        ("write", Path.of(1, 0), TWO, (), Format.SENML_CBOR),
        ("write", Path.of(1, 0), TWO, (60, 110), Format.SENML_JSON),
        ("create", Path.of(1), TWO, (11542,), Format.TLV),
        ("write-composite", None, TWO, (11542, 11544), Format.LWM2M_CBOR),
        ("write-composite", None, TWO, (11542,), Format.SENML_CBOR),
        ("write-composite", None, REMOVAL, (), Format.SENML_ETCH_CBOR),
        ("write-composite", None, REMOVAL, (112,), Format.SENML_ETCH_CBOR),
        ("write-composite", None, REMOVAL, (110,), Format.SENML_ETCH_JSON),
        ("write-composite", None, REMOVAL, (320,), Format.SENML_ETCH_JSON),
    ],
)
def test_the_format_is_one_that_suits_and_that_the_device_speaks(operation, path, records, spoken, chosen):
    command = Command(operation=Operation(operation), path=path, records=records)
    assert choose(command, spoken) is chosen


def test_a_profile_id_stands_for_the_object_list_that_came_with_it_before():
    bench = registered(OmaBench())

    def register(endpoint="d1", **fields):
        request = {1: 6, 2: 1, 8: 60, 9: "1.2"} | fields
        bench.says(cbor2.dumps(request), f"lwm2m/rd/{endpoint}")
        return bench.take()[-1][18]

    assert register(pid="6:12ab") == 409
    objects = {7: b'</lwm2m>;rt="oma.lwm2m";ct=112,</lwm2m/3/0>'}
    bench.says(cbor2.dumps({1: 6, 2: 1, 8: 60, 9: "1.2", "pid": "6:12ab"} | objects))
    bench.says(cbor2.dumps({1: 8, 2: 3}))
    bench.take()
    assert register(pid="6:12ab") == 201
    registration = bench.registry.get("d1")
    assert ([str(link.path) for link in registration.links], registration.root) == (["/3/0"], "/lwm2m")
    assert (registration.formats, registration.profile_id) == ((112,), "6:12ab")
    kept = Registry(bench.clock)
    kept.restore(registration.dump(), 60)
    assert describe(kept.get("d1"), secure=False)["additionalRegistrationAttributes"] == {"pid": "6:12ab"}
    bench.says(cbor2.dumps({1: 7, 2: 3, 7: b"</3/0>,</5/0>"}))
    bench.take()
    assert registration.profile_id is None, "the list is another one now"
    assert register(pid="6:12ab") == 201
    assert [str(link.path) for link in bench.registry.get("d1").links] == ["/3/0"]
    assert register("d2", pid="6:12ab") == 409, "one device cannot say what another has"
    assert register(pid="6:12ab,oma:lamp") == 409
    assert register(pid="lamp") == 400
    assert register() == 409
