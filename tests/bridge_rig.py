"""The bridge as a process, devices that number their messages, and a reader that is not ours."""

import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from kafka import KafkaConsumer, TopicPartition
from paho.mqtt.enums import CallbackAPIVersion

from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload
from iiot.topics import LWM2M_REGISTRATION, LWM2M_UPDATES, SPARKPLUG_DATA, dlq
from schema_check import check_record
from support import free_port, wait_until

TOPICS = (SPARKPLUG_DATA, LWM2M_REGISTRATION, LWM2M_UPDATES)
ALL_TOPICS = (*TOPICS, *map(dlq, TOPICS))
UNREAD_PUBACKS = 2000
"""Acknowledgements that a kill may take along with the connection."""


class Bridge:
    """`python -m mqtt_redpanda_bridge` with an environment of its own."""

    def __init__(self, mosquitto, kafka, log, **environment):
        self.http_port = free_port()
        self.log = log
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("/src")),
            **mosquitto.environment("mqtt-redpanda-bridge"),
            "KAFKA_BROKERS": kafka,
            "HTTP_PORT": str(self.http_port),
            "LOG_FORMAT": "json",
            "STATE_FILE": str(log.parent / "bridge.sqlite"),
            **environment,
        }
        self.process = None

    def start(self):
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", "mqtt_redpanda_bridge"]
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )

    def wait_healthy(self):
        wait_until(lambda: self.health()[0] == 200, f"bridge is healthy, log {self.log}", seconds=20)

    def health(self):
        """Status code and body of /api/health."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/api/health", timeout=2) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def metrics(self):
        """Values by metric name, summed over routes."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        values = Counter()
        for name, value in re.findall(r"^(bridge_\w+)(?:\{[^}]*\})? (\S+)$", text, re.MULTILINE):
            values[name] += float(value)
        return values

    def kill(self):
        self.process.kill()
        self.process.wait(5)

    def terminate(self):
        self.process.terminate()
        return self.process.wait(10)

    def end(self):
        """Terminate it, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.terminate()

    def resident_bytes(self):
        statm = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def ending(mosquitto, bridges):
    """End bridges with the block, and their session: it would fill up with all that other tests send."""
    try:
        yield bridges
    finally:
        for bridge in bridges:
            bridge.end()
        mosquitto.end_session("mqtt-redpanda-bridge")


@contextmanager
def stopped_bridge(mosquitto, kafka, directory, **environment):
    """A bridge that the block may start."""
    bridge = Bridge(mosquitto, kafka, directory / "bridge.log", **environment)
    with ending(mosquitto, [bridge]):
        yield bridge


@contextmanager
def running_bridge(mosquitto, kafka, directory, **environment):
    with stopped_bridge(mosquitto, kafka, directory, **environment) as bridge:
        bridge.start()
        bridge.wait_healthy()
        yield bridge


@contextmanager
def running_group(mosquitto, kafka, directory, count, **environment):
    """Bridges that know each other; which of them to start is up to the test."""
    ports = [free_port() for _ in range(count)]
    environment["PEERS"] = ",".join(f"127.0.0.1:{port}" for port in ports)
    bridges = [
        Bridge(mosquitto, kafka, directory / f"bridge-{number}.log", PEER_PORT=str(port), **environment)
        for number, port in enumerate(ports, 1)
    ]
    with ending(mosquitto, bridges):
        yield bridges


def wait_for_members(bridges, seconds=60):
    """Wait until these bridges, and no others, share the devices; the receiver among them."""

    def receiver():
        roles = [bridge.health()[1].get("group", {}) for bridge in bridges]
        found = [one for one, role in zip(bridges, roles, strict=True) if role.get("role") == "receiver"]
        assert len(found) == 1, roles
        told = found[0].health()[1]["group"]
        assert told["members"] == len(bridges), roles
        assert all(bridge.health()[0] == 200 for bridge in bridges), roles
        return found[0]

    return wait_until(receiver, f"{len(bridges)} bridges share the devices", seconds)


class Device:
    """An independent MQTT client with the certificate of a device; numbers what it sends."""

    def __init__(self, mosquitto, name):
        self.name = name
        self.sent = Counter()
        self._published = self._confirmed = 0
        identity = mosquitto.identity(name)
        self._client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
        self._client.tls_set(str(identity.ca), str(identity.cert), str(identity.key))
        self._client.max_inflight_messages_set(1000)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = self._on_publish
        self._client.connect(mosquitto.host, mosquitto.tls_port, clean_start=True)
        self._client.loop_start()
        wait_until(self._client.is_connected, f"{name} is connected")

    def publish(self, suffix, payload, qos=1):
        self._client.publish(suffix.format(name=self.name), payload, qos)
        self._published += 1

    def _on_publish(self, *_):
        self._confirmed += 1

    def send_lwm2m(self):
        self.sent["lwm2m"] += 1
        payload = {"values": {"/3303/0/5700": 23.5}, "seq": self.sent["lwm2m"], "timestamp": now()}
        self.publish("lwm2m/{name}/send", json.dumps(payload), qos=1)

    def send_sparkplug(self):
        self.sent["sparkplug"] += 1
        number, time_ms = self.sent["sparkplug"], now()
        metrics = [Metric("Ledger/Sequence", number, DataType.INT64, time_ms)]
        payload = encode_payload(Payload(time_ms, metrics, number % 256))
        self.publish("spBv1.0/IIoT/DDATA/{name}/asset", payload, qos=0)

    def wait_confirmed(self, seconds=15):
        """Wait until the broker has everything."""
        wait_until(
            lambda: self._confirmed == self._published, f"{self.name}: PUBACKs arrive", seconds=seconds
        )

    def close(self, seconds=15):
        """Wait until the broker has everything, and leave."""
        self.wait_confirmed(seconds)
        self._client.disconnect()
        self._client.loop_stop()


@dataclass
class Fleet:
    """Devices that send at a steady pace from one thread until the block ends."""

    devices: list
    rate: int
    qos1_only: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, name="fleet")
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join(10)
            for device in self.devices:
                device.close()

    def _run(self):
        started = time.monotonic()
        for count, device in enumerate(itertools.cycle(self.devices)):
            if self._stop.wait(max(0.0, started + count / self.rate - time.monotonic())):
                return
            if self.qos1_only or (count // len(self.devices)) % 2:
                device.send_lwm2m()
            else:
                device.send_sparkplug()

    def expected(self):
        """(device, stream) -> last number sent."""
        return {
            (device.name, stream): last for device in self.devices for stream, last in device.sent.items()
        }


class Reader:
    """Reads the bridge's Kafka topics with kafka-python, from where they ended when it was made."""

    def __init__(self, kafka, topics=ALL_TOPICS, *, from_the_start=False):
        self._consumer = KafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
        partitions = []
        for topic in topics:
            found = wait_until(
                lambda topic=topic: self._consumer.partitions_for_topic(topic), f"{topic} exists"
            )
            partitions += [TopicPartition(topic, number) for number in found]
        self._consumer.assign(partitions)
        for partition, offset in self._consumer.end_offsets(partitions).items():
            self._consumer.seek(partition, 0 if from_the_start else offset)
        self.records = []

    def read(self):
        for found in self._consumer.poll(timeout_ms=200).values():
            for record in found:
                check_record(record)
            self.records += found
        return self.records

    def wait_for(self, count, seconds=20):
        return wait_until(lambda: len(self.read()) >= count and self.records, f"{count} records", seconds, 0)

    def close(self):
        self._consumer.close()


