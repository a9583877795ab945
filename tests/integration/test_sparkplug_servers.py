"""Several MQTT servers and a primary host: who speaks where and when, on real brokers."""

from itertools import pairwise

import pytest

from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric
from own_broker import open_mosquitto
from sparkplug_rig import patiently, running_host, running_simulator, watching

NEXT_SERVER = Metric("Node Control/Next Server", True, DataType.BOOLEAN)
REBIRTH = Metric("Node Control/Rebirth", True, DataType.BOOLEAN)


def bd_seqs(messages):
    return [message.values["bdSeq"] for message in messages]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_device_walks_its_servers_by_command_and_when_one_is_gone(broker, stack, tmp_path, unique, version):
    group, fleet = unique("group"), unique("f")
    device = f"device-temp-{fleet}-001"
    other, server = stack.enter_context(open_mosquitto(tmp_path / "other"))
    first = stack.enter_context(watching(broker, group, version=version))
    second = stack.enter_context(watching(other, group, version=version))
    simulator = stack.enter_context(
        running_simulator(
            broker,
            tmp_path,
            SPARKPLUG_GROUP=group,
            FLEET_ID=fleet,
            MQTT_VERSION=version,
            MQTT_SERVERS=f"127.0.0.1:{other.plain_port}",
        )
    )
    first.wait("DDATA", 5)
    assert first.of("NBIRTH")[0].values["Node Control/Next Server"] is False
    first.command(device, NEXT_SERVER)
    second.wait("DDATA", 5)
    first.wait("NDEATH")
    assert (bd_seqs(first.of("NBIRTH")), set(bd_seqs(first.of("NDEATH")))) == ([0], {0})
    assert bd_seqs(second.of("NBIRTH")) == [1]
    assert second.of("NBIRTH")[0].content.seq == 0

    server.stop(kill=True)
    since = len(first.seen)
    first.wait("DDATA", 5, since)
    assert bd_seqs(first.of("NBIRTH", since)) == [2]
    server.start()
    since = len(second.seen)
    patiently(lambda: second.is_connected, "the watcher is back at the second broker")
    first.command(device, NEXT_SERVER)
    second.wait("DDATA", 5, since)
    assert bd_seqs([m for m in second.of("NBIRTH", since) if not m.retain]) == [3]
    simulator.stop()
    patiently(lambda: set(bd_seqs(second.of("NDEATH", since))) == {3}, "the last word")


PROFILE = """
devices:
- kind: temperature
  weight: 1
  telemetry_interval: 0.1
  faults: 0
  sparkplug:
    primary_host: {host}
    store: {{drain_rate: 1000}}
"""


