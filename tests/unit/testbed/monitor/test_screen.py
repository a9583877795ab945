from datetime import UTC, datetime, timedelta

import orjson
import pytest

from iiot.kafka_reader import Record
from iiot.topics import LWM2M_UPDATES, SPARKPLUG_DATA, dlq
from testbed.monitor.alerts import AlertLine
from testbed.monitor.devices import DeviceLine, DeviceList
from testbed.monitor.model import Check, Figure, RouteLine, Snapshot, TopicLine
from testbed.monitor.panes import Overview
from testbed.monitor.screen import PANES, Monitor

NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
DEVICES = tuple(
    DeviceLine(f"device-{kind}-{number:03d}", "online", NOW - timedelta(seconds=20), "born", (1, 1), NOW)
    for kind in ("temp", "pressure")
    for number in range(1, 101)
)
ALERTS = [
    AlertLine(
        "PartDown", "firing", "critical", NOW - timedelta(minutes=5), "bridge does not answer", "Look."
    ),
    AlertLine("DeadLetters", "pending", "warning", NOW, "7 messages went", "Read them."),
]


class FakeCollector:
    """Snapshots as a test wants them."""

    def __init__(self):
        self.looks = 0
        self.down = False
        self.asked = []
        self.found_alerts = ALERTS

    async def snapshot(self):
        self.looks += 1
        if self.down:
            return Snapshot(NOW, (Check("Kafka", "down", "no answer on port 9092"),))
        return Snapshot(
            NOW,
            (
                Check("MQTT broker", "up", "answers in 1.0 ms", NOW - timedelta(hours=2)),
                Check("WebSocket", "down", "nobody is connected", NOW - timedelta(seconds=7)),
            ),
            (
                TopicLine(SPARKPLUG_DATA, 1000 + self.looks, 190.5, (100.0, 190.5), 5000),
                TopicLine(LWM2M_UPDATES, 50, 10.0, (10.0,), 50),
                TopicLine(dlq(LWM2M_UPDATES), 0, 0.0, (0.0,)),
            ),
            (RouteLine("sparkplug", 1000, 999, 0, 1, 190.5, 190.1, (100.0, 190.5)),),
            (Figure("bridges", "2"), Figure("queues lost", "1", worrying=True)),
        )

    async def newest(self, topics, limit):
        return [
            Record(
                topic,
                0,
                offset,
                NOW,
                b"device-temp-001" if offset == 2 else b"device-other",
                orjson.dumps({"topic": topic, "limit": limit}),
                (),
            )
            for topic in topics
            for offset in (2, 1)
        ]

    async def devices(self, name_part):
        self.asked.append(name_part)
        return DeviceList(DEVICES, 200, () if not self.down else ("LwM2M server does not answer",))

    async def alerts(self):
        return self.found_alerts


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


async def shows(pilot, *texts, without=()):
    """Wait until all texts are on the screen, and none of the others."""
    for _ in range(100):
        screen = "\n".join(lines(pilot.app))
        if all(text in screen for text in texts) and not any(text in screen for text in without):
            return
        await pilot.pause(0.02)
    pytest.fail(f"{texts} not in, or {without} in\n{screen}")


@pytest.mark.parametrize("size", [(80, 24), (132, 43), (200, 50), (60, 20)])
async def test_everything_is_on_one_screen(collector, size):
    async with running(collector, size) as pilot:
        await settle(pilot)
        await shows(pilot, "MQTT broker", "WebSocket", "sparkplug.data", "1,001", "190.5", "Refresh", "Quit")
        assert "DOWN: WebSocket" in lines(pilot.app)[0]


TABS = {
    1: ("MQTT broker", "bridge route"),
    2: ("answers in 1.0 ms", "2 h", "nobody is connected", "7 s"),
    3: ("sparkplug", "190.1", "queues lost"),
    4: ("ever written", "5,000"),
    5: ('"limit": 50', "offset 2"),
    6: ("200 of 200 devices", "device-temp-001"),
    7: ("1 firing", "PartDown", "bridge does not answer", "docs/runbooks.md#partdown"),
}


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
@pytest.mark.parametrize("number", TABS)
async def test_each_number_opens_its_tab(collector, size, number):
    async with running(collector, size) as pilot:
        await settle(pilot)
        await pilot.press(str(number))
        await settle(pilot)
        await shows(pilot, *TABS[number], f"{number} {PANES[number - 1].title}", "Quit")


