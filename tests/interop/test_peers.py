"""Independent implementations from PyPI, npm and Maven: they read our fleet, our host reads theirs."""

import json
import os
import subprocess
import sys
import time
import urllib.request

import paho.mqtt.client as paho
import pytest

from iiot.sparkplug.births import BirthCatalog
from iiot.sparkplug.lint.events import Publish, Vantage
from iiot.sparkplug.lint.linter import Linter
from iiot.sparkplug.payload import decode_payload
from iiot.sparkplug.topic import parse_topic
from support import free_port, wait_until

# They take the datatype of each value from its message alone, where data need not have it.
WITHOUT_MEMORY = ("mqtt-spb-wrapper", "sparkplug-client")
EDGES = ["pysparkplug", "mqtt-spb-wrapper", "sparkplug-client", "tahu"]

# What each of them does wrong today, and nothing else that the specification demands. Most of it is told
# by our own issue lists of these projects; an update of a lock that changes it shows here.
FAULTS = {
    "pysparkplug": {"ndeath-bdseq", "rebirth-metric-missing"},
    "mqtt-spb-wrapper": {
        "metric-not-in-birth",  # births have the prefix DATA/, data has not
        "ndeath-bdseq",
        "rebirth-metric-missing",
        "seq-missing",
        "timestamp-missing",
    },
    "sparkplug-client": {"bdseq-type", "metric-timestamp-missing"},
    "tahu": set(),
}

NEEDS = {
    # Its NDEATH carries the bdSeq of the session to come.
    "pysparkplug": {"BDSEQ_VALIDATION": "false"},
    # One seq over all connections of its process; its receiving thread ends at a rebirth request.
    "mqtt-spb-wrapper": {
        "BDSEQ_VALIDATION": "false",
        "REBIRTH_MODE": "observe",
        "REORDER_TIMEOUT": "0.2",
    },
    "sparkplug-client": {},
    "tahu": {},
}


class Observer:
    """A paho client that judges everything with the linter."""

    def __init__(self, port, group):
        self.linter = Linter(Vantage(retain_as_published=True, qos_as_published=True))
        self.messages = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = self._keep
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until(self._client.is_connected, "the observer connects")
        options = paho.SubscribeOptions(qos=1, retainAsPublished=True)
        self._client.subscribe(f"spBv1.0/{group}/#", options=options)

    def _keep(self, _client, _userdata, message):
        self.messages.append((message.topic, message.payload))
        now = time.time_ns() // 1_000_000
        self.linter.feed(Publish(now, message.topic, message.payload, message.qos, message.retain))

    def rules(self):
        return {finding.rule.key: finding for finding in self.linter.finish()}

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def observe(open_broker):
    observers = []

    def start(group):
        observers.append(Observer(open_broker, group))
        return observers[-1]

    yield start
    for observer in observers:
        observer.close()


@pytest.fixture
def service(open_broker, tmp_path):
    """Starts services of the testbed on the open broker; gives the HTTP port."""
    running = []

    def start(module, **settings):
        port = free_port()
        own = {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MQTT_HOST": "127.0.0.1",
            "MQTT_PORT": str(open_broker),
            "MQTT_TLS": "false",
            "HTTP_PORT": str(port),
        }
        with (tmp_path / f"{module}.log").open("ab") as log:
            command = [sys.executable, "-m", module]
            process = subprocess.Popen(command, env=os.environ | own | settings, stdout=log, stderr=log)
        running.append(process)

        def answers():
            assert process.poll() is None, (tmp_path / f"{module}.log").read_text()[-2000:]
            return get(port, "/api/health")["status"] == "healthy"

        wait_until(answers, module, 30)
        return port

    yield start
    for process in running:
        process.terminate()
        assert process.wait(10) == 0


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.load(answer)


def series(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split(" ")[1]) for line in lines if line.startswith(f"{name} "))


def put(port, path, value):
    body = json.dumps({"value": value}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body, method="PUT")
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - a fixed scheme
        return answer.status


def shown(port, node, device="pump"):
    """Values that the host shows for a device, by the metric's last level; without commands."""
    metrics = get(port, f"/api/nodes/{node}/devices/{device}")["metrics"]
    names = {metric["name"]: metric["value"] for metric in metrics if not metric["name"].startswith("CMD/")}
    return {name.rpartition("/")[2]: value for name, value in names.items()}


