from datetime import UTC, datetime

import orjson
import pytest

from iiot.kafka_reader import Record
from iiot.topics import LWM2M_UPDATES, SPARKPLUG_DATA, dlq
from testbed.monitor.model import Check, RouteLine, Snapshot, TopicLine
from testbed.monitor.screen import Monitor

NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)


class FakeCollector:
    """Snapshots as a test wants them."""

    def __init__(self):
        self.looks = 0
        self.down = False

    async def snapshot(self):
        self.looks += 1
        if self.down:
            return Snapshot(NOW, (Check("Kafka", "down", "no answer on port 9092"),))
        return Snapshot(
            NOW,
            (
                Check("MQTT broker", "up", "answers in 1.0 ms"),
                Check("WebSocket", "down", "nobody is connected"),
            ),
            (
                TopicLine(SPARKPLUG_DATA, 1000 + self.looks, 190.5, (100.0, 190.5)),
                TopicLine(LWM2M_UPDATES, 50, 10.0, (10.0,)),
                TopicLine(dlq(LWM2M_UPDATES), 0, 0.0, (0.0,)),
            ),
            (RouteLine("sparkplug", 1000, 999, 0, 1, 190.5, 190.1),),
        )

    async def newest(self, topic, limit):
        value = orjson.dumps({"topic": topic, "limit": limit})
        return [Record(topic, 0, offset, NOW, b"device-temp-001", value, ()) for offset in (2, 1)]


@pytest.fixture
def collector():
    return FakeCollector()


def running(collector, size=(80, 24)):
    # The interval is long: these tests look by the r key alone.
    return Monitor(collector, interval=3600).run_test(size=size)


def lines(app):
    strips = app.screen._compositor.render_strips()
    assert len(strips) == app.size.height
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


async def settle(pilot):
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def shows(pilot, *texts):
    """Wait until all texts are on the screen."""
    for _ in range(100):
        screen = "\n".join(lines(pilot.app))
        if all(text in screen for text in texts):
            return
        await pilot.pause(0.02)
    pytest.fail(f"{texts} not in\n{screen}")


@pytest.mark.parametrize("size", [(80, 24), (132, 43), (60, 20)])
async def test_everything_is_on_one_screen(collector, size):
    async with running(collector, size) as pilot:
        await settle(pilot)
        await shows(pilot, "MQTT broker", "WebSocket", "sparkplug.data", "1,001", "190.5", "Refresh", "Quit")
        assert "DOWN: WebSocket" in lines(pilot.app)[0]


async def test_r_looks_again(collector):
    async with running(collector) as pilot:
        await settle(pilot)
        await pilot.press("r")
        await settle(pilot)
        assert collector.looks == 2
        await shows(pilot, "1,002")


async def test_m_shows_messages_of_the_topic_that_tab_chose(collector):
    async with running(collector) as pilot:
        await settle(pilot)
        await pilot.press("tab", "m")
        await settle(pilot)
        await shows(pilot, '"topic":"iot.telemetry.lwm2m.updates"', "offset 2")
        await pilot.press("down")
        await shows(pilot, "offset 1")
        await pilot.press("tab")
        await shows(pilot, '"topic":"iot.telemetry.sparkplug.data"')
        await pilot.press("m")
        await shows(pilot, "MQTT broker")


async def test_p_pauses_and_says_so(collector):
    async with running(collector) as pilot:
        await settle(pilot)
        await pilot.press("p")
        await pilot.pause()
        assert "PAUSED" in lines(pilot.app)[0]
        before = collector.looks
        pilot.app._tick()
        await settle(pilot)
        assert collector.looks == before
        await pilot.press("p")
        pilot.app._tick()
        await settle(pilot)
        assert collector.looks == before + 1


async def test_it_survives_everything_being_down_and_comes_back(collector):
    async with running(collector) as pilot:
        await settle(pilot)
        collector.down = True
        await pilot.press("r")
        await settle(pilot)
        await shows(pilot, "no answer on port 9092", "neither it nor Prometheus answers")
        await pilot.press("tab", "m", "r")
        await settle(pilot)
        collector.down = False
        await pilot.press("m", "r")
        await settle(pilot)
        await shows(pilot, "sparkplug.data")


async def test_q_quits(collector):
    async with running(collector) as pilot:
        await settle(pilot)
        await pilot.press("q")
        await pilot.pause()
        assert not pilot.app.is_running
