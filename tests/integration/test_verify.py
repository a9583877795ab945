import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import asynccontextmanager, suppress
from xml.etree import ElementTree

import orjson
import pytest
from aiohttp import web
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from iiot import topics
from iiot.errors import KafkaError
from iiot.kafka import TopicSpec, ensure_topics
from support import free_port
from testbed.verify.devices import SimulatorsError
from testbed.verify.paths import PATHS
from testbed.verify.stop import Stop
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

    def send(self, *, skip=(), twice=(), swap=None):
        """One message of each stream; `skip` and `twice` name paths that lose or repeat it.

        With `swap` two messages, the later first on this path.
        """
        now = int(time.time() * 1000)
        if swap:
            for (device, stream), counter in self.streams.items():
                counter[1] += 2
                for path in PATHS:
                    if path.stream == stream:
                        earlier, later = (counter[1] - 1, counter[1])
                        for number in (later, earlier) if path.name == swap else (earlier, later):
                            self.produce(path, device, number, now, topic=path.topics[0])
            return
        for (device, stream), counter in self.streams.items():
            counter[1] += 1
            for path in PATHS:
                if path.stream == stream and path.name not in skip:
                    for _ in range(1 + (path.name in twice)):
                        self.produce(path, device, counter[1], now)

    def produce(self, path, device, number, now, topic=None):
        topic = topic or path.topics[number % len(path.topics)]
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


@asynccontextmanager
async def sending(fleet, **faults):
    running = asyncio.create_task(fleet.run(180, **faults))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def plan(brokers, simulators, seconds=1.5, patience=1.0):
    return Plan(brokers, simulators, seconds, patience)


def ignore(_progress):
    pass


async def test_everything_arrived(brokers, fleet):
    fleet.send()
    async with simulator(fleet) as address:
        running = asyncio.create_task(fleet.run(4))
        verdict, seconds, problems, _ = await measure(plan(brokers, address), ignore)
        await running
    assert (verdict.lost, verdict.duplicated, verdict.reordered, verdict.devices) == (0, 0, 0, 2)
    assert verdict.sent == verdict.delivered > 4 * 20
    assert all(path.sent == path.delivered == verdict.sent / 2 for path in verdict.paths.values())
    assert verdict.latency.quantile(0.99) < 1000
    assert 1.5 <= seconds < 4
    assert problems == []


async def test_ended_by_hand_it_waits_for_what_is_on_its_way_and_says_so(brokers, fleet):
    stop = Stop()
    async with simulator(fleet) as address, sending(fleet):
        running = asyncio.create_task(measure(plan(brokers, address, seconds=600), ignore, stop))
        await asyncio.sleep(2)
        stop.asked.set()
        verdict, seconds, problems, _ = await asyncio.wait_for(running, 60)
    assert verdict.sent == verdict.delivered > 0
    assert seconds < 600
    assert problems == [f"ended by hand after {seconds:.0f} of 600 s"]


@pytest.fixture
def independent(brokers):
    """Numbers by path and device in the order of the topics, read with kafka-python from now on."""
    consumer = KafkaConsumer(bootstrap_servers=brokers)
    partitions = [
        TopicPartition(topic, number)
        for topic in topics.TELEMETRY
        for number in consumer.partitions_for_topic(topic)
    ]
    consumer.assign(partitions)
    starts = {partition: consumer.position(partition) for partition in partitions}

    def numbers():
        found = defaultdict(list)
        for partition, start in starts.items():
            consumer.seek(partition, start)
        while batches := consumer.poll(timeout_ms=500):
            for record in (record for records in batches.values() for record in records):
                entry = orjson.loads(record.value)
                path = next(path.name for path in PATHS if record.topic in path.topics)
                body = (
                    entry.get("payload")
                    or entry.get("data")
                    or {"seq": entry.get("metrics", [{}])[0].get("value")}
                )
                found[path, record.key.decode()].append(body["seq"])
        return found

    yield numbers
    consumer.close()


