"""The heaviest message that the broker lets through costs no one but its sender anything.

Each service runs inside the memory that docker-compose.yml gives it. One device sends what costs most to
decode, in every shape that we know; another goes on sending ordinary messages, all of which must arrive.
"""

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException

import paho.mqtt.client as paho
import pytest
from kafka import KafkaConsumer, TopicPartition

import heaviest
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import BD_SEQ, Metric, Payload, decode_payload, encode_payload
from iiot.topics import SPARKPLUG_DATA
from limited_service import PACE, PATIENCE, Client, Limited, Ordinary, limited
from support import wait_until, yardstick

BLOCKED_SECONDS = 0.25
"""Longest block of an event loop, on a machine on which `yardstick` takes `YARDSTICK_SECONDS`."""
YARDSTICK_SECONDS = 0.35
GROUP = "IIoT"


@pytest.fixture(scope="module")
def slower() -> float:
    """How many times slower than a quiet machine this one is."""
    return max(1.0, yardstick(time.thread_time) / YARDSTICK_SECONDS)


def send_birth(client: Client) -> None:
    metrics = [Metric(BD_SEQ, 0, DataType.INT64), Metric("N", 0, DataType.INT64)]
    client.publish(f"spBv1.0/{GROUP}/NBIRTH/{client.name}", encode_payload(Payload(1, metrics, seq=0)))


def send_data(client: Client, number: int) -> None:
    payload = Payload(number, [Metric("N", number, DataType.INT64)], seq=number % 256)
    client.publish(f"spBv1.0/{GROUP}/NDATA/{client.name}", encode_payload(payload))


def send_value(client: Client, number: int) -> None:
    body = {"values": {"/3303/0/5700": number}, "seq": number, "timestamp": number}
    client.publish(f"lwm2m/{client.name}/send", json.dumps(body).encode())


def register(client: Client) -> None:
    body = {"endpoint": client.name, "lifetime": 3600, "version": "1.2", "objects": {"3303": {"0": {}}}}
    client.publish(f"lwm2m/{client.name}/reg", json.dumps(body).encode())


def hold(service: Limited, shapes: dict[str, bytes], send, ordinary: Ordinary, arrived, slower: float):
    """Send every shape; what the service did wrong, by shape."""
    wrong, blocked = [], service.metric("iiot_event_loop_longest_block_seconds")
    with service.watched(), ordinary:
        for name, payload in shapes.items():
            assert len(payload) <= heaviest.PACKET, name
            send(payload)
            after = ordinary.sent + 2
            wait_until(lambda after=after: arrived() >= after, f"after {name} others' messages", PATIENCE)
            now = service.metric("iiot_event_loop_longest_block_seconds")
            if now > max(blocked, BLOCKED_SECONDS * slower):
                wrong.append(f"{name}: the event loop was blocked for {now:.2f} s")
            blocked = max(blocked, now)
    wait_until(lambda: arrived() >= ordinary.sent, "every message of the other device", PATIENCE)
    assert arrived() == ordinary.sent
    assert service.unhealthy == []
    assert wrong == []


class KafkaCount:
    """How many different records with a key a topic has, read by a client that is not ours."""

    def __init__(self, brokers: str, topic: str, key: str):
        self._consumer = KafkaConsumer(bootstrap_servers=brokers, max_partition_fetch_bytes=8 * 1024**2)
        parts = [TopicPartition(topic, part) for part in self._consumer.partitions_for_topic(topic)]
        self._consumer.assign(parts)
        self._consumer.seek_to_beginning()
        self._key, self._numbers = key.encode(), set()

    def __call__(self) -> int:
        for records in self._consumer.poll(100).values():
            for record in records:
                if record.key == self._key:
                    self._numbers |= {
                        m["value"] for m in json.loads(record.value)["metrics"] if m["name"] == "N"
                    }
        return len(self._numbers - {0})

    def close(self):
        self._consumer.close()