async def test_arrows_go_round_the_tabs(collector):
    async with running(collector) as pilot:
        await settle(pilot)
        await pilot.press("left")
        await settle(pilot)
        await shows(pilot, "1 firing")
        await pilot.press("right", "right")
        await settle(pilot)
        await shows(pilot, "connection", "how it is")
        await pilot.press("escape")
        await shows(pilot, "bridge route")


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
        await pilot.press("tab", "tab", "m")
        await settle(pilot)
        await shows(pilot, '"topic":"iot.telemetry.lwm2m.updates"', "offset 2")
        await pilot.press("down")
        await shows(pilot, "offset 1")
        await pilot.press("tab")
        await settle(pilot)
        await shows(pilot, "sparkplug.data  {", "lwm2m.updates  {")
        await pilot.press("m")
        await shows(pilot, "MQTT broker")


async def test_enter_on_a_topic_shows_its_messages(collector):
    async with running(collector) as pilot:
        await settle(pilot)
        await pilot.press("down", "enter")
        await settle(pilot)
        await shows(
            pilot, '"topic":"iot.telemetry.lwm2m.updates"', without=('"iot.telemetry.sparkplug.data"',)
        )


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
        collector.down, collector.found_alerts = True, None
        await pilot.press("r")
        await settle(pilot)
        await shows(pilot, "no answer on port 9092", "neither it nor Prometheus answers", "- records/s")
        for number in range(1, 8):
            await pilot.press(str(number))
            await settle(pilot)
        await shows(pilot, "Prometheus does not answer, so nobody watches")
        await pilot.press("6", "tab", "m", "r")
        await settle(pilot)
        collector.down = False
        await pilot.press("1", "r")
        await settle(pilot)
        await shows(pilot, "sparkplug.data")


async def test_a_filter_is_typed_kept_and_left(collector):
    async with running(collector) as pilot:
        await settle(pilot)
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("slash", *"temp-00")
        await shows(pilot, "9 of 200 devices", "device-temp-009", without=("device-pressure",))
        await pilot.press("q")  # a letter like any other while typing
        await shows(pilot, "0 of 200 devices")
        await pilot.press("backspace", "enter")
        await settle(pilot)
        await shows(pilot, "FILTER: temp-00", "9 of 200 devices")
        await pilot.press("escape")
        await shows(pilot, "200 of 200 devices", without=("FILTER",))


async def test_the_filter_holds_for_every_tab(collector):
    async with running(collector) as pilot:
        await settle(pilot)
        await pilot.press("slash", *"updates", "enter")
        await settle(pilot)
        await shows(pilot, "lwm2m.updates", without=("sparkplug.data",))
        await pilot.press("5")
        await settle(pilot)
        await shows(pilot, "lwm2m.updates  {", without=("sparkplug.data  {",))
        await pilot.press("7")
        await settle(pilot)
        await shows(pilot, "1 firing", without=("PartDown",))


async def test_a_filtered_look_at_messages_reaches_further_back(collector):
    async with running(collector) as pilot:
        await settle(pilot)
        await pilot.press("slash", *"device:temp-001", "enter", "5")
        await settle(pilot)
        await shows(pilot, '"limit": 200', "device-temp-001", without=("device-other",))


async def test_enter_on_a_device_shows_what_it_says(collector):
    async with running(collector) as pilot:
        await settle(pilot)
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("slash", *"temp-001", "enter")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        await shows(pilot, "FILTER: device:device-temp-001", '"limit": 200', without=("device-other",))
        assert collector.asked[-1] == ""


async def test_the_cursor_stays_on_its_device_while_rows_come_and_go(collector):
    async with running(collector) as pilot:
        await settle(pilot)
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("down", "down")
        pane = pilot.app._panes[5]
        chosen = pane.query_one("#devices").chosen
        pane._found = DeviceList(DEVICES[1:], 199)
        pilot.app._show()
        await pilot.pause()
        assert pane.query_one("#devices").chosen == chosen == "device-temp-003"


async def test_q_quits(collector):
    async with running(collector) as pilot:
        await settle(pilot)
        await pilot.press("q")
        await pilot.pause()
        assert not pilot.app.is_running


def test_the_tabs_begin_with_the_overview():
    assert PANES[0] is Overview
    assert len({kind.title for kind in PANES}) == len(PANES) == len(TABS)
