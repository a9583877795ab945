"""The simulator as a process on a real broker, watched by an independent MQTT client."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass

import paho.mqtt.client as paho
import pytest

from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, decode_payload, encode_payload
from support import free_port, wait_until

DOWNLINK = {"NCMD", "DCMD", "cmd", "ack"}


@dataclass
class Seen:
    """A message as the observer got it; `at` is its clock (monotonic s)."""

    at: float
    topic: str
    payload: bytes
    retain: bool

    @property
    def kind(self):
        return self.topic.split("/")[2]

    @property
    def values(self):
        return {metric.name: metric.value for metric in decode_payload(self.payload).metrics}

    @property
    def body(self):
        return json.loads(self.payload)


class Observer:
    """A paho client that sees everything, and speaks as host application and LwM2M server."""

    def __init__(self, broker):
        self.seen = []
        self._client = self._connect(broker.plain_port, None)
        self._client.on_message = self._keep
        self._client.subscribe("#", qos=1)
        self._host = self._connect(broker.tls_port, broker.identity("sparkplug-host"))
        self._server = self._connect(broker.tls_port, broker.identity("lwm2m-server"))

    def _connect(self, port, identity):
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        if identity:
            client.tls_set(identity.ca, identity.cert, identity.key)
        client.connect("localhost", port)
        client.loop_start()
        wait_until(client.is_connected, "observer connects")
        return client

    def _keep(self, _client, _userdata, message):
        self.seen.append(Seen(time.monotonic(), message.topic, message.payload, message.retain))

    def close(self):
        for client in (self._client, self._host, self._server):
            client.disconnect()
            client.loop_stop()

    def of(self, device, kind=None, since=0):
        """What a device sent, in order."""
        own = [m for m in self.seen[since:] if device in m.topic.split("/") and m.kind not in DOWNLINK]
        return [m for m in own if kind in (None, m.kind)]

    def wait(self, device, kind, count=1, since=0, seconds=15):
        return wait_until(
            lambda: len(found := self.of(device, kind, since)) >= count and found, f"{count} {kind}", seconds
        )

    def command_node(self, device, name, value, datatype):
        payload = encode_payload(Payload(1, [Metric(name, value, datatype)]), with_datatypes=False)
        self._host.publish(f"spBv1.0/IIoT/NCMD/{device}", payload).wait_for_publish(5)

    def command(self, device, token, **fields):
        since = len(self.seen)
        self._server.publish(f"lwm2m/{device}/cmd/{token}", json.dumps(fields), qos=1).wait_for_publish(5)
        (answer,) = [m for m in self.wait(device, "resp", since=since) if m.topic.endswith(f"/{token}")]
        return answer.body

    def acknowledge(self, device, kind, code):
        self._server.publish(
            f"lwm2m/{device}/ack/{kind}", json.dumps({"code": code}), qos=1
        ).wait_for_publish(5)


@dataclass
class Simulator:
    process: subprocess.Popen
    port: int

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return answer.read().decode()

    @property
    def ledger(self):
        return {(s["device"], s["stream"]): s for s in json.loads(self.get("/api/ledger"))["streams"]}

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0


@pytest.fixture
def observer(mosquitto):
    observer = Observer(mosquitto)
    yield observer
    observer.close()


@pytest.fixture
def start(mosquitto, tmp_path):
    @contextmanager
    def run(**settings):
        port = free_port()
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MQTT_PORT": str(mosquitto.tls_port),
            "DEVICE_CA_DIR": str(mosquitto.certs / "device-ca"),
            "STATE_DIR": str(tmp_path / "state"),
            "HTTP_PORT": str(port),
            "DEVICE_COUNT": "1",
        }
        log = (tmp_path / "simulator.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "device_simulator"], env=environment | settings, stdout=log, stderr=log
        )
        try:
            yield Simulator(process, port)
        finally:
            process.kill()
            process.wait()
            log.close()

    return run


def test_one_connection_carries_both_protocols_in_order(start, observer, unique):
    fleet = unique("f")
    device = f"device-temp-{fleet}-001"
    with start(FLEET_ID=fleet) as simulator:
        observer.wait(device, "send", 5)
        health = json.loads(simulator.get("/api/health"))
        assert (health["status"], health["active_devices"]) == ("healthy", 1)
        sent = f'simulator_messages_sent_total{{fleet="{fleet}",protocol="lwm2m",type="register"}} 1.0'
        assert sent in simulator.get("/metrics")
        simulator.stop()
    messages = observer.of(device)
    wait_until(lambda: observer.of(device)[-1].kind == "NDEATH", "the last word is NDEATH")
    assert [m.kind for m in messages[:3]] == ["NBIRTH", "DBIRTH", "reg"]
    assert not any(m.retain for m in messages)
    births = observer.of(device, "NBIRTH")
    deaths = observer.of(device, "NDEATH")
    assert {m.values["bdSeq"] for m in (*births, *deaths)} == {0}
    seqs = [decode_payload(m.payload).seq for m in messages if m.kind in ("NBIRTH", "DBIRTH", "DDATA")]
    assert seqs == [i % 256 for i in range(len(seqs))]
    last_lwm2m = [m.kind for m in messages if m.topic.startswith("lwm2m")][-1]
    assert last_lwm2m == "dereg"


def test_the_rates_are_those_of_the_settings_and_the_ledger_agrees(start, observer, unique):
    fleet = unique("f")
    device = f"device-temp-{fleet}-001"
    with start(FLEET_ID=fleet) as simulator:
        first = observer.wait(device, "DDATA")[0]
        observer.acknowledge(device, "reg", "2.01")
        # Messages late in a step are made up for, so counts follow the schedule on any machine.
        wait_until(lambda: time.monotonic() - first.at > 5, "five seconds", seconds=10)
        simulator.stop()
        wait_until(lambda: observer.of(device, "NDEATH"), "NDEATH")
    for kinds, interval in ((("DDATA",), 0.0105), (("send", "update"), 0.2)):
        found = [m for m in observer.of(device) if m.kind in kinds]
        stamps = [
            decode_payload(m.payload).timestamp if m.kind == "DDATA" else m.body["timestamp"] for m in found
        ]
        assert (len(found) - 1) * interval == pytest.approx((stamps[-1] - stamps[0]) / 1000, abs=0.25)
    sparkplug = [
        m.values["Ledger/Sequence"] for m in observer.of(device) if m.kind in ("NBIRTH", "DBIRTH", "DDATA")
    ]
    lwm2m = [m.body["seq"] for m in observer.of(device) if m.topic.startswith("lwm2m/")]
    for numbers in (sparkplug, lwm2m):
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_the_ledger_counts_what_arrives(start, observer, unique):
    fleet = unique("f")
    with start(FLEET_ID=fleet, DEVICE_COUNT="3", TELEMETRY_INTERVAL="0.02") as simulator:
        wait_until(lambda: sum(s["sent"] for s in simulator.ledger.values()) > 300, "300 messages")
        ledger = simulator.ledger
    assert {stream for _, stream in ledger} == {"sparkplug", "lwm2m"}
    assert len(ledger) == 6
    for (device, stream), entry in ledger.items():
        assert entry["sent"] == entry["last"] - entry["first"] + 1

        def last(device=device, stream=stream):
            own = observer.of(device)
            if stream == "lwm2m":
                return max(m.body["seq"] for m in own if m.topic.startswith("lwm2m/"))
            return max(m.values["Ledger/Sequence"] for m in own if m.kind in ("DBIRTH", "DDATA"))

        wait_until(lambda last=last, entry=entry: last() >= entry["last"], "the last one arrives")


def test_a_killed_fleet_leaves_its_will_and_comes_back_with_the_next_bdseq(start, observer, unique):
    fleet = unique("f")
    device = f"device-temp-{fleet}-001"
    with start(FLEET_ID=fleet) as simulator:
        observer.wait(device, "DDATA", 5)
        simulator.process.kill()
        (death,) = observer.wait(device, "NDEATH")
    assert death.values == {"bdSeq": 0}
    since = len(observer.seen)
    with start(FLEET_ID=fleet):
        (birth,) = observer.wait(device, "NBIRTH", since=since)
        assert birth.values["bdSeq"] == 1
        numbers = [m.values["Ledger/Sequence"] for m in observer.seen[:since] if m.kind == "DDATA"]
        observer.wait(device, "DDATA", since=since)
        assert observer.of(device, "DDATA", since)[0].values["Ledger/Sequence"] > max(numbers)


def test_a_rebirth_keeps_the_connection_and_restarts_seq(start, observer, unique):
    fleet = unique("f")
    device = f"device-temp-{fleet}-001"
    with start(FLEET_ID=fleet):
        observer.wait(device, "DDATA", 5)
        observer.command_node(device, "Node Control/Rebirth", True, DataType.BOOLEAN)
        births = observer.wait(device, "NBIRTH", 2)
        observer.wait(device, "DBIRTH", 2)
        observer.wait(device, "DDATA", 3, since=observer.seen.index(births[1]))
    assert [birth.values["bdSeq"] for birth in births] == [0, 0]
    after = [
        m for m in observer.of(device, since=observer.seen.index(births[1])) if m.topic.startswith("spB")
    ]
    assert [m.kind for m in after[:3]] == ["NBIRTH", "DBIRTH", "DDATA"]
    assert [decode_payload(m.payload).seq for m in after[:3]] == [0, 1, 2]
    assert not observer.of(device, "NDEATH")[:-1]


def test_commands_read_write_execute_and_a_reboot(start, observer, unique):
    fleet = unique("f")
    device = f"device-temp-{fleet}-001"
    with start(FLEET_ID=fleet):
        observer.wait(device, "send")
        read = observer.command(device, "t1", operation="read", path="/3/0/0")
        assert read == {"code": "2.05", "values": {"/3/0/0": "IoT Testing Corp"}}
        value = observer.command(device, "t2", operation="read", path="/3303/0/5700")["values"][
            "/3303/0/5700"
        ]
        telemetry = [m.values["Sensors/Temperature"] for m in observer.of(device, "DDATA")[-40:]]
        assert min(telemetry) - 0.5 <= value <= max(telemetry) + 0.5
        assert observer.command(device, "t3", operation="write", path="/1/0/1", value=99) == {"code": "2.04"}
        assert observer.wait(device, "update")[0].body["lifetime"] == 99
        assert observer.wait(device, "NDATA")[0].values["LwM2M/Lifetime"] == 99
        assert observer.command(device, "t4", operation="read", path="/3/0/77")["code"] == "4.04"

        since = len(observer.seen)
        assert observer.command(device, "t5", operation="execute", path="/3/0/4") == {"code": "2.04"}
        (birth,) = observer.wait(device, "NBIRTH", since=since)
        assert birth.values["bdSeq"] == 1
        assert observer.wait(device, "DBIRTH", since=since)[0].values["Device/Uptime"] == 0
        assert observer.wait(device, "reg", since=since)[0].body["lifetime"] == 99
        deaths = [m.values["bdSeq"] for m in observer.of(device, "NDEATH", since)]
        assert set(deaths) == {0}


def test_a_forgotten_device_registers_again(start, observer, unique):
    fleet = unique("f")
    device = f"device-temp-{fleet}-001"
    with start(FLEET_ID=fleet):
        observer.wait(device, "reg")
        observer.acknowledge(device, "reg", "2.01")
        observer.wait(device, "send", 3)
        observer.acknowledge(device, "send", "4.04")
        assert len(observer.wait(device, "reg", 2)) == 2


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_seed_repeats_the_values_from_the_first_message_on(start, observer, unique, version):
    fleet = unique("f")
    device = f"device-temp-{fleet}-001"
    runs = []
    for _ in range(2):
        since = len(observer.seen)
        with start(FLEET_ID=fleet, SEED="11", MQTT_VERSION=version) as simulator:
            observer.wait(device, "DDATA", 100, since=since)
            simulator.stop()
        runs.append([m.values["Sensors/Temperature"] for m in observer.of(device, "DDATA", since)[:100]])
    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 20


def test_wrong_settings_end_with_status_2_and_a_line_each(start, tmp_path):
    profile = tmp_path / "wrong.yaml"
    profile.write_text("devices:\n- kind: submarine\n  weight: 1\n")
    with start(PROFILE=str(profile)) as simulator:
        assert simulator.process.wait(10) == 2
    assert f"{profile}:2: devices.0.kind: got 'submarine'" in (tmp_path / "simulator.log").read_text()
