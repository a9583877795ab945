import random

from hypothesis import given
from hypothesis import strategies as st

from lwm2m_server import duplicates
from lwm2m_server.duplicates import Duplicates

START = 1_795_000_000_000_000


@given(st.lists(st.integers(0, 40), max_size=80))
def test_a_number_is_new_exactly_once(numbers):
    seen, known = set(), Duplicates()
    for number in numbers:
        assert known.is_new("d1", number) is (number not in seen)
        seen.add(number)


def test_late_and_repeated_numbers_after_a_reconnect():
    known = Duplicates()
    assert all(known.is_new("d1", START + n) for n in range(100))
    assert known.is_new("d1", START + 105)
    assert [known.is_new("d1", START + n) for n in (99, 100, 104, 105, 106)] == [
        False,
        True,
        True,
        False,
        True,
    ]


def test_a_device_restarts_with_later_or_earlier_numbers():
    known = Duplicates()
    for start in (START, START + 10**9, START - 10**9):
        assert known.is_new("d1", start)
        assert not known.is_new("d1", start)


def test_streams_are_apart():
    known = Duplicates()
    assert known.is_new("d1", 5)
    assert known.is_new("d2", 5)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(duplicates, "MAX_STREAMS", 10)
    known = Duplicates()
    for n in range(50):
        known.is_new(f"d{n}", 1)
    assert len(known) == 10
    for n in random.Random(1).sample(range(10**6), 1000):
        known.is_new("d49", n)
    assert len(known._streams["d49"]) <= duplicates.MAX_GAPS