@pytest.fixture
def clients(mosquitto, unique):
    """The sender of the heaviest messages, and an ordinary device."""
    made = [Client(mosquitto, unique(name)) for name in ("heavy", "ordinary")]
    yield made
    for client in made:
        client.close()


def test_the_bridge(mosquitto, kafka, tmp_path, clients, slower):
    heavy, other = clients
    settings = {"KAFKA_BROKERS": kafka, "STATE_FILE": str(tmp_path / "bridge.sqlite")}
    with limited("mqtt-redpanda-bridge", mosquitto, tmp_path, **settings) as service:
        send_birth(other)
        counted = KafkaCount(kafka, SPARKPLUG_DATA, other.name)
        topic = f"spBv1.0/{GROUP}/NDATA/{heavy.name}"
        try:
            for shapes, to in (
                (heaviest.SPARKPLUG, topic),
                (heaviest.LWM2M_JSON, f"lwm2m/{heavy.name}/send"),
                (heaviest.LWM2M_OMA, f"lwm2m/rd/{heavy.name}"),
            ):
                ordinary = Ordinary(other, send_data, counted())
                hold(
                    service,
                    shapes,
                    partial(heavy.publish, to),
                    ordinary,
                    counted,
                    slower,
                )
        finally:
            counted.close()


def test_the_sparkplug_host(mosquitto, tmp_path, clients, slower):
    heavy, other = clients
    with limited("sparkplug-host", mosquitto, tmp_path) as service:
        send_birth(other)

        def arrived():
            node = json.loads(service.get(f"/api/nodes/{other.name}")[1])
            assert node["gaps"] == 0
            return next(metric["value"] for metric in node["metrics"] if metric["name"] == "N")

        wait_until(lambda: arrived() == 0, "the ordinary node is born")
        for kind in ("NBIRTH", "NDATA"):
            ordinary = Ordinary(other, send_data, arrived())
            topic = f"spBv1.0/{GROUP}/{kind}/{heavy.name}"
            hold(
                service,
                heaviest.SPARKPLUG,
                partial(heavy.publish, topic),
                ordinary,
                arrived,
                slower,
            )


def test_the_lwm2m_server(mosquitto, tmp_path, clients, slower):
    heavy, other = clients
    with limited("lwm2m-server", mosquitto, tmp_path, DATABASE=str(tmp_path / "server.db")) as service:
        register(other)
        register(heavy)
        numbers, cursor = set(), 0

        def arrived():
            nonlocal cursor
            while events := json.loads(service.get(f"/api/events?after={cursor}&limit=500")[1])["events"]:
                cursor = events[-1]["id"]
                numbers.update(
                    e["data"]["seq"] for e in events if e["endpoint"] == other.name and e["type"] == "send"
                )
            return len(numbers)

        for shapes, to in (
            (heaviest.LWM2M_JSON, f"lwm2m/{heavy.name}/send"),
            (heaviest.LWM2M_JSON, f"lwm2m/{heavy.name}/reg"),
            (heaviest.LWM2M_OMA, f"lwm2m/rd/{heavy.name}"),
        ):
            ordinary = Ordinary(other, send_value, arrived())
            hold(service, shapes, partial(heavy.publish, to), ordinary, arrived, slower)


class Listener:
    """Counts what the plain listener tells of the Sparkplug data of all devices but one."""

    def __init__(self, broker):
        self.born: set[str] = set()
        self.heavy = ""
        self._numbers: dict[str, list[int]] = {}
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = self._message
        self._client.on_connect = lambda client, *_: client.subscribe(f"spBv1.0/{GROUP}/#", 1)
        self._client.connect("127.0.0.1", broker.plain_port)
        self._client.loop_start()

    def _message(self, _client, _userdata, message):
        kind, node = message.topic.split("/")[2:4]
        if kind == "NBIRTH":
            self.born.add(node)
        elif kind in ("NDATA", "DDATA"):
            self._numbers.setdefault(node, []).append(decode_payload(message.payload).seq)

    def __call__(self) -> int:
        """How many messages came from the other devices; none of them may be missing."""
        others = [numbers for node, numbers in self._numbers.items() if node != self.heavy]
        for numbers in others:
            assert all(after == (before + 1) % 256 for before, after in itertools.pairwise(numbers))
        return sum(map(len, others))

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