@pytest.mark.parametrize("name", EDGES)
def test_our_host_reads_their_edge_nodes(name, start_peer, service, observe, unique):
    group = unique("peers")
    observer = observe(group)
    own = {"SPARKPLUG_GROUP": group, "SPARKPLUG_HOST_ID": unique("host"), "REBIRTH_JITTER": "0"}
    port = service("sparkplug_host", **own, **NEEDS[name])
    peer = start_peer(name, "edge", group, "n1")

    def values():
        return shown(port, "n1")

    born = wait_until(lambda: values() if "Temperature" in values() else None, "the birth arrives", 20)
    assert (born["Temperature"], born["Count"], born["Name"], born["Flag"]) == (20.5, -87, "peer", True)
    if name != "mqtt-spb-wrapper":
        assert born["Small"] == -3
    peer.tell(set={"Temperature": -21.25, "Count": -100000})
    if "metric-not-in-birth" in FAULTS[name]:
        wait_until(lambda: series(port, "sparkplug_unknown_metrics_total") == 2, "unknown names are counted")
    else:
        wait_until(lambda: (values()["Temperature"], values()["Count"]) == (-21.25, -100000), "data arrives")
    metric = next(
        entry["name"]
        for entry in get(port, "/api/nodes/n1/devices/pump")["metrics"]
        if entry["name"].endswith("Count") and not entry["name"].startswith("DATA/")
    )
    assert put(port, f"/api/nodes/n1/devices/pump/metrics/{metric}", 7) == 202
    wait_until(lambda: commanded(peer, metric) == 7, "the command arrives, with its value", 15)
    peer.end()
    wait_until(lambda: not get(port, "/api/nodes/n1")["online"], "the death arrives", 15)
    assert {key for key, found in observer.rules().items() if found.rule.level == "must"} == FAULTS[name]


def commanded(peer, name):
    """The value that a peer read out of the latest command that named the metric."""
    values = [command["metrics"][name] for command in peer.heard("command") if name in command["metrics"]]
    return values[-1] if values else None


def metric_of(port, name):
    """A metric of the peer's device as the host shows it."""
    metrics = get(port, "/api/nodes/n1/devices/pump")["metrics"]
    return next(metric for metric in metrics if metric["name"] == name)


def test_quality_and_files_of_a_tahu_edge(start_peer, service, unique):
    group = unique("peers")
    port = service("sparkplug_host", SPARKPLUG_GROUP=group, SPARKPLUG_HOST_ID=unique("host"))
    peer = start_peer("tahu", "edge", group, "n1")
    wait_until(lambda: "Doubtful" in shown(port, "n1"), "the birth arrives", 20)
    assert metric_of(port, "Doubtful")["quality"] == "bad"
    assert metric_of(port, "Low")["value"] == -3
    described = metric_of(port, "Log")["metadata"]
    assert (described["file_name"], described["size"]) == ("hello.txt", 5)
    peer.tell(set={"Doubtful": 2.5})
    wait_until(lambda: metric_of(port, "Doubtful")["value"] == 2.5, "data arrives", 15)
    after = metric_of(port, "Doubtful")
    assert (after["quality"], after["properties"]["engUnit"]) == ("good", "bar")


def test_our_host_reads_compressed_payloads(start_peer, service, unique):
    group = unique("peers")
    port = service("sparkplug_host", SPARKPLUG_GROUP=group, SPARKPLUG_HOST_ID=unique("host"))
    peer = start_peer("sparkplug-client", "edge", group, "n1", "compress")
    wait_until(lambda: shown(port, "n1")["Temperature"] == 20.5, "the birth arrives", 20)
    peer.tell(set={"Temperature": -21.25})
    wait_until(lambda: shown(port, "n1")["Temperature"] == -21.25, "data arrives", 15)
    assert get(port, "/api/nodes/n1")["rebirth_requests"] == 0


@pytest.mark.parametrize("name", EDGES)
def test_they_read_our_fleet(name, start_peer, service, observe, unique, tmp_path):
    group = unique("fleet")
    observer = observe(group)
    reader = start_peer(name, "read", group, "reader")
    wait_until(lambda: reader.heard("ready"), "the reader is ready", 30)
    state = {"STATE_DIR": str(tmp_path / "state"), "FLEET_ID": "x"}
    pace = {"DEVICE_COUNT": "2", "TELEMETRY_INTERVAL": "0.1"}
    service("device_simulator", SPARKPLUG_GROUP=group, **state, **pace)
    wait_until(lambda: len(reader.heard("seen")) > 40, "the reader reads", 30)
    ours = decoded(observer.messages)
    kinds = {entry["topic"].split("/")[2] for entry in reader.heard("seen")}
    assert {"NBIRTH", "DBIRTH", "DDATA"} <= kinds
    compared = 0
    for entry in reader.heard("seen")[:40]:
        is_data = "DATA" in entry["topic"]
        for metric, value in entry["metrics"].items():
            if value is None and is_data and name in WITHOUT_MEMORY:
                continue
            expected = [content.get(metric) for topic, content in ours if topic == entry["topic"]]
            assert any(same(value, candidate) for candidate in expected), (entry["topic"], metric, value)
            compared += 1
    assert compared > 20
    assert observer.rules() == {}


def decoded(messages):
    catalog = BirthCatalog()
    found = []
    for name, data in messages:
        topic, payload = parse_topic(name), decode_payload(data)
        catalog.learn(topic, payload)
        catalog.resolve(topic, payload)
        found.append((name, {metric.name: metric.value for metric in payload.metrics}))
    return found


def same(theirs, ours):
    if isinstance(theirs, int | float) and isinstance(ours, int | float):
        return theirs == pytest.approx(ours)
    return theirs == ours
