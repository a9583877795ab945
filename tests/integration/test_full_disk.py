"""Disks that fill up under Kafka, Mosquitto and the LwM2M server, and have room again: nothing is lost."""

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from contextlib import closing

import pytest

from bridge_rig import Device, Fleet, Reader, judge, running_bridge
from lwm2m_rig import device, server_environment
from own_broker import Server, own_mosquitto
from own_kafka import own_kafka
from small_disk import SmallDisk
from support import free_port, wait_until
from testbed.engines.native.process import Command


@pytest.fixture
def disks(stack):
    """Makes small disks; those made are in the list `made`."""

    def make(directory, megabytes=48):
        disk = stack.enter_context(SmallDisk(directory, megabytes))
        make.made.append(disk)
        return disk

    make.made = []
    return make


def test_a_full_disk_under_kafka(mosquitto, stack, disks, tmp_path, unique):
    kafka, server = stack.enter_context(own_kafka(tmp_path / "kafka", disk=disks))
    bridge = stack.enter_context(running_bridge(mosquitto, kafka, tmp_path))
    with Fleet([Device(mosquitto, unique("device")) for _ in range(3)], rate=500) as fleet:
        wait_until(lambda: bridge.metrics()["bridge_delivered_total"] > 500, "load before")
        disks.made[0].fill()
        wait_until(lambda: bridge.health()[0] == 503, "the bridge cannot deliver", seconds=60)
        # Kafka without a directory that takes records ends itself; a supervisor would start it again.
        wait_until(lambda: not server.is_running(), "Kafka gives up", seconds=30)
        disks.made[0].free()
        server.start()
        wait_until(lambda: bridge.health()[0] == 200, "recovery", seconds=60)
    reader = Reader(kafka, from_the_start=True)
    stack.callback(reader.close)
    verdict = judge(reader, fleet.expected())
    assert (verdict.lost, verdict.reordered) == (0, 0)


def test_a_full_disk_under_mosquitto(kafka, stack, disks, tmp_path, unique):
    mosquitto, server = stack.enter_context(own_mosquitto(tmp_path / "mosquitto", disk=disks))
    disk = disks.made[0]
    snapshot, attempt = disk.path / "mosquitto.db", disk.path / "mosquitto.db.new"
    bridge = stack.enter_context(running_bridge(mosquitto, kafka, tmp_path))
    reader = Reader(kafka)
    stack.callback(reader.close)
    bridge.terminate()  # the broker queues for it
    name = unique("device")

    def queue():
        for _ in range(300):
            sender.send_lwm2m()
        sender.wait_confirmed()
        server.signal(signal.SIGUSR1)  # save now, not within 10 s

    with closing(Device(mosquitto, name)) as sender:
        queue()
        wait_until(lambda: snapshot.stat().st_size > 50_000, "a snapshot")
        disk.fill()
        before = snapshot.stat().st_size
        queue()
        wait_until(attempt.exists, "a snapshot was tried")
        assert snapshot.stat().st_size == before
        Device(mosquitto, unique("another")).close()  # it takes connections
        disk.free()
        server.signal(signal.SIGUSR1)
        wait_until(lambda: not attempt.exists() and snapshot.stat().st_size > before, "a snapshot")
        disk.fill()
        queue()
        wait_until(attempt.exists, "a snapshot was tried")
        server.stop(kill=True)
    server.start()  # the disk still full
    bridge.start()
    bridge.wait_healthy()
    verdict = judge(reader, {(name, "lwm2m"): 600})
    assert (verdict.lost, verdict.duplicated, verdict.reordered) == (0, 0, 0)
    # What came after the last snapshot is the price of a kill, as with room on the disk.
    assert bridge.metrics()["bridge_received_total"] == 600


def test_a_full_disk_under_the_lwm2m_server(mosquitto, stack, disks, tmp_path, unique):
    data, port = tmp_path / "data", free_port()
    data.mkdir()
    disk = disks(data, megabytes=8)
    environment = server_environment(mosquitto, data / "server.db") | {
        "HTTP_PORT": str(port),
        "MQTT_SESSION_EXPIRY": "60",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = Command((sys.executable, "-m", "lwm2m_server"), tmp_path, environment)
    server = Server(disk.command(command), tmp_path, [port])
    server.start()
    stack.callback(server.stop)
    wait_until(lambda: get(port, "/api/health")[0] == 200, "the server is up", seconds=30)
    with device(mosquitto, unique("device")) as sender:
        sender.register()
        numbers = iter(range(1000))

        def send(count):
            for number in (next(numbers) for _ in range(count)):
                sender.say("send", {"values": {"/3303/0/5700": 21.5}, "seq": number, "text": "x" * 2000})

        def arrived():
            _, page = get(port, "/api/events?limit=1000&after=0")
            mine = [event for event in page["events"] if event["endpoint"] == sender.name]
            return [event["data"]["seq"] for event in mine if event["type"] == "send"]

        send(50)
        wait_until(lambda: arrived() == list(range(50)), "the events before", seconds=30)
        disk.fill()
        send(200)
        wait_until(lambda: get(port, "/api/health")[0] == 503, "health tells", seconds=30)
        assert len(arrived()) < 250
        disk.free()
        wait_until(lambda: arrived() == list(range(250)), "all events, each once and in order", seconds=30)
        wait_until(lambda: get(port, "/api/health")[0] == 200, "health tells", seconds=30)


def get(port, path):
    """Status and JSON body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
