"""The linter as a command on a real broker: our own fleet and host are clean, a foreign client is not."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request

import paho.mqtt.client as paho
import pytest

from iiot.sparkplug.lint.rules import RULES
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


def found(report):
    units = [unit for node in report["edge_nodes"] for unit in (node, *node["devices"])]
    units += [*report["hosts"], *report["others"]]
    return {finding["rule"] for unit in units for finding in unit["findings"]}


@pytest.fixture
def service(mosquitto, tmp_path):
    """Starts services of the testbed on the broker; `service(module, name, **settings)`, gives the port."""
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
        address = f"http://127.0.0.1:{port}/api/health"

        def answers():
            assert process.poll() is None, (tmp_path / f"{module}.log").read_text()[-2000:]
            return urllib.request.urlopen(address, timeout=2).status == 200

        wait_until(answers, module, 20)
        return port

    yield start
    for process in running:
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("version", "profile"), [("5", "default"), ("3.1.1", "default"), ("5", "sparkplug-features")]
)
def test_the_own_fleet_and_host_are_clean(mosquitto, service, unique, tmp_path, version, profile):
    files = mosquitto.identity("sparkplug-host")
    tls = {"MQTT_CA": str(files.ca), "MQTT_CERT": str(files.cert), "MQTT_KEY": str(files.key)}
    group = unique("group")
    host_port = service(
        "sparkplug_host",
        **tls,
        SPARKPLUG_GROUP=group,
        SPARKPLUG_HOST_ID=unique("host"),
        MQTT_VERSION=version,
    )
    fleet = {
        "DEVICE_CA_DIR": str(mosquitto.certs / "device-ca"),
        "STATE_DIR": str(tmp_path / "state"),
        "FLEET_ID": unique("lint"),
        "SPARKPLUG_GROUP": group,
        "MQTT_VERSION": version,
        "DEVICE_COUNT": "3",
        "PROFILE": profile,
    }
    me = mosquitto.identity("testbed")
    recording = tmp_path / "traffic.jsonl"
    arguments = ("--port", mosquitto.tls_port, "--ca", me.ca, "--cert", me.cert, "--key", me.key)

    async def watch_the_start_and_a_rebirth():
        linting = asyncio.to_thread(
            lint,
            *arguments,
            "--mqtt-version",
            version,
            "--seconds",
            8,
            "--group",
            group,
            "--json",
            "--record",
            recording,
        )
        task = asyncio.create_task(linting)
        await asyncio.to_thread(lambda: wait_until(recording.exists, "the linter watches", 20))
        await asyncio.to_thread(service, "device_simulator", **fleet)
        nodes = await asyncio.to_thread(online_nodes, host_port)
        for node in nodes:
            ask = urllib.request.Request(
                f"http://127.0.0.1:{host_port}/api/nodes/{node}/rebirth", method="POST"
            )
            await asyncio.to_thread(urllib.request.urlopen, ask, timeout=5)
        return await task

    status, report = asyncio.run(watch_the_start_and_a_rebirth())

    assert (status, found(report)) == (0, set())
    assert len(report["edge_nodes"]) == 3
    assert report["messages"] > 30  # births, and data for as long as a busy machine left
    assert lint("--replay", recording, "--json")[1]["messages"] == report["messages"]


def online_nodes(port):
    def ask():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/nodes?online=true", timeout=5) as answer:
            nodes = [node["edge_node"] for node in json.load(answer)["nodes"]]
        return len(nodes) == 3 and nodes

    return wait_until(ask, "three nodes online", 15)


def test_a_foreign_client_is_reported_by_rule_and_unit(mosquitto, unique, tmp_path):
    group, recording = unique("group"), tmp_path / "traffic.jsonl"
    traffic = Traffic()
    traffic.nbirth(edit=lambda payload: setattr(payload, "seq", 3))
    traffic.ddata()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.tls_set(*vars_of(mosquitto.identity("sparkplug-host")))
    client.connect("localhost", mosquitto.tls_port)
    client.loop_start()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "testbed", "sparkplug-lint", "--port", str(mosquitto.plain_port)),
            *("--seconds", "4", "--group", group, "--record", str(recording)),
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(recording.exists, "the linter watches", 20)
    time.sleep(1)  # its SUBSCRIBE follows at once; a message that comes earlier would be missed
    for event in traffic.events:
        topic = event.topic.replace("/group/", f"/{group}/")
        client.publish(topic, event.payload).wait_for_publish(5)
    output, _ = process.communicate(timeout=60)
    client.disconnect()
    client.loop_stop()

    assert process.returncode == 1
    for rule in ("nbirth-seq-not-0", "seq-order", "before-dbirth", "clock-differs"):
        assert rule in output
        assert RULES[rule].advice in output
    assert f"{group}/node/dev" in output
    assert "tck-id-topics-nbirth-seq-num" in output
    status, report = lint("--replay", recording, "--json")
    assert status == 1
    assert "before-dbirth" in found(report)


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


def test_the_rules_can_be_listed():
    status, text = lint("--rules")

    assert status == 0
    assert all(key in text for key in RULES)