class Sending(Ordinary):
    """The simulator's other device, which sends on its own; what was sent is what arrived."""

    def __init__(self, arrived: Callable[[], int]):
        self._arrived = arrived

    @property
    def sent(self) -> int:
        return self._arrived()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_the_simulator(mosquitto, tmp_path, unique, slower):
    fleet = {
        "MQTT_PORT": str(mosquitto.tls_port),
        "DEVICE_COUNT": "2",
        "TELEMETRY_INTERVAL": str(PACE),
        "FLEET_ID": unique("f"),
    }
    settings = {
        **fleet,
        "STATE_DIR": str(tmp_path / "state"),
        "DEVICE_CA_DIR": str(mosquitto.certs / "device-ca"),
    }
    listener = Listener(mosquitto)
    servers = [Client(mosquitto, name) for name in ("lwm2m-server", "sparkplug-host")]
    try:
        with limited("device-simulator", mosquitto, tmp_path, **settings) as service:
            wait_until(lambda: len(listener.born) == 2 and listener() > 0, "the fleet is born", PATIENCE)
            heavy = listener.heavy = min(listener.born)
            for server, shapes, to in (
                (servers[0], heaviest.LWM2M_JSON, f"lwm2m/{heavy}/cmd/t1"),
                (servers[0], heaviest.LWM2M_OMA, f"lwm2m/rd/{heavy}"),
                (servers[1], heaviest.SPARKPLUG, f"spBv1.0/{GROUP}/NCMD/{heavy}"),
            ):
                hold(service, shapes, partial(server.publish, to), Sending(listener), listener, slower)
    finally:
        for client in (listener, *servers):
            client.close()


class Page:
    """A page of the console that shows a device's messages."""

    def __init__(self, service: Limited, device: str):
        self.numbers: set[int] = set()
        self._connection = HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
        self._connection.request("GET", f"/api/devices/{device}/messages")
        self._answer = self._connection.getresponse()
        self._thread = threading.Thread(target=self._read, name=f"page of {device}")
        self._thread.start()

    def _read(self) -> None:
        with suppress(OSError, HTTPException, ValueError):
            while line := self._answer.readline():
                if line.startswith(b"data: ["):
                    self._take(json.loads(line[6:]))

    def _take(self, messages: list[dict]) -> None:
        contents = [message["content"] for message in messages if isinstance(message["content"], dict)]
        shown = [metric for content in contents for metric in content.get("metrics", ())]
        self.numbers |= {metric["value"] for metric in shown if metric["name"] == "N" and metric["value"]}

    def __call__(self) -> int:
        return len(self.numbers)

    def close(self) -> None:
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()


def test_the_console(mosquitto, tmp_path, clients, slower):
    heavy, other = clients
    with limited("console", mosquitto, tmp_path) as service:
        pages = [Page(service, client.name) for client in (other, heavy)]
        try:
            for shapes, to in (
                (heaviest.SPARKPLUG, f"spBv1.0/{GROUP}/NDATA/{heavy.name}"),
                (heaviest.LWM2M_JSON, f"lwm2m/{heavy.name}/send"),
                (heaviest.LWM2M_OMA, f"lwm2m/rd/{heavy.name}"),
            ):
                ordinary = Ordinary(other, send_data, pages[0]())
                hold(service, shapes, partial(heavy.publish, to), ordinary, pages[0], slower)
        finally:
            for page in pages:
                page.close()
