import asyncio

import pytest

from iiot.errors import MqttError
from iiot.lwm2m import model
from iiot.lwm2m.message import Code, Command, Operation, Record, Register, Response
from iiot.lwm2m.path import Path
from lwm2m_server.clock import SystemClock
from lwm2m_server.operations import (
    NoAnswerError,
    Operations,
    UnavailableError,
    UnknownEndpointError,
)
from lwm2m_server.registry import Registry
from support import eventually

READ = Command(operation=Operation.READ, path=Path.of(3, 0, 9))


class Counts:
    def __init__(self):
        self.commands, self.unmatched = [], 0

    def command(self, operation, outcome, seconds):
        assert seconds >= 0
        self.commands.append((operation, outcome))

    def unmatched_response(self):
        self.unmatched += 1


@pytest.fixture
def counts():
    return Counts()


@pytest.fixture
def sent():
    return []


@pytest.fixture
def registry():
    registry = Registry(SystemClock())
    registry.register(Register(endpoint="d1", lifetime=60), "json")
    return registry


@pytest.fixture
def operations(registry, counts, sent):
    return Operations(registry, model.built_in(), lambda r, c: sent.append((r.endpoint, c)), counts)


def answer(operations, sent, **response):
    endpoint, command = sent[-1]
    operations.handle(endpoint, Response(token=command.token, **response))


async def test_an_answer_reaches_the_one_who_asked_in_the_right_type(operations, sent, counts):
    asking = asyncio.create_task(operations.request("d1", READ, 5))
    await eventually(lambda: sent, "the command is sent")
    record = Record(Path.of(3, 0, 9), 85.0)
    answer(operations, sent, code=Code.CONTENT, records=(record, Record(Path.of(3, 0, 0), 5)))
    response = await asking
    assert [type(r.value) for r in response.records] == [int, int]
    assert counts.commands == [("read", "2.05")]
    assert operations.pending == 0


async def test_tokens_are_even_and_never_repeat(operations, sent):
    for _ in range(3):
        with pytest.raises(NoAnswerError):
            await operations.request("d1", READ, 0.001)
    tokens = [int(command.token) for _, command in sent]
    assert all(token % 2 == 0 for token in tokens)
    assert len(set(tokens)) == 3


async def test_late_double_and_foreign_answers_are_counted_and_dropped(operations, sent, counts):
    with pytest.raises(NoAnswerError, match=r"d1 did not answer within 0\.01 s"):
        await operations.request("d1", READ, 0.01)
    answer(operations, sent, code=Code.CONTENT)
    assert counts.commands == [("read", "timeout")]
    asking = asyncio.create_task(operations.request("d1", READ, 5))
    await eventually(lambda: len(sent) == 2, "the command is sent")
    operations.handle("d2", Response(token=sent[-1][1].token, code=Code.CONTENT))
    answer(operations, sent, code=Code.NOT_FOUND)
    answer(operations, sent, code=Code.CONTENT)
    assert (await asking).code == Code.NOT_FOUND
    assert counts.unmatched == 3


async def test_an_unintelligible_answer_ends_the_waiting(operations, sent):
    asking = asyncio.create_task(operations.request("d1", READ, 5))
    await eventually(lambda: sent, "the command is sent")
    operations.refuse("d1", sent[-1][1].token, "not JSON")
    response = await asking
    assert (response.code, response.error) == (Code.INTERNAL_SERVER_ERROR, "not JSON")


async def test_unknown_offline_and_unreachable_devices(operations, registry, counts):
    with pytest.raises(UnknownEndpointError):
        await operations.request("d2", READ, 5)
    registry.set_online("d1", False)
    with pytest.raises(UnavailableError, match="offline"):
        await operations.request("d1", READ, 5)
    assert counts.commands == [("read", "unavailable")]


async def test_the_broker_away_and_too_many_commands(registry, counts, monkeypatch):
    def send(_registration, _command):
        raise MqttError("not connected")

    operations = Operations(registry, model.built_in(), send, counts)
    with pytest.raises(UnavailableError, match="not connected"):
        await operations.request("d1", READ, 5)
    monkeypatch.setattr("lwm2m_server.operations.MAX_PENDING", 0)
    with pytest.raises(UnavailableError, match="already wait"):
        await operations.request("d1", READ, 5)
    assert operations.pending == 0
