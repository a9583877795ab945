"""The linter as a command on a real broker: our own fleet and host are clean, a foreign client is not."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager

import paho.mqtt.client as paho
import pytest

from iiot.sparkplug.lint.rules import RULES
from sparkplug_rig import Service, findings, linting, patiently
from sparkplug_traffic import Traffic
from support import free_port, wait_until


def lint(*arguments):
    """Run the command; its exit status and its report."""
    done = subprocess.run(
        [sys.executable, "-m", "testbed", "sparkplug-lint", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout.startswith(
        "{"
    ) else done.stdout + done.stderr


@pytest.fixture
def service(mosquitto, tmp_path):
    """Starts services of the testbed on the broker; `service(module, **settings)`."""
    running = []

    def start(module, **settings):
        port = free_port()
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MQTT_PORT": str(mosquitto.tls_port),
            "HTTP_PORT": str(port),
        }
        with (tmp_path / f"{module}.log").open("ab") as log:
            command = [sys.executable, "-m", module]
            process = subprocess.Popen(command, env=environment | settings, stdout=log, stderr=log)
        running.append(process)
        started = Service(process, port)

        def answers():
            assert process.poll() is None, (tmp_path / f"{module}.log").read_text()[-2000:]
            return started.get("/api/health")["status"] == "healthy"

        patiently(answers, module)
        return started

    yield start
    for process in running:
        process.terminate()
        assert process.wait(10) == 0


def test_the_own_fleet_and_host_are_clean(mosquitto, service, unique, tmp_path):
    files = mosquitto.identity("sparkplug-host")
    tls = {"MQTT_CA": str(files.ca), "MQTT_CERT": str(files.cert), "MQTT_KEY": str(files.key)}
    group, recording = unique("group"), tmp_path / "traffic.jsonl"
    # The specification, and so the linter, advises commands without datatypes.
    names = {"SPARKPLUG_GROUP": group, "SPARKPLUG_HOST_ID": unique("host"), "COMMAND_DATATYPES": "false"}
    host = service("sparkplug_host", **tls, **names)
    me = mosquitto.identity("testbed")
    arguments = ("--port", mosquitto.tls_port, "--ca", me.ca, "--cert", me.cert, "--key", me.key)
    with linting(recording, *arguments, "--group", group) as watching:
        service(
            "device_simulator",
            DEVICE_CA_DIR=str(mosquitto.certs / "device-ca"),
            STATE_DIR=str(tmp_path / "state"),
            FLEET_ID=unique("lint"),
            SPARKPLUG_GROUP=group,
            DEVICE_COUNT="3",
        )
        patiently(lambda: host.get("/api/nodes?online=true")["total"] == 3, "three edge nodes are online")
        for node in host.get("/api/nodes")["nodes"]:
            address = f"/api/nodes/{node['edge_node']}"
            assert host.request(f"{address}/rebirth", "POST")[0] == 202
            patiently(lambda address=address: host.get(address)["births"] == 2, "it is born again")
        status, report = watching.end()

    assert (status, findings(report)) == (0, set())
    assert len(report["edge_nodes"]) == 3
    assert report["messages"] > 15  # births and rebirths of three devices
    assert lint("--replay", recording, "--json")[1]["messages"] == report["messages"]


def test_a_foreign_client_is_reported_by_rule_and_unit(mosquitto, unique, tmp_path):
    group, recording = unique("group"), tmp_path / "traffic.jsonl"
    traffic = Traffic()
    traffic.nbirth(edit=lambda payload: setattr(payload, "seq", 3))
    traffic.ddata()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.tls_set(*vars_of(mosquitto.identity("sparkplug-host")))
    client.connect("localhost", mosquitto.tls_port)
    client.loop_start()
    with linting(recording, "--port", mosquitto.plain_port, "--group", group) as watching:
        for event in traffic.events:
            topic = event.topic.replace("/group/", f"/{group}/")
            client.publish(topic, event.payload).wait_for_publish(5)
        client.publish(f"spBv1.0/{group}/NDEATH/end", b"").wait_for_publish(5)
        wait_until(lambda: "NDEATH/end" in recording.read_text(), "all has been seen")
        assert watching.end()[0] == 1
    client.disconnect()
    client.loop_stop()
    status, output = lint("--replay", recording)

    assert status == 1
    for rule in ("nbirth-seq-not-0", "seq-order", "before-dbirth", "clock-differs"):
        assert rule in output
        assert RULES[rule].advice in output
    assert f"{group}/node/dev" in output
    assert "tck-id-topics-nbirth-seq-num" in output
    status, report = lint("--replay", recording, "--json")
    assert status == 1
    assert ("node", "before-dbirth") in findings(report)


def vars_of(identity):
    return str(identity.ca), str(identity.cert), str(identity.key)


def test_what_cannot_be_read_is_said_in_one_line(tmp_path):
    status, text = lint("--host", "127.0.0.1", "--port", free_port(), "--seconds", 1)
    assert (status, text.count("\n")) == (2, 1)

    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(b'{"vantage":{"retain_as_published":true}}\n{"event":"nothing"}\n')
    status, text = lint("--replay", broken)
    assert status == 2
    assert "line 2" in text


@contextmanager
def interrupted(*arguments):
    """A linter that is interrupted when the block is left; `[status, output, errors]` fills then."""
    command = [sys.executable, "-m", "testbed", "sparkplug-lint", "--seconds", "600", "--json"]
    with subprocess.Popen(
        [*command, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        outcome = []
        try:
            yield outcome
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
            outcome.extend([process.returncode, output, errors])
        finally:
            process.kill()


def test_it_ends_without_a_word_while_messages_come(mosquitto, unique, tmp_path):
    """With TLS, what comes after the own close is an error to the libraries, and nobody else's business."""
    group, recording = unique("group"), tmp_path / "traffic.jsonl"
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.tls_set(*vars_of(mosquitto.identity("sparkplug-host")))
    client.connect("localhost", mosquitto.tls_port)
    enough = threading.Event()

    def flood():
        while not enough.wait(0.003):
            for _ in range(300):
                client.publish(f"spBv1.0/{group}/NDATA/node", bytes(2000))

    publisher = threading.Thread(target=flood)
    client.loop_start()
    publisher.start()
    me = mosquitto.identity("testbed")
    tls = ("--port", mosquitto.tls_port, "--ca", me.ca, "--cert", me.cert, "--key", me.key)
    try:
        with interrupted(*tls, "--group", group, "--record", recording) as outcome:
            patiently(lambda: recording.exists() and recording.stat().st_size > 100_000, "messages come")
    finally:
        enough.set()
        publisher.join()
        client.disconnect()
        client.loop_stop()

    assert outcome[2] == ""
    assert json.loads(outcome[1])["messages"] > 0


def test_it_ends_while_the_broker_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as open_until_the_end:
        silent.settimeout(60)
        with interrupted("--host", "127.0.0.1", "--port", silent.getsockname()[1]) as outcome:
            connection, _ = silent.accept()
            open_until_the_end.enter_context(connection)
            assert connection.recv(1)  # its CONNECT

    assert (outcome[0], outcome[2]) == (0, "")
    assert json.loads(outcome[1])["messages"] == 0


def test_the_rules_can_be_listed():
    status, text = lint("--rules")

    assert status == 0
    assert all(key in text for key in RULES)
