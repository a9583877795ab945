import pytest

from iiot.lwm2m.message import (
    BootstrapRequest,
    Code,
    Deregister,
    Notify,
    Operation,
    Record,
    Refusal,
    Register,
    Send,
    Update,
)
from iiot.lwm2m.path import Path
from lwm2m_bench import TEMPERATURE, Bench


@pytest.fixture
def bench():
    return Bench()


def test_nothing_is_answered_or_acknowledged_before_it_is_durable(bench):
    bench.hears(Register(endpoint="d1", lifetime=60, seq=5, timestamp=7))
    assert (bench.replies, bench.done) == ([], 0)
    bench.log.settle()
    assert [(r.code, r.operation) for r in bench.replies] == [(Code.CREATED, Operation.REGISTER)]
    assert bench.done == 1
    kind, endpoint, data, seq, stored, _ = bench.log.events[0]
    assert (kind, endpoint, data["seq"], data["timestamp"], seq, stored) == (
        "registered",
        "d1",
        5,
        7,
        5,
        True,
    )


def test_each_operation_makes_its_event(bench):
    bench.registers(seq=1)
    bench.hears(Update(lifetime=30, seq=2))
    bench.hears(Send(records=(TEMPERATURE,), seq=3))
    token = bench.observations.intend("d1", (TEMPERATURE.path,), False).token
    bench.hears(Notify(token=token, records=(TEMPERATURE,), seq=4))
    bench.hears(Deregister(seq=5))
    assert bench.log.kinds == ["registered", "updated", "send", "notification", "deregistered"]
    assert [event[2]["seq"] for event in bench.log.events] == [1, 2, 3, 4, 5]
    assert bench.log.events[2][2]["values"] == {"/3303/0/5700": 23.5}
    assert bench.log.events[-1][5] is True
    bench.log.settle()
    assert [r.operation for r in bench.replies] == [Operation.REGISTER, Operation.DEREGISTER]
    assert bench.done == 5
    assert bench.registry.get("d1") is None


def test_a_token_asks_for_an_answer(bench):
    bench.registers()
    bench.hears(Send(records=(TEMPERATURE,), token="9"))
    bench.hears(Update(token="10"))
    bench.log.settle()
    assert [(r.token, r.code) for r in bench.replies[1:]] == [("9", Code.CHANGED), ("10", Code.CHANGED)]


def test_a_repeated_message_is_answered_again_and_makes_no_event(bench):
    bench.registers(seq=1)
    bench.hears(Send(records=(TEMPERATURE,), seq=2, token="9"))
    bench.log.settle()
    bench.hears(Send(records=(TEMPERATURE,), seq=2, token="9"))
    assert len(bench.log.events) == 2
    assert (len(bench.replies), bench.done) == (3, 3)
    assert bench.counts[-1] == (Operation.SEND, "duplicate")


def test_without_numbers_nothing_is_a_duplicate(bench):
    bench.registers()
    for _ in range(2):
        bench.hears(Send(records=(TEMPERATURE,)))
    assert bench.log.kinds == ["registered", "send", "send"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (Update(seq=9), Code.NOT_FOUND),
        (Deregister(seq=9), Code.NOT_FOUND),
        (Send(seq=9), Code.NOT_FOUND),
        (Notify(token="1", seq=9), Code.NOT_FOUND),
        (Register(endpoint="d1", lifetime=60, version="3.0", seq=9), Code.PRECONDITION_FAILED),
        (
            Register(endpoint="d1", lifetime=60, records=(Record(Path.of(3, 0, 9), "x"),), seq=9),
            Code.BAD_REQUEST,
        ),
        (BootstrapRequest(), Code.BAD_REQUEST),
        (BootstrapRequest(preferred_format=50), Code.UNSUPPORTED_CONTENT_FORMAT),
    ],
)
def test_refusals_are_answered_and_accounted_for(bench, message, code):
    bench.hears(message)
    bench.log.settle()
    assert (bench.replies[0].code, bench.done, bench.log.kinds) == (code, 1, ["refused"])
    assert bench.log.events[0][2]["code"] == code.dotted
    assert bench.log.events[0][2].get("seq") == getattr(message, "seq", None)
    assert bench.counts[-1][1] == "refused"
    assert len(bench.registry) == 0


def test_a_value_of_the_wrong_type_is_named(bench):
    bench.registers()
    bench.hears(Send(records=(TEMPERATURE, Record(Path.of(3, 0, 9), "full"))))
    bench.log.settle()
    assert bench.replies[-1].error == Refusal("/3/0/9", "full", "a 64-bit integer")
    bench.hears(Send(records=(Record(Path.of(3, 0, 9), 101),)))
    assert bench.log.kinds[-1] == "send"


def test_births_and_deaths(bench):
    bench.uplink.presence("d1", True, bench.finish)
    assert (bench.log.events, bench.done) == ([], 1)
    bench.registers()
    bench.uplink.presence("d1", False, bench.finish)
    assert (bench.registry.online, bench.done) == (0, 2)
    bench.hears(Send(records=(TEMPERATURE,)))
    bench.log.settle()
    assert bench.log.kinds == ["registered", "offline", "online", "send"]
    assert (bench.registry.online, bench.done) == (1, 4)


def test_expiry(bench):
    bench.registers()
    bench.clock.advance(61)
    bench.uplink.expire()
    kind, endpoint, data, _, _, removed = bench.log.events[-1]
    assert (kind, endpoint, data["lifetime"], removed) == ("expired", "d1", 60, True)
    bench.hears(Update())
    bench.log.settle()
    assert bench.replies[-1].code == Code.NOT_FOUND
