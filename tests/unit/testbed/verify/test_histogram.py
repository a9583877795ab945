import math

from hypothesis import given
from hypothesis import strategies as st

from testbed.verify.histogram import Histogram


def filled(values):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


def test_empty_has_no_quantile():
    assert Histogram().quantile(0.5) is None


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_quantiles_within_the_promised_error(values, q):
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    found = filled(values).quantile(q)
    assert exact <= found <= exact * (1 + 1 / 64)


def test_small_values_are_exact():
    assert [filled([value]).quantile(0.5) for value in range(128)] == list(range(128))


@given(st.lists(st.integers(0, 10**6)), st.lists(st.integers(0, 10**6), min_size=1))
def test_merge_is_counting_both(left, right):
    merged = filled(left)
    merged.merge(filled(right))
    assert merged.count == len(left) + len(right)
    assert merged.quantile(0.9) == filled(left + right).quantile(0.9)


def test_clocks_that_run_ahead_and_absurd_values_stay_in_range():
    assert filled([-50]).quantile(1) == 0
    assert filled([1 << 60]).quantile(1) >= (1 << 40) - 1


@given(st.lists(st.integers(0, 10**7), max_size=200), st.lists(st.integers(0, 10**7), max_size=5))
def test_counts_up_to_a_value_are_right_within_the_error(values, bounds):
    for bound, found in zip(sorted(bounds), filled(values).up_to(sorted(bounds)), strict=True):
        assert sum(value <= bound - bound // 64 - 1 for value in values) <= found
        assert found <= sum(value <= bound for value in values)


@given(st.lists(st.integers(0, 10**7), max_size=50), st.lists(st.integers(0, 10**7), max_size=50))
def test_what_came_since_a_copy_is_what_was_added(earlier, later):
    both = filled([*earlier, *later])
    since = both.since(filled(earlier))
    assert (since.buckets, since.count, since.total) == (filled(later).buckets, len(later), sum(later))
