from hypothesis import given
from hypothesis import strategies as st

from iiot.sparkplug.reorder import ReorderBuffer


def deliver(buffer, seqs):
    """Feed messages that are named by their seq; return those whose turn came."""
    done = []
    for seq in seqs:
        if buffer.accept(seq):
            done += [seq, *buffer.following()]
        else:
            buffer.hold(seq, seq)
    return done


@given(st.integers(0, 255), st.integers(1, 100).flatmap(lambda n: st.permutations(range(n))))
def test_any_arrival_order_comes_out_in_sequence(start, order):
    buffer = ReorderBuffer()
    buffer.expected = start
    arrived = [(start + offset) % 256 for offset in order]
    assert deliver(buffer, arrived) == [(start + offset) % 256 for offset in range(len(order))]
    assert not buffer.held


@given(st.integers(0, 255), st.sets(st.integers(1, 200), min_size=1))
def test_giving_up_releases_all_in_order_and_goes_on_after_the_last(start, offsets):
    buffer = ReorderBuffer()
    buffer.expected = start
    for offset in offsets:
        buffer.hold((start + offset) % 256, offset)
    assert buffer.give_up() == sorted(offsets)
    assert buffer.expected == (start + max(offsets) + 1) % 256


def test_a_second_message_with_the_same_seq_and_a_seq_out_of_range_have_no_place():
    buffer = ReorderBuffer()
    buffer.expected = 0
    assert buffer.hold(5, "a")
    assert not buffer.hold(5, "b")
    assert not buffer.hold(256, "c")


def test_restart_keeps_what_belongs_to_the_new_sequence():
    buffer = ReorderBuffer()
    buffer.expected = 40
    for seq, name in ((42, "old"), (1, "new"), (2, "new")):
        buffer.hold(seq, name)
    buffer.restart(0, lambda name: name == "new")
    assert list(buffer.following()) == ["new", "new"]
    buffer.stop()
    assert buffer.expected is None
    assert not buffer.accept(3)
