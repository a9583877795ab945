import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.topics import TELEMETRY, dlq
from testbed.monitor.model import HISTORY, Histories, Rates, in_order, sparkline


def test_a_rate_needs_two_samples():
    rates = Rates(window=5)
    assert rates.observe("a", 100, now=10) is None
    assert rates.observe("a", 150, now=11) == 50
    assert rates.observe("b", 7, now=11) is None


def test_a_rate_is_that_of_the_window():
    rates = Rates(window=5)
    for second in range(20):
        rates.observe("a", 1000 if second < 10 else 1000 + (second - 10) * 30, now=second)
    assert rates.observe("a", 1300, now=20) == 30


def test_a_counter_that_starts_anew_is_not_a_negative_rate():
    rates = Rates(window=5)
    rates.observe("a", 1000, now=1)
    assert rates.observe("a", 10, now=2) is None
    assert rates.observe("a", 30, now=3) == 20


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=60))
def test_memory_is_bounded_by_the_window(increments):
    rates, value = Rates(window=5), 0
    for second, increment in enumerate(increments):
        value += increment
        rates.observe("a", value, now=second)
    assert len(rates._samples["a"]) <= 7


def test_histories_keep_the_newest():
    histories = Histories()
    assert histories.add("t", None) == ()
    for value in range(HISTORY + 5):
        kept = histories.add("t", value)
    assert kept == tuple(range(5, HISTORY + 5))


def test_topics_are_listed_as_data_flows():
    names = ["other", dlq(TELEMETRY[0]), *reversed(TELEMETRY)]
    assert in_order(names) == [*TELEMETRY, dlq(TELEMETRY[0]), "other"]


@pytest.mark.parametrize(
    ("values", "width", "bars"),
    [
        ((), 5, ""),
        ((0.0, 0.0), 5, "▁▁"),
        ((0.0, 5.0, 10.0), 5, "▁▄█"),
        ((1.0, 9.0, 10.0), 2, "▇█"),
        ((1.0,), 0, ""),
    ],
)
def test_sparklines(values, width, bars):
    assert sparkline(values, width) == bars
