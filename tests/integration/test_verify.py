import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web
from kafka import KafkaProducer

from iiot import topics
from iiot.errors import KafkaError
from iiot.kafka import TopicSpec, ensure_topics
from support import free_port
from testbed.verify.devices import SimulatorsError
from testbed.verify.paths import PATHS
from testbed.verify.window import NothingSentError, Plan, measure


class Fleet:
    """A simulator's `/api/ledger`, and its messages on every path into Kafka."""

    def __init__(self, producer, devices):
        self.producer = producer
        first = time.time_ns() // 1000
        self.streams = {(d, s): [first, first - 1] for d in devices for s in ("sparkplug", "lwm2m")}

    def ledger(self):
        return {
            "fleet": "",
            "streams": [
                {"device": d, "stream": s, "first": first, "last": last, "sent": last - first + 1}
                for (d, s), (first, last) in self.streams.items()
                if last >= first
            ],
        }

    def send(self, *, skip=(), twice=()):
        """One message of each stream; `skip` and `twice` name paths that lose or repeat it."""
        now = int(time.time() * 1000)
        for (device, stream), counter in self.streams.items():
            counter[1] += 1
            for path in PATHS:
                if path.stream == stream and path.name not in skip:
                    for _ in range(1 + (path.name in twice)):
                        self.produce(path, device, counter[1], now)

    def produce(self, path, device, number, now):
        topic = path.topics[number % len(path.topics)]
        self.producer.send(topic, key=device.encode(), value=orjson.dumps(record(topic, device, number, now)))

    async def run(self, seconds, **faults):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.send(**faults)
            await asyncio.sleep(0.02)


def record(topic, device, number, now):
    if topic == topics.SPARKPLUG_DATA:
        metrics = [{"name": "Ledger/Sequence", "type": "Int64", "value": number}]
        return {"edge_node": device, "message_type": "DDATA", "timestamp": now, "metrics": metrics}
    body = {"seq": number, "timestamp": now}
    if topic in (topics.LWM2M_HTTP, topics.LWM2M_WEBSOCKET):
        return {"id": number, "type": "send", "endpoint": device, "data": body}
    return {"endpoint": device, "operation": "send", "timestamp": now, "payload": body}


@pytest.fixture
async def brokers(kafka):
    await ensure_topics(kafka, [TopicSpec(name, 3) for name in topics.TELEMETRY])
    return kafka


@pytest.fixture
def fleet(brokers):
    producer = KafkaProducer(bootstrap_servers=brokers, linger_ms=5)
    yield Fleet(producer, ["device-temp-001", "device-air-002"])
    producer.close()


@asynccontextmanager
async def simulator(fleet):
    async def show(_):
        return web.json_response(fleet.ledger())

    app = web.Application()
    app.router.add_get("/api/ledger", show)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def plan(brokers, simulators, seconds=1.5, patience=1.0):
    return Plan(brokers, simulators, seconds, patience)


def ignore(_progress):
    pass


async def test_everything_arrived(brokers, fleet):
    fleet.send()
    async with simulator(fleet) as address:
        running = asyncio.create_task(fleet.run(4))
        verdict, seconds, problems = await measure(plan(brokers, address), ignore)
        await running
    assert (verdict.lost, verdict.duplicated, verdict.reordered, verdict.devices) == (0, 0, 0, 2)
    assert verdict.sent == verdict.delivered > 4 * 20
    assert all(path.sent == path.delivered == verdict.sent / 2 for path in verdict.paths.values())
    assert verdict.latency.quantile(0.99) < 1000
    assert 1.5 <= seconds < 4
    assert problems == []


async def test_what_one_path_loses_and_another_repeats_is_counted(brokers, fleet):
    async with simulator(fleet) as address:
        running = asyncio.create_task(measure(plan(brokers, address, seconds=2), ignore))
        await asyncio.sleep(1)
        for skip, twice in (((), ()), (("lwm2m.http",), ()), ((), ("sparkplug.data",)), ((), ())):
            fleet.send(skip=skip, twice=twice)
        verdict, _, _ = await running
    assert (verdict.sent, verdict.delivered, verdict.lost, verdict.duplicated) == (16, 14, 2, 2)
    assert (verdict.paths["lwm2m.http"].lost, verdict.paths["sparkplug.data"].duplicated) == (2, 2)
    assert {(m.path, m.last - m.first + 1) for m in verdict.missing} == {("lwm2m.http", 1)}


async def test_a_restarted_simulator_is_no_loss(brokers, fleet):
    async with simulator(fleet) as address:
        running = asyncio.create_task(measure(plan(brokers, address, seconds=4), ignore))
        await asyncio.sleep(1)
        fleet.send()
        await asyncio.sleep(1.2)  # so that the counters were asked for
        for counter in fleet.streams.values():
            first = time.time_ns() // 1000
            counter[:] = [first, first - 1]
        fleet.send()
        verdict, _, _ = await running
    assert (verdict.sent, verdict.lost) == (8, 0)


async def test_nobody_to_prove_it_to(brokers, fleet, monkeypatch):
    monkeypatch.setattr("testbed.verify.window.ASK_AGAIN_FOR", 0.2)
    monkeypatch.setattr("testbed.verify.source.ANSWER_TIMEOUT", 0.5)
    with pytest.raises(KafkaError, match=r"Kafka at 127\.0\.0\.1:\d+ does not answer"):
        await measure(plan(f"127.0.0.1:{free_port()}", "localhost:1"), ignore)
    with pytest.raises(SimulatorsError, match="/api/ledger"):
        await measure(plan(brokers, f"localhost:{free_port()}"), ignore)
    async with simulator(fleet) as address:
        with pytest.raises(NothingSentError, match="0 devices sent nothing"):
            await measure(plan(brokers, address, seconds=0.5), ignore)


async def verify_command(brokers, simulators, *arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "testbed",
        "verify",
        *arguments,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "KAFKA_BROKERS": brokers,
            "SIMULATORS": simulators,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 40)
    return process.returncode, out.decode(), err.decode()


async def test_the_command_prints_json_and_tells_by_its_status(brokers, fleet):
    async with simulator(fleet) as address:
        for faults, status in (({}, 0), ({"skip": ("lwm2m.websocket",)}, 1)):
            running = asyncio.create_task(fleet.run(12, **faults))
            found, out, err = await verify_command(brokers, address, "--json", "--seconds=1", "--patience=1")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert (found, err) == (status, "")
            report = json.loads(out)
            keys = {"sent", "delivered", "lost", "duplicated", "reordered", "latency_ms", "paths"}
            assert keys <= report.keys()
            assert (report["lost"] == 0) == (status == 0)
            assert report["paths"].keys() == {path.name for path in PATHS}
            assert report["latency_ms"].keys() == {"p50", "p99"}


async def test_the_command_explains_what_is_missing(brokers):
    nowhere = f"127.0.0.1:{free_port()}"
    status, out, err = await verify_command(nowhere, nowhere)
    assert (status, out) == (3, "")
    assert f"Kafka at {nowhere} does not answer" in err
    assert "./testbed up" in err
    status, _, err = await verify_command(brokers, "x")
    assert status == 2
    assert err.splitlines() == ["verify: SIMULATORS='x': must be host:port, or several with commas"]
