import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.budgets import BudgetError
from iiot.errors import DecodeError
from iiot.sparkplug.state import HostPresence, PrimaryHost, State, decode_state, encode_state


@given(st.booleans(), st.integers(0, 2**53))
def test_state_survives_the_round_trip(online, timestamp):
    assert decode_state(encode_state(State(online, timestamp))) == State(online, timestamp)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ONLINE",
        b"[]",
        b"{}",
        b'{"online":1,"timestamp":5}',
        b'{"online":true}',
        b'{"online":true,"timestamp":""}',
        b'{"online":true,"timestamp":-1}',
        b'{"online":true,"timestamp":9223372036854775808}',
    ],
)
def test_what_is_not_a_state_is_refused(data):
    with pytest.raises(DecodeError, match="STATE"):
        decode_state(data)


@pytest.mark.parametrize("filler", [b"[" * 5_000, b"[]," * 5_000, b"9" * 5_000])
def test_a_state_of_any_size_is_refused_before_it_is_read(filler):
    with pytest.raises(BudgetError, match="STATE: more than 4096 bytes"):
        decode_state(b'{"online":true,"timestamp":1,"x":[' + filler)


def test_birth_repeats_the_timestamp_of_the_will_and_death_has_its_own():
    presence = HostPresence("scada")
    assert presence.topic == "spBv1.0/STATE/scada"
    assert decode_state(presence.will(100)) == State(False, 100)
    assert decode_state(presence.birth()) == State(True, 100)
    assert decode_state(presence.death(150)) == State(False, 150)
    presence.will(200)
    assert decode_state(presence.birth()) == State(True, 200)


def test_a_late_will_on_the_own_topic_is_answered_by_the_birth():
    presence = HostPresence("scada")
    presence.will(100)
    assert presence.on_own_state(encode_state(State(False, 50))) == presence.birth()
    assert presence.on_own_state(b"OFFLINE") == presence.birth()
    assert presence.on_own_state(presence.birth()) is None


def test_a_clock_that_is_set_back_does_not_take_the_host_back_in_time():
    presence = HostPresence("scada")
    presence.will(1000)
    assert decode_state(presence.death(400)) == State(False, 1000)
    assert decode_state(presence.will(500)) == State(False, 1001)
    assert decode_state(presence.birth()) == State(True, 1001)


@pytest.mark.parametrize(
    ("state", "retained", "outranked"),
    [
        (State(True, 5000), True, True),
        (State(False, 5000), True, True),
        (State(False, 5000), False, True),  # the late will of a session before the clock was set back
        (State(True, 5000), False, False),  # another host with this id: it is not to be fought
        (State(False, 100), True, False),
        (State(True, 99), True, False),
    ],
)
def test_a_later_state_on_the_own_topic_calls_for_a_new_session_behind_it(state, retained, outranked):
    presence = HostPresence("scada")
    presence.will(100)
    presence.on_own_state(encode_state(state), retained=retained)
    assert presence.is_outranked() is outranked
    presence.will(200)
    assert decode_state(presence.birth()) == State(True, 5001 if outranked else 200)
    assert not presence.is_outranked()


def test_a_primary_host_has_its_own_time_on_each_server():
    host = PrimaryHost("scada")
    host.connecting("a:1883")
    assert host.on_state(State(True, 900)) is True
    host.connecting("b:1883")
    assert host.online is None
    assert host.on_state(State(True, 300)) is True
    host.connecting("a:1883")
    assert host.on_state(State(True, 800)) is None
    assert host.on_state(State(False, 900)) is False
