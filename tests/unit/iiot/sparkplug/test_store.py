import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.sparkplug.store import ChangeFilter, DropPolicy, Sample, SampleStore


@pytest.mark.parametrize(("policy", "kept"), [(DropPolicy.OLDEST, [2, 3, 4]), (DropPolicy.NEWEST, [0, 1, 2])])
def test_a_full_store_drops_by_policy_and_counts(policy, kept):
    store = SampleStore(3, policy)
    for time in range(5):
        store.put(Sample("pump", time, {}))
    assert store.dropped == 2
    assert [sample.acquired for sample in store.take(2) + store.take(10)] == kept
    assert len(store) == 0


@given(st.integers(0, 5), st.sampled_from(DropPolicy), st.lists(st.integers(0, 4) | st.none()))
def test_every_sample_is_taken_or_counted_once(capacity, policy, steps):
    store = SampleStore(capacity, policy)
    put = taken = 0
    for step in steps:
        if step is None:
            store.put(Sample(None, put, {}))
            put += 1
        else:
            taken += len(store.take(step))
        assert len(store) <= capacity
        assert taken + len(store) + store.dropped == put


def test_only_changes_are_reported():
    changes = ChangeFilter({"Temperature": 0.5})
    first = {"Temperature": 20.0, "Mode": 1, "Label": "a"}
    assert changes.select(first) == first
    assert changes.select({"Temperature": 20.4, "Mode": 1, "Label": "b"}) == {"Label": "b"}
    assert changes.select({"Temperature": 20.6}) == {"Temperature": 20.6}
    assert changes.select({"Temperature": 20.2}) == {}
    assert changes.select({"Temperature": None}) == {"Temperature": None}
    assert changes.select({"Temperature": 20.6, "Mode": 2}) == {"Temperature": 20.6, "Mode": 2}
    changes.reset({"Temperature": 30.0, "Mode": 2})
    assert changes.select({"Temperature": 30.5, "Mode": 2}) == {}


def test_the_first_sample_can_be_looked_at():
    store = SampleStore(3)
    assert store.first is None
    samples = [Sample(None, number, {}) for number in range(2)]
    for sample in samples:
        store.put(sample)
    assert store.first is samples[0]
    assert store.take(1) == [samples[0]]
    assert store.first is samples[1]
