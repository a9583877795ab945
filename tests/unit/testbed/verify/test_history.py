from itertools import pairwise

from testbed.verify.histogram import Histogram
from testbed.verify.history import History
from testbed.verify.ledger import PathTotals, Verdict


def books(missing):
    paths = {"a": PathTotals(Histogram(), lost=missing), "b": PathTotals(Histogram())}
    return Verdict(0, 0, missing, 0, 0, Histogram(), 1, 0, paths, [])


def test_samples_stay_as_they_are_while_there_are_few():
    history = History(max_samples=10)
    for second in range(10):
        history.add(second, books(second))
    assert [(at, found["a"]) for at, found in history.samples] == [(n, n) for n in range(10)]


def test_many_samples_are_thinned_evenly_and_keep_each_peak():
    history = History(max_samples=100)
    for second in range(100_000):
        history.add(second, books(7 if second == 54_321 else 0))
        assert len(history.samples) <= 100
    times = [at for at, _ in history.samples]
    assert times == sorted(times)
    assert len(times) >= 50
    assert times[-1] == 99_999
    assert max(later - earlier for earlier, later in pairwise(times)) <= 4_000
    assert [found["a"] for _, found in history.samples].count(7) == 1
