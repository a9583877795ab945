import asyncio
import os
import re
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from kafka import KafkaProducer

from iiot.kafka import TopicSpec, ensure_topics
from support import eventually, free_port
from testbed.monitor.collect import Collector
from testbed.monitor.places import find

DOWN = {
    "MQTT broker": "down",
    "Kafka": "down",
    "LwM2M server": "down",
    "Sparkplug host": "down",
    "Bridge": "down",
    "Simulators": "down",
    "Redpanda Connect": "down",
    "HTTP source": "down",
    "Bridge to MQTT": "unknown",
    "Bridge to Kafka": "unknown",
    "WebSocket": "down",
}
BRIDGE = """\
bridge_received_total{route="sparkplug"} %d
bridge_delivered_total{route="sparkplug"} %d
bridge_dead_lettered_total{route="sparkplug"} 1
bridge_in_flight{route="sparkplug"} 4
bridge_mqtt_connected 1
bridge_kafka_connected 0
"""


def places(**changes):
    """Where nothing answers, apart from what a test names."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    urls = ("lwm2m_server", "sparkplug_host", "bridge", "simulator", "connect", "prometheus")
    values = {f"{name}_url": nowhere for name in urls}
    values |= {"kafka_brokers": f"127.0.0.1:{free_port()}", "mqtt_port": free_port()}
    return find(0, {}).model_copy(update=values | changes)


@asynccontextmanager
async def part(**answers):
    """An HTTP server; names are paths with __ for /, values functions that return (status, body)."""
    app = web.Application()
    for name, answer in answers.items():

        async def handle(request, answer=answer):
            status, body = answer(request)
            if isinstance(body, str):
                return web.Response(text=body, status=status)
            return web.json_response(body, status=status)

        app.router.add_get("/" + name.replace("__", "/"), handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def healthy(**details):
    return lambda _: (200, {"status": "healthy", "timestamp": "2026-11-24T07:00:00", **details})


def states(snapshot):
    return {check.name: check.state for check in snapshot.checks}


def detail(snapshot, name):
    return next(check.detail for check in snapshot.checks if check.name == name)


async def test_with_nothing_there_everything_is_down_and_nothing_raises():
    async with Collector(places()) as collector:
        snapshot = await collector.snapshot()
        assert states(snapshot) == DOWN
        assert (snapshot.topics, snapshot.routes, snapshot.rate) == ((), (), None)
        assert re.fullmatch(r"no answer on port \d+", detail(snapshot, "Kafka"))
        assert await collector.newest(["t"], 5) == []


async def test_parts_that_answer_are_shown_with_what_they_say(mosquitto):
    sent = iter(range(1000, 5000, 100))

    def figures(_):
        value = next(sent)
        return 200, BRIDGE % (value, value - 4)

    def websocket(_):
        return 200, "lwm2m_ws_clients 1\n"

    def sick(_):
        return 503, {"status": "unhealthy", "mqtt_connected": False, "active_devices": 0}

    async with (
        part(api__health=healthy(active_devices=5), metrics=websocket) as server,
        part(api__health=sick) as host,
        part(
            api__health=healthy(kafka={"connected": True, "detail": "connected"}), metrics=figures
        ) as bridge,
        part(api__health=lambda _: (200, "not JSON")) as simulator,
        Collector(
            places(
                lwm2m_server_url=server,
                sparkplug_host_url=host,
                bridge_url=bridge,
                simulator_url=simulator,
                mqtt_port=mosquitto.plain_port,
            )
        ) as collector,
    ):
        await collector.snapshot()
        await asyncio.sleep(0.2)
        snapshot = await collector.snapshot()
    assert {name: state for name, state in states(snapshot).items() if state != DOWN[name]} == {
        "MQTT broker": "up",
        "LwM2M server": "up",
        "Bridge": "up",
        "Bridge to MQTT": "up",
        "Bridge to Kafka": "down",
        "WebSocket": "up",
    }
    assert detail(snapshot, "LwM2M server") == "5 active devices"
    assert detail(snapshot, "Sparkplug host") == "unhealthy, not mqtt connected, 0 active devices"
    assert detail(snapshot, "Bridge") == "kafka connected"
    assert detail(snapshot, "Bridge to Kafka") == "0 of 1 bridges connected"
    [route] = snapshot.routes
    assert (route.received, route.delivered, route.dead_lettered, route.in_flight) == (1100, 1096, 1, 4)
    assert 0 < route.received_rate < 1000


async def test_scaled_parts_are_seen_through_prometheus():
    samples = {
        'up{job="mqtt-redpanda-bridge"} == 1': [({}, 1), ({}, 1)],
        'up{job="mqtt-redpanda-bridge"}': [({}, 1), ({}, 1), ({}, 0)],
        'up{job="device-simulator"}': [({}, 1)] * 5,
        '{job="mqtt-redpanda-bridge",__name__=~"bridge_.+"}': [
            ({"__name__": "bridge_received_total", "route": "sparkplug", "instance": "a"}, 10),
            ({"__name__": "bridge_received_total", "route": "sparkplug", "instance": "b"}, 5),
            ({"__name__": "bridge_mqtt_connected", "instance": "a"}, 1),
            ({"__name__": "bridge_mqtt_connected", "instance": "b"}, 1),
        ],
        "sum by (route) (rate(bridge_received_total[20s]))": [({"route": "sparkplug"}, 190.5)],
    }

    def query(request):
        found = samples.get(request.query["query"], [])
        result = [{"metric": labels, "value": [0, str(value)]} for labels, value in found]
        return 200, {"data": {"resultType": "vector", "result": result}}

    async with (
        part(api__v1__query=query) as prometheus,
        Collector(places(prometheus_url=prometheus)) as collector,
    ):
        snapshot = await collector.snapshot()
    assert detail(snapshot, "Bridge") == "2 of 3 answer Prometheus"
    assert detail(snapshot, "Simulators") == "5 of 5 answer Prometheus"
    assert detail(snapshot, "Bridge to MQTT") == "2 bridges connected"
    assert (states(snapshot)["Bridge"], states(snapshot)["Simulators"]) == ("down", "up")
    [route] = snapshot.routes
    assert (route.received, route.received_rate, route.delivered_rate) == (15, 190.5, None)


@pytest.mark.parametrize(
    ("ready", "status", "engine", "source"),
    [
        (
            (200, {"statuses": [{"label": "poll", "connected": True}]}),
            {"connector": {"state": "RUNNING"}, "tasks": [{"id": 0, "state": "RUNNING"}]},
            ("up", "ready"),
            ("up", "running"),
        ),
        (
            (503, {"statuses": [{"path": "root.output", "connected": False, "error": "refused"}]}),
            {"connector": {"state": "RUNNING"}, "tasks": [{"id": 0, "state": "FAILED", "trace": "stuck"}]},
            ("down", "root.output: refused"),
            ("down", "stuck"),
        ),
        ((200, "OK"), {}, ("down", None), ("down", None)),
    ],
)
async def test_connect_and_its_source(ready, status, engine, source):
    answers = {
        "ready": lambda _: ready,
        "connectors__lwm2m-http-source__status": lambda _: (200, status),
    }
    async with part(**answers) as connect, Collector(places(connect_url=connect)) as collector:
        snapshot = await collector.snapshot()
    for name, (state, text) in (("Redpanda Connect", engine), ("HTTP source", source)):
        assert states(snapshot)[name] == state
        assert text is None or detail(snapshot, name) == text


async def test_counts_rates_and_newest_records_are_those_of_kafka(kafka, unique):
    name, empty = unique("watched"), unique("empty")
    # Times of our own, since Kafka may stamp records of several partitions within one millisecond.
    own_times = {"message.timestamp.type": "CreateTime"}
    await ensure_topics(kafka, [TopicSpec(name, 3, own_times), TopicSpec(empty, 1)])
    producer = KafkaProducer(bootstrap_servers=kafka)
    begun = int(time.time() * 1000)
    async with Collector(places(kafka_brokers=kafka)) as collector:

        async def looked():
            return name in {topic.name for topic in (await collector.snapshot()).topics}

        await eventually(looked, "a first look, which a rate needs")
        for number in range(30):
            headers = [("ce_id", b"%d" % number)]
            sent = producer.send(name, b"%d" % number, b"device", headers, number % 3, begun + number)
            await asyncio.to_thread(sent.get, 5)
        snapshot = await collector.snapshot()
        lines = {topic.name: topic for topic in snapshot.topics}
        assert (lines[name].records, lines[empty].records) == (30, 0)
        assert lines[name].rate > 0
        assert not any(topic.name.startswith("_") for topic in snapshot.topics)
        for _ in range(2):
            records = await collector.newest([name, empty], 5)
            assert [record.value for record in records[:5]] == [b"29", b"28", b"27", b"26", b"25"]
        assert (records[0].key, records[0].headers) == (b"device", (("ce_id", b"29"),))
        assert await collector.newest([empty], 5) == []
        assert await collector.newest([unique("absent")], 5) == []
        assert await collector.newest([], 5) == []
    producer.close()


def monitor_once(tmp_path, **environment):
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        (sys.executable, "-m", "testbed", "monitor", "--once"),
        env={**os.environ, "PYTHONPATH": path, "TESTBED_STATE": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_command_prints_what_is_down_and_no_traceback(tmp_path):
    result = monitor_once(tmp_path, TESTBED_PORT_OFFSET="51000")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"down +Kafka +no answer on port 60092", result.stdout)


def test_a_bad_place_is_named(tmp_path):
    result = monitor_once(tmp_path, MQTT_PORT="mqtt")
    assert result.returncode == 2
    assert result.stderr.startswith("monitor: MQTT_PORT='mqtt': ")
