from hypothesis import given
from hypothesis import strategies as st

from iiot.sparkplug.sequence import Counter, distance, successor

numbers = st.integers(0, 255)


def test_255_is_followed_by_0():
    counter = Counter(254)
    assert [counter.take() for _ in range(3)] == [254, 255, 0]
    counter.reset()
    assert counter.take() == 0


@given(numbers, numbers)
def test_distance_is_the_number_of_steps(start, end):
    reached = start
    for _ in range(distance(start, end)):
        reached = successor(reached)
    assert reached == end
