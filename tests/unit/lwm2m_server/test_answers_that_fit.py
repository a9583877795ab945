"""Which answers fit which command, and that neither a wrong answer nor a wrong command blocks a device."""

import asyncio

import cbor2
import pytest

from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m.message import SUCCESS, Attributes, Code, Command, Link, Operation, Record, Response
from iiot.lwm2m.path import Path
from lwm2m_bench import Bench, OmaBench, asking
from lwm2m_server.answer_check import checked
from lwm2m_server.nodes import created, from_body, from_paths
from support import eventually

NOW = 1_795_000_000.0
BATTERY, POWER, LIFETIME = Path.of(3, 0, 9), Path.of(3, 0, 6), Path.of(1, 0, 1)
VALUE = (Record(BATTERY, 85),)
NEW = Path.of(3303, 1)
COMMANDS = {
    Operation.READ: Command(operation=Operation.READ, path=BATTERY),
    Operation.READ_COMPOSITE: Command(operation=Operation.READ_COMPOSITE, paths=(Path.of(3), LIFETIME)),
    Operation.OBSERVE: Command(operation=Operation.OBSERVE, path=BATTERY),
    Operation.OBSERVE_COMPOSITE: Command(operation=Operation.OBSERVE_COMPOSITE, paths=(Path.of(3), LIFETIME)),
    Operation.DISCOVER: Command(operation=Operation.DISCOVER, path=Path.of(3)),
    Operation.WRITE: Command(operation=Operation.WRITE, path=LIFETIME, records=(Record(LIFETIME, 60),)),
    Operation.WRITE_PARTIAL: Command(operation=Operation.WRITE_PARTIAL, path=Path.of(1, 0)),
    Operation.WRITE_ATTRIBUTES: Command(
        operation=Operation.WRITE_ATTRIBUTES, path=BATTERY, attributes=Attributes(pmin=1)
    ),
    Operation.WRITE_COMPOSITE: Command(operation=Operation.WRITE_COMPOSITE, records=(Record(LIFETIME, 60),)),
    Operation.EXECUTE: Command(operation=Operation.EXECUTE, path=Path.of(3, 0, 4)),
    Operation.CREATE: Command(
        operation=Operation.CREATE, path=Path.of(3303), records=(Record(NEW / 5701, "Cel"),)
    ),
    Operation.DELETE: Command(operation=Operation.DELETE, path=NEW),
    Operation.CANCEL_OBSERVE: Command(operation=Operation.CANCEL_OBSERVE, token="6"),
    Operation.BOOTSTRAP_WRITE: Command(operation=Operation.BOOTSTRAP_WRITE, path=LIFETIME),
    Operation.BOOTSTRAP_READ: Command(operation=Operation.BOOTSTRAP_READ, path=Path.of(1)),
    Operation.BOOTSTRAP_DELETE: Command(operation=Operation.BOOTSTRAP_DELETE, path=Path.of(1)),
    Operation.BOOTSTRAP_DISCOVER: Command(operation=Operation.BOOTSTRAP_DISCOVER, path=Path()),
    Operation.BOOTSTRAP_FINISH: Command(operation=Operation.BOOTSTRAP_FINISH),
}
FITTING = {
    Operation.READ: {"records": VALUE},
    Operation.READ_COMPOSITE: {"records": (*VALUE, Record(LIFETIME, 60))},
    Operation.OBSERVE: {"records": VALUE},
    Operation.OBSERVE_COMPOSITE: {"records": VALUE},
    Operation.DISCOVER: {"links": (Link(Path.of(3)), Link(Path.of(3, 0)))},
    Operation.CREATE: {"location": NEW},
    Operation.BOOTSTRAP_READ: {"records": (Record(LIFETIME, 60),)},
}


@pytest.fixture
def bench():
    made = Bench()
    made.registers()
    made.counts.clear()
    return made


def check(bench, operation, profile="json", **response):
    return checked(COMMANDS[operation], Response(**response), profile, bench.definitions, NOW)


@pytest.mark.parametrize("operation", COMMANDS, ids=str)
def test_one_code_says_that_an_operation_was_done(bench, operation):
    for code in [code for code in Code if code.is_success]:
        fitting = FITTING.get(operation, {})
        if code is SUCCESS[operation]:
            assert check(bench, operation, code=code, **fitting).code is code
        else:
            with pytest.raises(InvalidValueError, match=f"code: got '{code.dotted}'"):
                check(bench, operation, code=code, **fitting)


@pytest.mark.parametrize("operation", COMMANDS, ids=str)
def test_a_refusal_fits_always(bench, operation):
    for code in [code for code in Code if not code.is_success]:
        assert check(bench, operation, code=code, error="why").error == "why"


