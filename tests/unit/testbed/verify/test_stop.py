import asyncio
import os
import signal

from testbed.verify import stop as module
from testbed.verify.stop import Stop


async def test_the_first_signal_asks_and_the_second_means_now(monkeypatch):
    monkeypatch.setattr(module, "TWICE", -1)
    stop = Stop.on_signals()
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.wait_for(stop.asked.wait(), 10)
    assert not stop.now.is_set()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(stop.now.wait(), 10)


async def test_one_ctrl_c_that_comes_by_two_ways_is_one(monkeypatch):
    monkeypatch.setattr(module, "TWICE", 3600)
    stop = Stop.on_signals()
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(stop.asked.wait(), 10)
        await asyncio.sleep(0)
    assert not stop.now.is_set()
