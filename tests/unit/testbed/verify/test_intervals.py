from hypothesis import given
from hypothesis import strategies as st

from testbed.verify.intervals import SESSION_GAP, IntervalSet, clip, merge, size, subtract

numbers = st.lists(st.integers(0, 60), max_size=80)


def as_set(ranges):
    return {n for first, last in ranges for n in range(first, last + 1)}


def ranges_of(values):
    return merge((value, value) for value in values)


@given(numbers)
def test_holds_what_was_added_and_knows_what_is_new(added):
    held = IntervalSet()
    model = set()
    for number in added:
        assert held.add(number) == (number not in model)
        model.add(number)
    assert as_set(held.ranges) == model
    assert list(held.ranges) == ranges_of(model)


def test_a_stream_in_order_is_one_range():
    held = IntervalSet()
    assert all(held.add(n) for n in range(5, 10_005))
    assert list(held.ranges) == [(5, 10_004)]


@given(st.lists(st.integers(0, 300), max_size=300, unique=True), st.integers(1, 5))
def test_settling_keeps_the_counts(added, max_ranges):
    held = IntervalSet(max_ranges)
    accepted = {number for number in added if held.add(number)}
    kept = list(held.ranges)
    assert len(kept) <= max_ranges
    assert held.settled + size(kept) == len(accepted)
    if held.floor >= 0:
        assert held.settled + held.given_up == held.floor - min(added_floor(added, held)) + 1
        assert all(first > held.floor for first, _ in kept)


def added_floor(added, held):
    """Numbers at or below the floor that were taken before it rose."""
    replay = IntervalSet(held._max_ranges)
    return {number for number in added if replay.add(number)} & set(range(held.floor + 1))


def test_a_restart_is_no_hole():
    held = IntervalSet(max_ranges=1)
    for number in (1, 2, 2 + SESSION_GAP + 1, 2 + SESSION_GAP + 3):
        held.add(number)
    assert held.settled == 3
    assert held.given_up == 1
    assert not held.add(2 + SESSION_GAP + 2)


@given(numbers, numbers)
def test_subtract(left, right):
    assert as_set(subtract(ranges_of(left), ranges_of(right))) == set(left) - set(right)


@given(numbers, st.integers(0, 60), st.integers(0, 60))
def test_clip(values, low, high):
    assert as_set(clip(ranges_of(values), low, high)) == {v for v in values if low <= v <= high}


def test_merge_joins_what_lies_closer_than_the_gap():
    assert merge([(30, 40), (1, 5), (6, 9), (12, 13)]) == [(1, 9), (12, 13), (30, 40)]
    assert merge([(1, 5), (9, 9), (14, 14)], gap=4) == [(1, 9), (14, 14)]