@pytest.mark.parametrize(
    ("operation", "response"),
    [
        (Operation.READ, {"records": (Record(Path.of(3, 0, 10), 5),)}),
        (Operation.READ, {"records": (*VALUE, Record(LIFETIME, 60))}),
        (Operation.READ, {"records": (*VALUE, *VALUE)}),
        (Operation.READ, {"records": ()}),
        (Operation.READ, {"records": (Record(BATTERY, "full"),)}),
        (Operation.READ_COMPOSITE, {"records": (Record(Path.of(1, 0, 2), 5),)}),
        (Operation.OBSERVE, {"records": (Record(LIFETIME, 60),)}),
        (Operation.OBSERVE_COMPOSITE, {"records": (Record(Path.of(5, 0, 3), 1),)}),
        (Operation.BOOTSTRAP_READ, {"records": VALUE}),
        (Operation.DISCOVER, {"links": (Link(Path.of(5)),)}),
        (Operation.DISCOVER, {"links": (Link(Path.of(3)), Link(Path.of(5)))}),
        (Operation.DISCOVER, {"links": ()}),
        (Operation.CREATE, {"location": Path.of(3303, 2)}),
        (Operation.CREATE, {"location": Path.of(3303)}),
        (Operation.CREATE, {"location": Path.of(3, 1)}),
    ],
)
def test_what_was_not_asked_for_does_not_fit(bench, operation, response):
    with pytest.raises(InvalidValueError):
        check(bench, operation, code=SUCCESS[operation], **response)


def test_where_a_new_instance_is(bench):
    picks = Command(
        operation=Operation.CREATE, path=Path.of(3303), records=(Record(Path((3303, 65535, 5701)), "Cel"),)
    )
    created_ = Response(code=Code.CREATED)
    with pytest.raises(InvalidValueError, match="location"):
        checked(picks, created_, "json", bench.definitions, NOW)
    assert checked(picks, created_, "oma", bench.definitions, NOW).location is None
    assert check(bench, Operation.CREATE, code=Code.CREATED).code is Code.CREATED


def test_times_of_answered_values_are_absolute(bench):
    timed = (Record(BATTERY, 85, -30.0), Record(BATTERY, 84, 2.0**28))
    times = [r.time for r in check(bench, Operation.READ, code=Code.CONTENT, records=timed).records]
    assert times == [NOW - 30, 2.0**28]
    with pytest.raises(InvalidValueError, match="time"):
        check(bench, Operation.READ, code=Code.CONTENT, records=(Record(BATTERY, 85, 1e300),))


async def test_an_answer_that_does_not_fit_is_a_device_error_and_counted(bench):
    for command, response in (
        (COMMANDS[Operation.READ], {"code": Code.CREATED}),
        (COMMANDS[Operation.READ], {"code": Code.CHANGED}),
        (COMMANDS[Operation.DISCOVER], {"code": Code.CONTENT, "links": (Link(Path.of(5)),)}),
        (COMMANDS[Operation.EXECUTE], {"code": Code.CONTENT}),
    ):
        task = await asking(bench, command)
        bench.answers(**response)
        answer = await task
        assert (answer.code, answer.records) == (Code.INTERNAL_SERVER_ERROR, ())
        assert "unintelligible" in answer.error
        assert ("unfit", command.operation) in bench.counts
        assert bench.counts[-1] == (command.operation, "5.00")


async def test_an_observation_that_is_answered_wrongly_is_not_active(bench):
    observation = bench.observations.intend("d1", (BATTERY,), False)
    bench.operations.submit("d1", observation.command)
    bench.answers(code=Code.CONTENT, records=(Record(LIFETIME, 60),))
    assert observation.state == "failed"


@pytest.mark.parametrize(
    "error",
    [InvalidValueError("path", "/3", "x"), DecodeError("too large"), TypeError("x"), RecursionError()],
)
async def test_a_command_that_cannot_be_encoded_blocks_nobody(bench, monkeypatch, error):
    def fails(*_):
        raise error

    healthy = bench.operations._send
    monkeypatch.setattr(bench.operations, "_send", fails)
    expected = InvalidValueError if isinstance(error, DecodeError) else type(error)
    with pytest.raises(expected):
        await bench.operations.request("d1", COMMANDS[Operation.READ], 5)
    bench.operations.submit("d1", COMMANDS[Operation.OBSERVE])
    bench.operations.tell("d1", COMMANDS[Operation.CANCEL_OBSERVE])
    with pytest.raises(type(error)):
        await bench.operations.exchange("d1", "json", COMMANDS[Operation.BOOTSTRAP_FINISH], 5)
    assert (bench.operations.pending, bench.operations.queued) == (0, 0)
    assert bench.operations.queue("d1") == []
    monkeypatch.setattr(bench.operations, "_send", healthy)
    task = await asking(bench, COMMANDS[Operation.READ])
    bench.answers(code=Code.CONTENT, records=VALUE)
    assert (await task).records == VALUE


