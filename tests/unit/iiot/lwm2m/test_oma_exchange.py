import pytest

from iiot.lwm2m import oma_exchange
from iiot.lwm2m.oma_exchange import Echoes, Replays


def test_an_echo_is_recognised_once_and_for_a_while():
    echoes = Echoes()
    echoes.sent("d1", b"answer", 100.0)
    assert not echoes.is_echo("d2", b"answer", 100.1)
    assert echoes.is_echo("d1", b"answer", 100.1)
    assert not echoes.is_echo("d1", b"answer", 100.2)
    echoes.sent("d1", b"answer", 100.0)
    assert not echoes.is_echo("d1", b"answer", 110.1)


def test_a_repeated_request_gets_the_answer_it_got():
    replays = Replays()
    replays.answered("d1", b"execute", b"2.04", 100.0)
    assert replays.answer("d1", b"execute", 109.0) == b"2.04"
    assert replays.answer("d2", b"execute", 101.0) is None
    assert replays.answer("d1", b"other", 101.0) is None
    assert replays.answer("d1", b"execute", 110.1) is None
    replays.answered("d1", b"execute", b"4.05", 120.0)
    assert replays.answer("d1", b"execute", 121.0) == b"4.05"
    replays.forget("d1")
    assert replays.answer("d1", b"execute", 121.0) is None


def test_both_memories_are_bounded(monkeypatch):
    monkeypatch.setattr(oma_exchange, "MAX_ENTRIES", 10)
    echoes, replays = Echoes(), Replays()
    for n in range(50):
        echoes.sent(f"d{n}", b"x", 100.0)
        replays.answered(f"d{n}", b"x", b"y", 100.0)
        replays.answered("busy", str(n).encode(), b"y", 100.0)
    assert echoes.is_echo("d49", b"x", 100.0)
    assert not echoes.is_echo("d0", b"x", 100.0)
    assert replays.answer("d49", b"x", 100.0) == b"y"
    assert replays.answer("d0", b"x", 100.0) is None
    assert replays.answer("busy", b"49", 100.0) == b"y"
    assert replays.answer("busy", b"0", 100.0) is None
    echoes.sent("later", b"x", 200.0)
    assert len(echoes._sent) == 1


@pytest.mark.parametrize("endpoint", ["d", "x" * 64, "ü" * 64])
def test_any_endpoint_will_do(endpoint):
    echoes = Echoes()
    echoes.sent(endpoint, b"", 1.0)
    assert echoes.is_echo(endpoint, b"", 1.0)
