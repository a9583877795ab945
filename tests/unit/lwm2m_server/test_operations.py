import asyncio
import time

import pytest

from iiot.errors import DecodeError
from iiot.lwm2m.message import Attributes, Code, Command, ObjectLink, Operation, Record, Register, Response
from iiot.lwm2m.path import Path
from lwm2m_bench import READ, Bench, asking
from lwm2m_server.answer_check import unintelligible
from lwm2m_server.request_queue import (
    Delayed,
    Job,
    NoAnswerError,
    UnavailableError,
    UnknownEndpointError,
)
from support import eventually

BATTERY = Path.of(3, 0, 9)
REBOOT = Command(operation=Operation.EXECUTE, path=Path.of(3, 0, 4))


@pytest.fixture
def bench():
    made = Bench()
    made.registers()
    return made


@pytest.fixture
def sleeper():
    made = Bench()
    made.registers(binding="UQ")
    made.clock.advance(94)
    made.registry.find_sleepers()
    made.log.events.clear()
    return made


async def delayed(bench, command=READ, **options):
    before = len(bench.log.documents)
    task = asyncio.create_task(bench.operations.request("d1", command, 5, **options))
    await eventually(lambda: len(bench.log.documents) > before, "the request is stored")
    bench.log.settle()
    outcome = await asyncio.wait_for(task, 5)
    assert isinstance(outcome, Delayed)
    return outcome.request_id


async def test_an_answer_reaches_the_one_who_asked_in_the_right_type(bench):
    task = await asking(bench)
    bench.answers(code=Code.CONTENT, records=(Record(BATTERY, 85.0),))
    response = await task
    assert [type(r.value) for r in response.records] == [int]
    assert bench.counts[-1] == ("read", "2.05")
    assert bench.operations.pending == 0


async def test_tokens_are_even_and_never_repeat(bench):
    for _ in range(3):
        with pytest.raises(NoAnswerError):
            await bench.operations.request("d1", READ, 0.001)
    tokens = [int(command.token) for command in bench.sent]
    assert all(token % 2 == 0 for token in tokens)
    assert len(set(tokens)) == 3


async def test_late_double_and_foreign_answers_are_counted_and_dropped(bench):
    with pytest.raises(NoAnswerError, match=r"d1 did not answer within 0\.01 s"):
        await bench.operations.request("d1", READ, 0.01)
    bench.answers(code=Code.CONTENT)
    task = await asking(bench)
    bench.operations.handle("d2", Response(token=bench.sent[-1].token, code=Code.CONTENT))
    bench.answers(code=Code.NOT_FOUND)
    bench.answers(code=Code.CONTENT)
    assert (await task).code == Code.NOT_FOUND
    assert bench.counts.count("unmatched") == 3


async def test_an_unintelligible_answer_ends_the_waiting(bench):
    task = await asking(bench)
    bench.operations.handle("d1", unintelligible("d1", bench.sent[-1].token, DecodeError("not JSON")))
    response = await task
    assert response.code is Code.INTERNAL_SERVER_ERROR
    assert response.error == "unintelligible response: not JSON"


@pytest.mark.parametrize(
    ("command", "records", "why"),
    [
        (READ, (Record(Path.of(9, 0, 1), 5),), "path: got '/9/0/1'"),
        (READ, (Record(READ.path, "warm"),), "a 64-bit integer"),
        (READ, (), "values: got nothing"),
        (
            Command(operation=Operation.READ_COMPOSITE, paths=(Path.of(3), Path.of(3303))),
            (Record(Path.of(1, 0, 1), 5),),
            "at or below /3, /3303",
        ),
    ],
)
async def test_an_answer_to_something_else_is_unintelligible(bench, command, records, why):
    task = await asking(bench, command)
    bench.answers(code=Code.CONTENT, records=records)
    response = await task
    assert response.code is Code.INTERNAL_SERVER_ERROR
    assert why in response.error


@pytest.mark.parametrize(
    ("path", "records"),
    [
        (Path.of(3306), ()),
        (Path.of(3, 0, 6), ()),
        (Path.of(9999, 0, 1), ()),
        (Path.of(3303, 0), (Record(Path.of(3303, 0, 5700), 1e9),)),
        (Path.of(3, 0, 6), (Record(Path.of(3, 0, 6, 1), 1),)),
    ],
)
async def test_answers_that_are_taken(bench, path, records):
    task = await asking(bench, Command(operation=Operation.READ, path=path))
    bench.answers(code=Code.CONTENT, records=records)
    assert await task == Response(token=bench.sent[-1].token, code=Code.CONTENT, records=records)


