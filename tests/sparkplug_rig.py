"""Simulators and hosts as processes on real brokers, also with wrong clocks, watched from outside.

The brokers are open ones: on the testbed's own the host's certificate allows one connection only.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import paho.mqtt.client as paho

from iiot.sparkplug.payload import Payload, decode_payload, encode_payload
from support import free_port, wait_until

_WITH_CLOCK = """
import runpy, sys, time
from pathlib import Path

file, module = Path(sys.argv[1]), sys.argv[2]
right, right_ns = time.time, time.time_ns


def wrong():
    return float(file.read_text() or 0)


time.time = lambda: right() + wrong()
time.time_ns = lambda: right_ns() + int(wrong() * 1e9)
sys.argv = [module]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
PROTOCOLS = {"5": paho.MQTTv5, "3.1.1": paho.MQTTv311}


def patiently(probe, what):
    """Wait for what takes seconds, or much longer where machines that run the tests are shared."""
    return wait_until(probe, what, seconds=60)


class Clock:
    """The clock of a process, which may be set while it runs: s by which it is wrong."""

    def __init__(self, directory: Path, name: str, wrong: float = 0.0):
        self.file = directory / f"clock-{name}"
        self.set(wrong)

    def set(self, wrong: float) -> None:
        beside = self.file.with_suffix(".new")
        beside.write_text(str(wrong))
        beside.replace(self.file)


@dataclass
class Service:
    """A running service of the testbed."""

    process: subprocess.Popen[bytes]
    port: int

    def request(self, path, method="GET", body=None):
        """Status and answer of the REST API."""
        status, answer = self._ask(path, method, None if body is None else json.dumps(body))
        return status, json.loads(answer)

    def get(self, path):
        return self.request(path)[1]

    def metric(self, name):
        """The value of a series without labels of its own."""
        lines = self._ask("/metrics")[1].decode().splitlines()
        (line,) = [line for line in lines if line.partition("{")[0].partition(" ")[0] == name]
        return float(line.split()[-1])

    def _ask(self, path, method="GET", body=None):
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def stop(self, *, kill=False):
        if kill:
            self.process.kill()
            self.process.wait()
        else:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(20) == 0


@contextmanager
def running(module, broker, directory, *, clock=None, **settings):
    """A service on an open broker; it is killed at the end where a test did not stop it."""
    port = free_port()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MQTT_HOST": "127.0.0.1",
        "MQTT_PORT": str(broker.plain_port),
        "MQTT_TLS": "false",
        "HTTP_PORT": str(port),
    }
    command = [sys.executable, "-m", module]
    if clock is not None:
        command = [sys.executable, "-c", _WITH_CLOCK, str(clock.file), module]
    log = directory / f"{module}-{port}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environment | settings, stdout=output, stderr=output)
    service = Service(process, port)

    def answers():
        assert process.poll() is None, log.read_text()[-2000:]
        return service.get("/api/health")

    try:
        patiently(answers, module)
        yield service
    finally:
        process.kill()
        process.wait()


def running_host(broker, directory, **settings):
    """The Sparkplug host."""
    return running("sparkplug_host", broker, directory, **settings)


def running_simulator(broker, directory, **settings):
    """A fleet, of one device where a test does not say otherwise."""
    defaults = {"DEVICE_COUNT": "1", "TELEMETRY_INTERVAL": "0.05", "STATE_DIR": str(directory / "state")}
    return running("device_simulator", broker, directory, **defaults | settings)


class Lint:
    """A running `sparkplug-lint`; it has subscribed."""

    def __init__(self, process: subprocess.Popen[str]):
        self._process = process

    def end(self):
        """Interrupt it; exit status and report."""
        self._process.send_signal(signal.SIGINT)
        output, _ = self._process.communicate(timeout=60)
        assert output.startswith("{"), output
        return self._process.returncode, json.loads(output)


