"""The linter watches real faults: our own fleet and host stay clean, and only what is wrong is told."""

from importlib.resources import files

import pytest
import yaml

from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric
from own_broker import open_mosquitto
from sparkplug_rig import findings, linting, patiently, running_host, running_simulator, watching
from support import wait_until

REBIRTH = Metric("Node Control/Rebirth", True, DataType.BOOLEAN)
STORM = 15


def every_feature(path, host_id):
    """The shipped profile with all of Sparkplug, and devices that wait for this primary host on top."""
    shipped = files("device_simulator") / "profiles" / "sparkplug-features.yaml"
    profile = yaml.safe_load(shipped.read_text())
    for group in profile["devices"]:
        group["sparkplug"]["primary_host"] = host_id
    path.write_text(yaml.safe_dump(profile))
    return str(path)


@pytest.mark.parametrize(
    ("version", "features"), [("5", True), ("3.1.1", False)], ids=["all-5", "plain-3.1.1"]
)
def test_storms_and_kills_are_clean_and_twins_are_told(stack, tmp_path, unique, version, features):
    group, fleet, host_id = unique("group"), unique("f"), unique("host")
    common = {"SPARKPLUG_GROUP": group, "MQTT_VERSION": version}
    advised = {"COMMAND_DATATYPES": "false"}  # by the specification, and so by the linter
    hosts = common | advised | {"SPARKPLUG_HOST_ID": host_id, "REBIRTH_JITTER": "0"}
    fleets = common | {
        "FLEET_ID": fleet,
        "TELEMETRY_INTERVAL": "0.1",
        "PROFILE": every_feature(tmp_path / "all.yaml", host_id) if features else "default",
    }
    broker, server = stack.enter_context(open_mosquitto(tmp_path / "broker"))
    watcher = stack.enter_context(watching(broker, group, host_id=host_id, version=version))
    primary = ("--primary-host", host_id) if features else ()
    recording = tmp_path / "traffic.jsonl"
    where = ("--host", "127.0.0.1", "--port", broker.plain_port, "--mqtt-version", version)
    lint = stack.enter_context(linting(recording, *where, *primary))
    host = stack.enter_context(running_host(broker, tmp_path, **hosts))
    stack.enter_context(running_simulator(broker, tmp_path, DEVICE_COUNT="3", **fleets))

    def all_are_back(which=host):
        nodes = which.get("/api/nodes?online=true")["nodes"]
        return len(nodes) == 3 and not any(node["stale"] for node in nodes) and nodes

    nodes = [node["edge_node"] for node in patiently(all_are_back, "three edge nodes are born")]
    since = len(watcher.seen)
    for node in nodes * STORM:
        watcher.command(node, REBIRTH)
    for node in nodes:
        patiently(lambda node=node: births_after_the_last_request(watcher, node, since), "all are answered")
    assert host.get(f"/api/nodes/{nodes[0]}")["gaps"] == 0

    host.stop(kill=True)
    if features:
        patiently(
            lambda: len({death.topic for death in watcher.of("NDEATH", since)}) == 3,
            "they miss their primary host",
        )
    host = stack.enter_context(running_host(broker, tmp_path, **hosts))
    patiently(lambda: all_are_back(host), "the host knows them again")

    server.stop(kill=True)
    server.start()
    patiently(lambda: all_are_back(host), "they are back at the broker")

    first = f"device-{'air' if features else 'temp'}-{fleet}-001"
    twin = stack.enter_context(
        running_simulator(broker, tmp_path, **fleets | {"STATE_DIR": str(tmp_path / "twin")})
    )
    # Each waits longer after each time, at random: up to half a minute.
    wait_until(
        lambda: births_since_the_cut(recording, first) >= 12, "twins throw each other out", seconds=240
    )
    twin.stop()
    status, report = lint.end()
    assert (status, findings(report)) == (1, {(first, "edge-node-not-unique"), (first, "bdseq-order")})


def births_since_the_cut(recording, node):
    """How many births of an edge node the linter has seen since it was back at the broker."""
    _, cut, since = recording.read_text().rpartition('"event":"cut"')
    return since.count(f"/NBIRTH/{node}") if cut else 0


def births_after_the_last_request(watcher, node, since):
    messages = [message for message in watcher.seen[since:] if message.topic.endswith(f"/{node}")]
    verbs = [message.verb for message in messages]
    if verbs.count("NCMD") < STORM:
        return False
    return "NBIRTH" in verbs[len(verbs) - verbs[::-1].index("NCMD") :]