async def test_what_is_told_past_the_queue_holds_nothing_up_and_is_given_up(bench):
    cancel = Command(token="7", operation=Operation.CANCEL_OBSERVE)
    bench.operations.tell("d1", cancel)
    bench.operations.tell("d1", cancel)
    bench.operations.tell("nobody", cancel)
    task = await asking(bench)
    assert [command.operation for command in bench.sent] == ["cancel-observe", "read"]
    bench.answers(code=Code.CONTENT, records=(Record(BATTERY, 85),))
    assert (await task).code is Code.CONTENT
    assert bench.operations.pending == 1
    bench.operations.tick(time.monotonic() + 60)
    assert bench.operations.pending == 0


async def test_unknown_and_unreachable(bench, monkeypatch):
    with pytest.raises(UnknownEndpointError):
        await bench.operations.request("d2", READ, 5)
    bench.broker_away = True
    with pytest.raises(UnavailableError, match="not connected"):
        await bench.operations.request("d1", READ, 5)
    monkeypatch.setattr("lwm2m_server.job_table.MAX_PENDING", 0)
    with pytest.raises(UnavailableError, match="already wait"):
        await bench.operations.request("d1", READ, 5)
    assert bench.operations.pending == 0


async def test_one_request_at_a_time_in_order(bench):
    first = await asking(bench, READ)
    second = asyncio.create_task(bench.operations.request("d1", REBOOT, 5))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [job.command.operation for job in bench.operations.queue("d1")] == ["read", "execute"]
    assert len(bench.sent) == 1
    bench.answers(code=Code.CONTENT, records=(Record(BATTERY, 85),))
    await eventually(lambda: len(bench.sent) == 2, "the second leaves")
    bench.answers(code=Code.CHANGED)
    assert [(await task).code for task in (first, second)] == [Code.CONTENT, Code.CHANGED]


async def test_a_time_out_lets_the_next_one_pass(bench):
    first = await asking(bench, READ, 0.05)
    second = asyncio.create_task(bench.operations.request("d1", REBOOT, 5))
    with pytest.raises(NoAnswerError):
        await first
    await eventually(lambda: len(bench.sent) == 2, "the second leaves")
    bench.answers(code=Code.CHANGED)
    assert (await second).code == Code.CHANGED


async def test_a_request_for_a_sleeping_device_waits_for_it(sleeper):
    number = await delayed(sleeper)
    assert sleeper.sent == []
    assert [key[1] for key in sleeper.log.documents] == [number]
    sleeper.registers(binding="UQ")
    assert [command.operation for command in sleeper.sent] == ["read"]
    sleeper.answers(code=Code.CONTENT, records=(Record(BATTERY, 85),))
    assert sleeper.log.documents == {}
    kind, endpoint, data, *_ = sleeper.log.events[-1]
    assert (kind, endpoint, data["requestId"], data["path"]) == ("response", "d1", number, "/3/0/9")
    assert data["response"]["content"]["value"] == "85"


async def test_an_offline_device_is_one_that_sleeps(bench):
    bench.uplink.presence("d1", False, bench.finish)
    await delayed(bench)
    bench.uplink.heard("d1")
    bench.operations.pump("d1")
    assert len(bench.sent) == 1


async def test_a_device_in_queue_mode_that_does_not_answer_sleeps():
    bench = Bench()
    bench.registers(binding="UQ")
    with pytest.raises(NoAnswerError):
        await bench.operations.request("d1", READ, 0.001)
    assert bench.registry.get("d1").sleeping
    assert bench.log.kinds == ["registered", "sleeping"]
    bench.uplink.heard("d1")
    assert bench.log.kinds[-1] == "awake"


async def test_a_request_expires(sleeper):
    number = await delayed(sleeper, ttl=10)
    sleeper.clock.advance(9)
    sleeper.operations.tick(0)
    assert len(sleeper.operations.queue("d1")) == 1
    sleeper.clock.advance(2)
    sleeper.operations.tick(0)
    assert sleeper.operations.queue("d1") == []
    assert sleeper.log.events[-1][2] == {
        "requestId": number, "operation": "read", "path": "/3/0/9", "response": None, "failure": "expired",
    }  # fmt: skip