@pytest.mark.parametrize("path", [path.name for path in PATHS])
async def test_what_each_path_loses_repeats_and_swaps_is_counted(brokers, fleet, independent, path):
    async with simulator(fleet) as address:
        running = asyncio.create_task(measure(plan(brokers, address, seconds=2), ignore))
        await asyncio.sleep(1)
        for faults in ({}, {"skip": (path,)}, {"twice": (path,)}, {"swap": path}, {}):
            fleet.send(**faults)
        verdict, _, _, course = await running
    counted = await asyncio.to_thread(independent)
    for name, totals in verdict.paths.items():
        lists = [numbers for (at, _), numbers in counted.items() if at == name]
        assert totals.delivered == sum(len(set(numbers)) for numbers in lists)
        assert totals.duplicated == sum(len(numbers) - len(set(numbers)) for numbers in lists)
        assert totals.lost == 12 - totals.delivered
    found = {n: (p.lost, p.duplicated, p.reordered) for n, p in verdict.paths.items()}
    assert found == {p.name: (2, 2, 2) if p.name == path else (0, 0, 0) for p in PATHS}
    assert (verdict.sent, verdict.delivered) == (24, 22)
    assert {(m.path, m.last - m.first + 1) for m in verdict.missing} == {(path, 1)}
    assert course[-1].missing == {p.name: 2 * (p.name == path) for p in PATHS}


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
        verdict, *_ = await running
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


@asynccontextmanager
async def verify_process(brokers, simulators, *arguments):
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
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def verify_command(brokers, simulators, *arguments):
    async with verify_process(brokers, simulators, *arguments) as process:
        out, err = await asyncio.wait_for(process.communicate(), 90)
        return process.returncode, out.decode(), err.decode()


async def test_the_command_prints_json_and_tells_by_its_status(brokers, fleet):
    async with simulator(fleet) as address:
        for faults, status in (({}, 0), ({"skip": ("lwm2m.websocket",)}, 1)):
            async with sending(fleet, **faults):
                found, out, err = await verify_command(
                    brokers, address, "--json", "--seconds=1", "--patience=1"
                )
            assert (found, err) == (status, "")
            report = json.loads(out)
            keys = {"sent", "delivered", "lost", "duplicated", "reordered", "latency_ms", "paths"}
            assert keys <= report.keys()
            assert (report["lost"] == 0) == (status == 0)
            assert report["paths"].keys() == {path.name for path in PATHS}
            assert report["latency_ms"].keys() == {"p50", "p99"}


async def test_watching_shows_a_loss_when_it_is_one_and_ends_on_a_signal(brokers, fleet, tmp_path):
    plot = tmp_path / "plot.svg"
    options = ("--watch", "--json", "--every=0.5", "--patience=2", f"--plot-file={plot}")
    async with (
        simulator(fleet) as address,
        sending(fleet),
        verify_process(brokers, address, *options) as process,
    ):
        looks = [await next_look(process)]
        fleet.send(skip=("lwm2m.http",))
        while not looks[-1]["lost"]:
            looks.append(await next_look(process))
        process.send_signal(signal.SIGINT)
        out, _ = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 1
    on_the_way = [look["paths"]["lwm2m.http"]["on_the_way"] for look in looks]
    assert max(on_the_way) >= 2, "first it is on its way"
    assert looks[-1]["paths"]["lwm2m.http"]["lost"] == looks[-1]["lost"] == 2
    assert all(look["sent"] >= look["delivered"] + look["lost"] for look in looks)
    final = orjson.loads(out.splitlines()[-1])
    assert final["final"] is True
    assert (final["lost"], final["duplicated"], final["reordered"]) == (2, 0, 0)
    assert {(m["path"], m["last"] - m["first"]) for m in final["missing"]} == {("lwm2m.http", 0)}
    assert ElementTree.parse(plot).getroot().tag.endswith("svg")  # noqa: S314 - our own


async def test_watching_for_a_while_as_lines(brokers, fleet):
    options = ("--watch", "--seconds=2", "--every=0.5", "--patience=5")
    async with simulator(fleet) as address, sending(fleet):
        status, out, err = await verify_command(brokers, address, *options)
    assert (status, err) == (0, "")
    lines = [line for line in out.splitlines() if "messages/s  sent" in line]
    assert len(lines) >= 2
    assert all("2 devices" in line and "lost 0" in line for line in lines)
    assert "messages arrived on every path" in out


async def next_look(process):
    return orjson.loads(await asyncio.wait_for(process.stdout.readline(), 90))


async def test_the_command_explains_what_is_missing(brokers):
    nowhere = f"127.0.0.1:{free_port()}"
    status, out, err = await verify_command(nowhere, nowhere)
    assert (status, out) == (3, "")
    assert f"Kafka at {nowhere} does not answer" in err
    assert "./testbed up" in err
    status, _, err = await verify_command(brokers, "x")
    assert status == 2
    assert err.splitlines() == ["verify: SIMULATORS='x': must be host:port, or several with commas"]
