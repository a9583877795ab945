"""One request from the REST call to the device and back, followed by its id through both services' logs."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from iiot import correlation
from iiot.mqtt import Connection, ConnectOptions, Subscription
from iiot.settings import MqttSettings
from lwm2m_rig import server_environment
from support import eventually, free_port, wait_until


@contextmanager
def service(module, log, environment):
    """A service whose log goes to a file, as the native engine runs it."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def call(url, method="GET", data=None, **headers):
    """Status, headers and body of an answer, whatever it is."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, names, method=method)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - loopback
            return answer.status, answer.headers, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.loads(error.read())


def clients(base):
    try:
        return call(base)[2]
    except (OSError, ValueError):
        return []


def events(state, wanted):
    """What `./testbed logs` finds: (part, event, correlation id)."""
    result = subprocess.run(
        [sys.executable, "-m", "testbed", "logs", "--grep", wanted],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TESTBED_STATE": str(state), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    found = [line.split(" | ", 1) for line in result.stdout.splitlines()]
    return [
        (part.strip(), (event := json.loads(text))["event"], event.get("correlation_id"))
        for part, text in found
    ]


@pytest.mark.parametrize(("profile", "version"), [("json", "5"), ("oma", "5"), ("json", "3.1.1")])
def test_the_logs_show_the_whole_way_of_a_request(mosquitto, tmp_path, profile, version):
    logs, port = tmp_path / "logs", free_port()
    logs.mkdir()
    simulator = {
        "MQTT_PORT": str(mosquitto.tls_port),
        "MQTT_VERSION": version,
        "DEVICE_CA_DIR": str(mosquitto.certs / "device-ca"),
        "STATE_DIR": str(tmp_path / "simulator"),
        "HTTP_PORT": str(free_port()),
        "DEVICE_COUNT": "1",
        "TELEMETRY_INTERVAL": "0.5",
        "LWM2M_PROFILE": profile,
        "FLEET_ID": f"trace{profile}{version[0]}",
    }
    server = server_environment(mosquitto, tmp_path / "server.db") | {"HTTP_PORT": str(port)}
    with (
        service("lwm2m_server", logs / "lwm2m-server.log", server),
        service("device_simulator", logs / "device-simulator.log", simulator),
    ):
        base = f"http://127.0.0.1:{port}/api/clients"
        device = wait_until(lambda: clients(base), "the device registers", seconds=40, interval=0.2)[0]
        node = f"{base}/{device['endpoint']}"
        status, headers, _ = call(f"{node}/1/0/1", "PUT", b"120", X_Request_ID="order-4711")
        assert (status, headers["X-Request-ID"]) == (200, "order-4711")
        status, headers, body = call(f"{node}/3/0/99", X_Request_ID="order-4712")
        assert (status, headers["X-Request-ID"]) == (404, body["correlation_id"]) == (404, "order-4712")
    way = [
        ("lwm2m-server", "command_sent"),
        *([("device-simulator", "command")] if version == "5" else []),
        ("lwm2m-server", "command_ended"),
    ]
    assert sorted(events(tmp_path, "order-4711")) == sorted(
        (part, event, "order-4711") for part, event in [*way, ("lwm2m-server", "request")]
    )
    assert sorted(events(tmp_path, "order-4712")) == sorted(
        (part, event, "order-4712") for part, event in way
    )


async def test_a_foreign_client_sees_and_sets_the_id(mosquitto):
    received, heard = [], []
    peer = paho.Client(paho.CallbackAPIVersion.VERSION2, "trace-peer", protocol=paho.MQTTv5)
    peer.on_message = lambda _c, _u, message: received.append(getattr(message.properties, "UserProperty", []))
    peer.on_subscribe = lambda *_: heard.append("subscribed")
    peer.on_connect = lambda client, *_: client.subscribe("test/#", 1)
    peer.connect("127.0.0.1", mosquitto.plain_port)
    peer.loop_start()
    settings = MqttSettings(mqtt_host="127.0.0.1", mqtt_port=mosquitto.plain_port, mqtt_tls=False)
    own = await Connection.open(
        ConnectOptions("trace-own", settings), lambda message: heard.append(correlation.current())
    )
    try:
        await eventually(lambda: "subscribed" in heard, "the peer is subscribed")
        with correlation.bound("order-4711"):
            own.publish("test/a", b"x", qos=1)
            own.publish("test/b", b"x")
        own.publish("test/c", b"x", qos=1)
        await eventually(lambda: len(received) == 3, "the peer hears all")
        named = [("correlation-id", "order-4711")]
        assert sorted(received) == [[], named, named]
        await own.subscribe(Subscription("test/back"))
        for pairs in (
            [("other", "x"), ("correlation-id", "order-4712"), ("correlation-id", "later")],
            [("correlation-id", "not legal")],
        ):
            properties = Properties(PacketTypes.PUBLISH)
            properties.UserProperty = pairs
            peer.publish("test/back", b"x", 1, properties=properties)
        peer.publish("test/back", b"x", 1)
        await eventually(lambda: len(heard) == 4, "the answers arrive")
        assert heard[1:] == ["order-4712", "", ""]
        assert correlation.current() == ""
    finally:
        await own.disconnect()
        peer.disconnect()
        peer.loop_stop()
