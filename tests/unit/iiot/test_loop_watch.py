import asyncio
import time

from prometheus_client import CollectorRegistry

from iiot.loop_watch import PERIOD, LoopWatch
from support import eventually

METRIC = "iiot_event_loop_longest_block_seconds"


async def test_work_that_keeps_the_loop_from_all_else_shows():
    registry = CollectorRegistry()
    async with LoopWatch(registry).running():
        await asyncio.sleep(0)
        until = time.thread_time() + 0.3
        while time.thread_time() < until:
            pass
        await eventually(lambda: registry.get_sample_value(METRIC) > 0, "the loop's block shows")
        assert registry.get_sample_value(METRIC) >= 0.3 - PERIOD


async def test_waiting_is_no_work():
    registry = CollectorRegistry()
    async with LoopWatch(registry).running():
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 - as if the machine ran something else
        await asyncio.sleep(2 * PERIOD)
        assert registry.get_sample_value(METRIC) < 0.25