async def test_nor_does_one_that_waited_for_a_sleeping_device(monkeypatch):
    bench = Bench()
    bench.registers(binding="UQ")
    bench.registry.sleep("d1")
    waiting = asyncio.create_task(bench.operations.request("d1", COMMANDS[Operation.READ], 5))
    await eventually(lambda: bench.log.documents, "the request is stored")
    bench.log.settle()
    await waiting
    with monkeypatch.context() as broken:
        broken.setattr(bench.operations, "_send", lambda *_: 1 / 0)
        bench.registry.heard("d1")
        bench.operations.pump("d1")
    assert (bench.operations.queue("d1"), bench.log.documents) == ([], {})
    kind, _, data, *_ = bench.log.events[-1]
    assert (kind, data["response"]["success"]) == ("response", False)
    bench.operations.submit("d1", COMMANDS[Operation.READ])
    assert bench.sent[-1].operation is Operation.READ


async def test_nor_does_one_that_cannot_be_stored():
    bench = Bench()
    bench.registers(binding="UQ")
    bench.registry.sleep("d1")
    huge = Command(operation=Operation.WRITE, path=LIFETIME, records=(Record(LIFETIME, 2**70),))
    with pytest.raises(TypeError):
        await bench.operations.request("d1", huge, 5)
    assert (bench.operations.queue("d1"), bench.operations._jobs.count) == ([], 0)


async def test_an_answer_on_which_the_server_fails_blocks_nobody(bench, monkeypatch):
    task = await asking(bench, COMMANDS[Operation.READ])
    with monkeypatch.context() as broken:
        broken.setattr("lwm2m_server.operations.checked", lambda *_: 1 / 0)
        bench.answers(code=Code.CONTENT, records=VALUE)
    assert (await task).code is Code.INTERNAL_SERVER_ERROR
    task = await asking(bench, COMMANDS[Operation.READ])
    bench.answers(code=Code.CONTENT, records=VALUE)
    assert (await task).code is Code.CONTENT


BOTH = r"/3/0/6.* and /3/0/6"
MIXED = (Record(POWER, 1), Record(POWER / 0, 1))


@pytest.mark.parametrize(
    "records", [MIXED, MIXED[::-1], (Record(POWER, 1), Record(POWER, 2)), (MIXED[1],) * 2]
)
@pytest.mark.parametrize("form", [None, 0, 42, 60, 110, 112, 320, 322, 11542, 11544])
@pytest.mark.parametrize(
    ("operation", "path"),
    [
        (Operation.WRITE_COMPOSITE, None), (Operation.WRITE, Path.of(3, 0)), (Operation.WRITE, POWER),
        (Operation.WRITE_PARTIAL, Path.of(3, 0)), (Operation.CREATE, Path.of(3)),
    ],
)  # fmt: skip
async def test_no_encoder_takes_two_values_for_one_place(records, form, operation, path):
    bench = OmaBench()
    bench.says(cbor2.dumps({1: 6, 2: 1, 8: 60, 9: "1.2", 10: "M", 7: b"</1/0>,</3/0>"}))
    bench.take()
    command = Command(operation=operation, path=path, records=records, format=form)
    with pytest.raises(InvalidValueError) as refused:
        await bench.operations.request("d1", command, 0.5)
    for record in records:
        assert str(record.path) in str(refused.value)
    assert bench.published == []
    assert bench.operations.queue("d1") == []


@pytest.mark.parametrize(
    "body",
    [
        {"/3/0/6": 1, "/3/0/6/0": 1},
        {"/3/0/6": 1, "3/0/6": 1},
        {"/3/0/6": {"values": {"0": 1, "00": 2}}},
        {"/3/0": {"resources": [{"id": 6, "value": 1}, {"id": 6, "value": 2}]}},
        {"/3/0": {"resources": [{"id": 6, "value": 1}, {"id": 6, "values": {"0": 2}}]}},
        {"/3/0": {"resources": [{"id": 6, "value": 1}]}, "/3/0/6/0": 1},
    ],
)
def test_bodies_that_name_a_place_twice_are_refused_with_both_paths(bench, body):
    with pytest.raises(InvalidValueError, match=BOTH):
        from_paths(body, bench.definitions)
    node = body.get("/3/0")
    if node is not None and len(body) == 1:
        with pytest.raises(InvalidValueError, match=BOTH):
            from_body(Path.of(3, 0), node, bench.definitions)
        with pytest.raises(InvalidValueError, match=BOTH):
            created(3, 0, node, bench.definitions)