async def test_what_waits_can_be_cancelled(sleeper):
    numbers = [await delayed(sleeper) for _ in range(3)]
    assert sleeper.operations.cancel("d1", numbers[1]) == 1
    assert [job.id for job in sleeper.operations.queue("d1")] == [numbers[0], numbers[2]]
    assert sleeper.operations.cancel("d1", numbers[1]) == 0
    assert sleeper.operations.cancel("d1") == 2
    assert sleeper.operations.queued == 0
    assert sleeper.log.documents == {}


async def test_an_unanswered_read_is_sent_again_but_an_execute_never(sleeper):
    await delayed(sleeper, READ)
    await delayed(sleeper, REBOOT)
    far = 10**9
    for _ in range(3):
        sleeper.uplink.heard("d1")
        sleeper.operations.pump("d1")
        sleeper.operations.tick(far)
    sleeper.uplink.heard("d1")
    sleeper.operations.pump("d1")
    sleeper.log.settle()
    assert [command.operation for command in sleeper.sent] == ["read"] * 3 + ["execute"]
    assert len({command.token for command in sleeper.sent}) == 2
    sleeper.operations.tick(far)
    failures = [event[2].get("failure") for event in sleeper.log.events if event[0] == "response"]
    assert failures == ["no answer", "no answer"]


async def test_a_restart_sends_reads_again_and_remembers_that_an_execute_left(sleeper):
    await delayed(sleeper, READ)
    await delayed(sleeper, REBOOT)
    sleeper.uplink.heard("d1")
    sleeper.operations.pump("d1")
    sleeper.answers(code=Code.CONTENT)
    assert [command.operation for command in sleeper.sent] == ["read", "execute"]
    again = Bench()
    again.operations.restore(sleeper.log.documents.values())
    again.registers()
    again.operations.pump("d1")
    assert again.sent == []
    again.operations.handle("d1", Response(token=sleeper.sent[-1].token, code=Code.CONTENT))
    assert again.log.kinds[-1] == "response"


async def test_too_many_for_one_device(sleeper, monkeypatch):
    monkeypatch.setattr("lwm2m_server.job_table.MAX_QUEUED", 1)
    await delayed(sleeper)
    with pytest.raises(UnavailableError, match="already wait for d1"):
        await sleeper.operations.request("d1", READ, 5)


async def test_nobody_waits_for_a_device_that_left(bench):
    task = await asking(bench)
    bench.operations.ended("d1")
    with pytest.raises(UnavailableError, match="registration ended"):
        await task


async def test_a_device_takes_no_request_before_its_register_is_answered():
    bench = Bench()
    bench.hears(Register(endpoint="d1", lifetime=60))
    task = asyncio.create_task(bench.operations.request("d1", READ, 5))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (bench.sent, bench.replies) == ([], [])
    bench.log.settle()
    assert len(bench.replies) == len(bench.sent) == 1
    bench.answers(code=Code.CONTENT)
    await task


@pytest.mark.parametrize(
    "command",
    [
        READ,
        Command(operation=Operation.READ_COMPOSITE, token="8", paths=(BATTERY, Path.of(1)), format=112),
        Command(
            operation=Operation.WRITE_COMPOSITE,
            records=(
                Record(Path.of(5, 0, 0), b"\x00\xff"),
                Record(Path.of(1, 0, 10), ObjectLink(11, 0)),
                Record(Path.of(3, 0, 6, 1)),
            ),
        ),
        Command(
            operation=Operation.WRITE_ATTRIBUTES,
            path=BATTERY,
            attributes=Attributes(pmin=1, gt=2.5, edge=True, unset=frozenset({"st"})),
        ),
        Command(operation=Operation.CREATE, path=Path.of(2), records=(Record(Path((2, 65535, 0)), 1),)),
        Command(operation=Operation.DISCOVER, path=Path.of(3), depth=2),
        Command(operation=Operation.EXECUTE, path=Path.of(3, 0, 4), arguments="0='now'"),
    ],
)
def test_a_stored_request_is_the_same(command):
    job = Job("12", "d1", command, 1, 2, delayed=True)
    loaded = Job.load(job.dump())
    assert (loaded.command, loaded.id, loaded.endpoint, loaded.expires) == (command, "12", "d1", 2)
