import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.mqtt.message import Message, ReceiveWindow
from iiot.service import Service

QOS0, QOS1 = 0, 2


class Bench:
    def __init__(self, limit, on_message=None):
        self.handled, self.pubacks, self.full, self.due = [], [], [], []
        self.window = ReceiveWindow(
            limit, on_message or self.handled.append, self.write, self.full.append, self.due.append
        )

    def write(self, data):
        assert data[0::4] == b"\x40" * (len(data) // 4)
        self.pubacks += [int.from_bytes(data[at + 2 : at + 4]) for at in range(0, len(data), 4)]

    def arrive(self, mid, header=QOS1):
        self.window.arrive(Message("t", b"", header, mid if header else 0, self.window))

    def turn(self):
        while self.due:
            self.due.pop(0)()

    @property
    def unacknowledged(self):
        return len(self.handled) - len(self.pubacks)


def test_pubacks_leave_in_order_and_together():
    bench = Bench(10)
    for mid in (1, 2, 3):
        bench.arrive(mid)
    bench.handled[1].ack()
    bench.turn()
    assert bench.pubacks == []
    bench.handled[0].ack()
    bench.handled[2].ack()
    assert len(bench.due) == 1
    bench.turn()
    assert bench.pubacks == [1, 2, 3]


def test_what_exceeds_receive_maximum_waits_until_pubacks_left():
    bench = Bench(2)
    for mid in (1, 2, 3, 4):
        bench.arrive(mid)
    assert ([m._mid for m in bench.handled], bench.full) == ([1, 2], [True])
    bench.handled[0].ack()
    assert len(bench.handled) == 2
    bench.turn()
    assert ([m._mid for m in bench.handled], bench.full) == ([1, 2, 3], [True])
    bench.handled[1].ack()
    bench.turn()
    assert ([m._mid for m in bench.handled], bench.full) == ([1, 2, 3, 4], [True, False])


def test_qos_0_overtakes_nobody_and_takes_no_room():
    bench = Bench(1)
    bench.arrive(1)
    bench.arrive(0, QOS0)
    bench.arrive(2)
    assert [m._mid for m in bench.handled] == [1]
    bench.handled[0].ack()
    bench.turn()
    assert [m._mid for m in bench.handled] == [1, 0, 2]


def test_after_a_close_what_was_kept_is_forgotten():
    bench = Bench(1)
    bench.arrive(1)
    bench.arrive(2)
    bench.window.close()
    bench.handled[0].ack()
    bench.turn()
    assert [m._mid for m in bench.handled] == [1]


def test_a_handler_that_fails_costs_its_message_only():
    def fail(message):
        raise RuntimeError(message.topic)

    bench, before = Bench(1, fail), failures()
    bench.arrive(1)
    bench.arrive(2)
    bench.turn()
    assert bench.pubacks == [1, 2]
    assert failures() == before + 2


def failures():
    """As every service exports them."""
    return Service("test").registry.get_sample_value("iiot_message_failures_total")


@pytest.mark.parametrize("limit", [1, 3, 65_535])
@given(data=st.data())
def test_order_and_bound_hold_whatever_the_order_of_events(limit, data):
    bench, arrived = Bench(limit), 0
    for _ in range(data.draw(st.integers(0, 60))):
        open_messages = [message for message in bench.handled if not message._done]
        step = data.draw(st.sampled_from(["arrive", "arrive", "ack", "turn"]))
        if step == "arrive":
            arrived += 1
            bench.arrive(arrived)
        elif step == "ack" and open_messages:
            data.draw(st.sampled_from(open_messages)).ack()
        elif step == "turn":
            bench.turn()
        assert bench.unacknowledged <= limit
    for _ in range(arrived + 1):
        for message in bench.handled:
            message.ack()
        bench.turn()
    assert [message._mid for message in bench.handled] == bench.pubacks == list(range(1, arrived + 1))
    assert bench.full == [True, False] * (len(bench.full) // 2)
