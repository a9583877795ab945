import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import DecodeError
from iiot.sparkplug.state import HostPresence, State, decode_state, encode_state


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
    ],
)
def test_what_is_not_a_state_is_refused(data):
    with pytest.raises(DecodeError, match="STATE"):
        decode_state(data)


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