@contextmanager
def linting(recording, *arguments):
    """`sparkplug-lint` with these arguments, which keeps what it sees in `recording`, until it is ended."""
    words = ("--seconds", "600", "--json", "--record", str(recording), *map(str, arguments))
    process = subprocess.Popen(
        [sys.executable, "-m", "testbed", "sparkplug-lint", *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            patiently(lambda: process.poll() is None and recording.stat().st_size, "the linter watches")
            yield Lint(process)
        finally:
            process.kill()


def findings(report):
    """Rules that were broken, each with the edge node, device, host or client that did."""
    units = [
        *((node["edge_node"], node) for node in report["edge_nodes"]),
        *((node["edge_node"], device) for node in report["edge_nodes"] for device in node["devices"]),
        *((host["host"], host) for host in report["hosts"]),
        *((client["client"] or "", client) for client in report["clients"]),
        *(("", other) for other in report["others"]),
    ]
    return {(name, finding["rule"]) for name, unit in units for finding in unit["findings"]}


@dataclass
class Seen:
    """A message on the broker."""

    topic: str
    payload: bytes
    retain: bool

    @property
    def verb(self):
        return self.topic.split("/")[2]

    @property
    def content(self):
        return decode_payload(self.payload)

    @property
    def values(self):
        return {metric.name: metric.value for metric in self.content.metrics}

    @property
    def state(self):
        return json.loads(self.payload)


class Watcher:
    """A paho client that keeps what one group and one host say, and may speak as a host application."""

    def __init__(self, broker, group, host_id="none", version="5"):
        self.seen: list[Seen] = []
        self._group, self._state = group, f"spBv1.0/STATE/{host_id}"
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=PROTOCOLS[version])
        self._client.on_message = self._keep
        # At each connect, for a broker may be killed.
        filters = [(f"spBv1.0/{group}/#", 1), (self._state, 1), ("lwm2m/+/resp/+", 1)]
        self._client.on_connect = lambda *_: self._client.subscribe(filters)
        self._client.on_subscribe = lambda *_: self._set_connected(True)
        self._client.on_disconnect = lambda *_: self._set_connected(False)
        self._client.reconnect_delay_set(1, 1)
        self.is_connected = False
        self._client.connect("127.0.0.1", broker.plain_port)
        self._client.loop_start()
        patiently(lambda: self.is_connected, "the watcher subscribes")

    def _set_connected(self, connected):
        self.is_connected = connected

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()

    def _keep(self, _client, _userdata, message):
        self.seen.append(Seen(message.topic, message.payload, message.retain))

    def of(self, verb, since=0):
        return [message for message in self.seen[since:] if message.verb == verb]

    def states(self, since=0):
        return [message.state for message in self.seen[since:] if message.topic == self._state]

    def wait(self, verb, count=1, since=0):
        return patiently(lambda: len(found := self.of(verb, since)) >= count and found, f"{count} {verb}")

    def say_state(self, online, timestamp, host_id=None):
        topic = self._state if host_id is None else f"spBv1.0/STATE/{host_id}"
        state = json.dumps({"online": online, "timestamp": timestamp})
        self._client.publish(topic, state, qos=1, retain=True).wait_for_publish(5)

    def lwm2m(self, endpoint, **command):
        """The answer to an LwM2M command in the JSON profile."""
        token, since = f"t{len(self.seen)}", len(self.seen)
        self._client.publish(f"lwm2m/{endpoint}/cmd/{token}", json.dumps(command), qos=1).wait_for_publish(5)
        return json.loads(self.wait("resp", since=since)[0].payload)

    def command(self, edge_node, *metrics, device=None):
        topic = f"spBv1.0/{self._group}/{'DCMD' if device else 'NCMD'}/{edge_node}"
        payload = encode_payload(Payload(int(time.time() * 1000), list(metrics)), with_datatypes=False)
        self._client.publish(f"{topic}/{device}" if device else topic, payload).wait_for_publish(5)


@contextmanager
def watching(broker, group, **options):
    """A watcher that is closed at the end."""
    watcher = Watcher(broker, group, **options)
    try:
        yield watcher
    finally:
        watcher.close()