def test_devices_follow_their_primary_host_from_server_to_server(broker, stack, tmp_path, unique):
    group, fleet, host_id = unique("group"), unique("f"), unique("host")
    profile = tmp_path / "waits.yaml"
    profile.write_text(PROFILE.format(host=host_id))
    other, _ = stack.enter_context(open_mosquitto(tmp_path / "other"))
    first = stack.enter_context(watching(broker, group, host_id=host_id))
    second = stack.enter_context(watching(other, group, host_id=host_id))
    host = {"SPARKPLUG_GROUP": group, "SPARKPLUG_HOST_ID": host_id}
    one = stack.enter_context(running_host(broker, tmp_path, **host))
    two = stack.enter_context(running_host(other, tmp_path, **host))
    patiently(lambda: first.states() and second.states(), "both hosts say that they are online")
    stack.enter_context(
        running_simulator(
            broker,
            tmp_path,
            SPARKPLUG_GROUP=group,
            FLEET_ID=fleet,
            DEVICE_COUNT="3",
            PROFILE=str(profile),
            MQTT_SERVERS=f"127.0.0.1:{other.plain_port}",
        )
    )
    first.wait("DDATA", 5)
    patiently(lambda: len(first.of("NBIRTH")) == 3, "three births")
    one.stop()
    patiently(lambda: len(second.of("NBIRTH")) == 3, "all of them go to the second server")
    assert {message.topic for message in first.of("NDEATH")} == {
        message.topic.replace("NBIRTH", "NDEATH") for message in second.of("NBIRTH")
    }
    since = len(first.seen)
    back = stack.enter_context(running_host(broker, tmp_path, **host))
    two.stop(kill=True)
    patiently(lambda: len(first.of("NBIRTH", since)) == 3, "all of them come back")
    for message in first.of("NBIRTH", since):
        before = [m for m in second.of("NBIRTH") if m.topic == message.topic]
        assert message.values["bdSeq"] > before[-1].values["bdSeq"]
    patiently(lambda: back.get("/api/nodes?online=true")["total"] == 3, "the host sees them")


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_device_waits_for_its_primary_host_and_keeps_what_it_measures(
    broker, stack, tmp_path, unique, version
):
    group, fleet, host_id = unique("group"), unique("f"), unique("host")
    device = f"device-temp-{fleet}-001"
    profile = tmp_path / "waits.yaml"
    profile.write_text(PROFILE.format(host=host_id))
    watcher = stack.enter_context(watching(broker, group, host_id=host_id, version=version))
    host = {"SPARKPLUG_GROUP": group, "SPARKPLUG_HOST_ID": host_id, "MQTT_VERSION": version}
    fleet_settings = {"SPARKPLUG_GROUP": group, "FLEET_ID": fleet, "MQTT_VERSION": version}
    watcher.say_state(False, 1000)
    simulator = stack.enter_context(
        running_simulator(broker, tmp_path, PROFILE=str(profile), **fleet_settings)
    )
    patiently(lambda: device in broker.log.read_text(), "the device is connected")
    watcher.say_state(True, 999)  # older than the death that the broker keeps
    watcher.say_state(True, 2000, host_id=f"{host_id}-other")
    with running_host(broker, tmp_path, **host) as primary:
        watcher.wait("DDATA", 5)
        kinds = [m.state["timestamp"] > 2000 if m.verb == host_id else m.verb for m in watcher.seen]
        assert kinds.index(True) < kinds.index("NBIRTH")
        born_at = watcher.states()[-1]["timestamp"]

        watcher.say_state(False, born_at - 1)
        patiently(lambda: watcher.states()[-1] == {"online": True, "timestamp": born_at}, "the host insists")
        watcher.command(device, REBIRTH)
        births = watcher.wait("NBIRTH", 2)
        assert len(set(bd_seqs(births))) == 1
        assert watcher.of("NDEATH") == []

        since = len(watcher.seen)
        primary.stop()
        death = watcher.wait("NDEATH", since=since)[0]
        assert bd_seqs([death]) == bd_seqs(births[-1:])
    gone_at = watcher.states()[-1]["timestamp"]
    since = len(watcher.seen)
    patiently(lambda: simulator.metric("simulator_samples_stored") >= 10, "the device keeps samples")
    assert [m for m in watcher.seen[since:] if m.verb in ("NBIRTH", "DBIRTH", "DDATA")] == []
    with running_host(broker, tmp_path, **host) as primary:
        birth = watcher.wait("NBIRTH", since=since)[0]
        assert birth.values["bdSeq"] > births[-1].values["bdSeq"]
        history = patiently(lambda: len(found := historical(watcher, since)) >= 10 and found, "the history")
        assert all(gone_at - 200 <= before <= after for before, after in pairwise(history))
        seqs = [m.content.seq for m in watcher.seen[since:] if m.verb in ("NBIRTH", "DBIRTH", "DDATA")]
        assert seqs == [i % 256 for i in range(len(seqs))]
        patiently(lambda: primary.get("/api/nodes?online=true")["total"] == 1, "the host sees the device")
        assert primary.get(f"/api/nodes/{device}")["gaps"] == 0
        since = len(watcher.seen)
        primary.stop(kill=True)  # its will says offline with the time of its birth
        watcher.wait("NDEATH", since=since)
    simulator.stop()


def historical(watcher, since):
    """When the values of stored samples were measured, in order of arrival."""
    return [
        metric.timestamp
        for message in watcher.of("DDATA", since)
        for metric in message.content.metrics[:1]
        if metric.is_historical
    ]
