from collections import Counter

import pytest

from device_simulator.schedule import Schedule, Series


class Recorder:
    def __init__(self, ready=True):
        self.deadlines = []
        self.ready = ready

    def __call__(self, deadline):
        if self.ready:
            self.deadlines.append(deadline)
        return self.ready


def run(schedule, start, end, steps):
    """Step at irregular instants, as a busy machine does."""
    now, i = start, 0
    while now < end:
        now = min(end, now + steps[i % len(steps)])
        i += 1
        while not schedule.run_due(now):
            pass


def test_a_minute_holds_exactly_its_messages_however_irregular_the_steps():
    schedule, sent = Schedule(lambda lag: None), Recorder()
    schedule.add(Series(0.0, 0.0105, sent))
    run(schedule, 0, 60, [0.005, 0.031, 0.0002, 0.9, 0.007])
    assert len(sent.deadlines) == 5715  # deadlines 0, 0.0105, ... below 60
    assert sent.deadlines[-1] == pytest.approx(5714 * 0.0105, abs=1e-6)
    assert schedule.skipped == 0


def test_messages_leave_in_the_order_of_their_deadlines():
    order = []
    schedule = Schedule(lambda lag: None)
    for name, interval in (("a", 0.3), ("b", 0.2), ("c", 0.7)):
        schedule.add(Series(interval, interval, lambda d, name=name: not order.append((d, name))))
    schedule.run_due(2.0)
    assert order == sorted(order, key=lambda entry: entry[0])
    assert Counter(name for _, name in order) == {"a": 6, "b": 10, "c": 2}


def test_lag_is_told_for_each_message():
    lags = []
    schedule = Schedule(lags.append)
    schedule.add(Series(1.0, 1.0, Recorder()))
    schedule.run_due(2.5)
    assert lags == [1.5, 0.5]


def test_a_device_that_cannot_send_catches_up_without_holding_up_others():
    schedule, blocked, free = Schedule(lambda lag: None), Recorder(ready=False), Recorder()
    schedule.add(Series(0.0, 0.1, blocked))
    schedule.add(Series(0.0, 0.1, free))
    run(schedule, 0, 1.05, [0.005])
    assert (len(blocked.deadlines), len(free.deadlines), schedule.deferred) == (0, 11, 1)
    blocked.ready = True
    schedule.run_due(1.06)
    assert len(blocked.deadlines) == 11
    assert schedule.skipped == 0


def test_messages_too_late_are_given_up_and_counted_once_each():
    schedule, sent = Schedule(lambda lag: None, max_lag=1.0), Recorder()
    series = Series(0.0, 0.1, sent)
    schedule.add(series)
    schedule.run_due(10.0)
    assert len(sent.deadlines) + schedule.skipped == 101
    assert len(sent.deadlines) <= 2
    assert series.deadline == pytest.approx(10.1)


def test_a_long_run_is_cut_so_that_sockets_get_their_turn():
    schedule, sent = Schedule(lambda lag: None), Recorder()
    schedule.add(Series(0.0, 0.001, sent))
    assert not schedule.run_due(1.0, batch=100)
    assert len(sent.deadlines) == 100
    assert schedule.run_due(1.0, batch=2000)


def test_an_inactive_series_leaves():
    schedule, sent = Schedule(lambda lag: None), Recorder()
    series = Series(0.0, 0.1, sent)
    schedule.add(series)
    schedule.run_due(0.15)
    series.active = False
    schedule.run_due(5.0)
    assert len(sent.deadlines) == 2
    assert schedule.next_deadline is None