@dataclass
class Verdict:
    """What became of numbered messages."""

    lost: int
    duplicated: int
    reordered: int


def most_repeats(kills, receive_maximum):
    """What may come twice after kills: what was in flight, and acknowledgements that the broker had not read.

    The latter die with the connection. With a backlog, Mosquitto 2.0.11 writes all of it before it reads on.
    """
    return kills * (receive_maximum + UNREAD_PUBACKS)


def judge(reader, expected, patience=90):
    """Count losses, repetitions and order violations per stream.

    Reads until every number has arrived, or none of them did for `patience` seconds.
    """
    streams, looked_at = {key: {} for key in expected}, 0
    verdict = Verdict(sum(expected.values()), 0, 0)
    deadline = time.monotonic() + patience
    while verdict.lost and time.monotonic() < deadline:
        for record in reader.read()[looked_at:]:
            looked_at += 1
            stream, number = number_of(record) or (None, 0)
            seen = streams.get((record.key.decode(), stream))
            if seen is None:
                continue
            if number in seen:
                verdict.duplicated += 1
                continue
            verdict.lost -= 1
            verdict.reordered += bool(seen) and number < next(reversed(seen))
            seen[number] = None
            deadline = time.monotonic() + patience
    return verdict


def number_of(record):
    """(stream, number) of a numbered message, None for others."""
    if record.topic.endswith(".dlq"):
        return None
    value = json.loads(record.value)
    if "payload" in value:
        return ("lwm2m", value["payload"]["seq"]) if "seq" in value["payload"] else None
    numbers = [m["value"] for m in value["metrics"] if m["name"] == "Ledger/Sequence"]
    return ("sparkplug", numbers[0]) if numbers else None


def now():
    return int(time.time() * 1000)
