import asyncio
import threading

from iiot.in_order import BATCH, LARGE_BYTES, InOrder
from support import HeldRunner

LARGE = LARGE_BYTES + 1


def add(line, log, name, size=1):
    line.add(size, lambda: log.append(f"work {name}"), lambda: log.append(f"then {name}"))


def test_small_messages_are_handled_at_once():
    log, run = [], HeldRunner()
    add(InOrder(run), log, "a", LARGE_BYTES)
    assert (log, run.jobs) == (["work a", "then a"], [])


def test_what_comes_behind_a_large_message_waits_for_it():
    log, run = [], HeldRunner()
    line = InOrder(run)
    for name, size in (("a", LARGE), ("b", 1), ("c", LARGE), ("d", 1)):
        add(line, log, name, size)
    assert (log, line.is_idle) == ([], False)
    run.finish()
    assert log == ["work a", "then a", "work b", "then b"]
    run.finish()
    assert log[4:] == ["work c", "then c", "work d", "then d"]
    assert line.is_idle
    add(line, log, "e")
    assert log[-1] == "then e"


def test_many_that_waited_leave_the_event_loop_its_turn():
    log, run = [], HeldRunner()
    line = InOrder(run)
    add(line, log, "large", LARGE)
    for number in range(2 * BATCH):
        add(line, log, number)
    run.finish()
    assert 0 < len(log) <= 2 * (BATCH + 1)
    while run.jobs:
        run.finish()
    assert [entry for entry in log if entry.startswith("then")][1:] == [f"then {n}" for n in range(2 * BATCH)]
    assert line.is_idle


def test_messages_that_waited_are_large_together():
    log, run = [], HeldRunner()
    line = InOrder(run)
    for name, size in (("large", LARGE), ("a", LARGE_BYTES), ("b", LARGE_BYTES)):
        add(line, log, name, size)
    run.finish()
    assert log == ["work large", "then large", "work a", "then a"]
    run.finish()
    assert log[-1] == "then b"
    assert line.is_idle


def test_an_error_behind_the_work_stops_nobody_else():
    log, run = [], HeldRunner()
    line = InOrder(run)
    line.add(LARGE, lambda: None, lambda: 1 / 0)
    add(line, log, "b")
    try:
        run.finish()
    except ZeroDivisionError:
        log.append("told")
    assert log == ["work b", "then b", "told"]


async def test_the_work_on_large_messages_is_done_in_another_thread():
    threads, done = [], asyncio.Event()
    line = InOrder()
    line.add(
        LARGE,
        lambda: threads.append(threading.current_thread()),
        lambda: (threads.append(threading.current_thread()), done.set()),
    )
    await asyncio.wait_for(done.wait(), 10)
    assert threads[0] is not threads[1] is threading.current_thread()
    assert line.is_idle
