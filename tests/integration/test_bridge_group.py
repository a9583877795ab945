"""Bridges that share the devices: order per device kept, nothing lost, whoever comes, goes or dies."""

import json
import socket
import ssl
from contextlib import contextmanager
from zlib import crc32

import pytest

from bridge_rig import (
    Device,
    Fleet,
    Reader,
    judge,
    most_repeats,
    running_group,
    stopped_bridge,
    wait_for_members,
)
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload
from iiot.topics import DEVICE_STATE, SPARKPLUG_DATA
from support import wait_until

RECEIVE_MAXIMUM = 500
RATE = 600


@pytest.fixture
def devices(mosquitto, unique):
    return [Device(mosquitto, name) for name in shared_names(unique)]


def shared_names(unique):
    """Devices of which every one of two and of three bridges gets some."""
    names = {}
    while len(names) < 6:
        name = unique("device")
        names.setdefault(crc32(name.encode()) % 6, name)
    return list(names.values())


@contextmanager
def group(mosquitto, kafka, tmp_path, count):
    with running_group(mosquitto, kafka, tmp_path, count, RECEIVE_MAXIMUM=str(RECEIVE_MAXIMUM)) as bridges:
        bridges[0].start()
        bridges[0].wait_healthy()
        yield bridges


def start(*bridges):
    for bridge in bridges:
        bridge.start()


def wait_for_flow(bridges, each=100):
    """Every one of these delivers."""
    before = [bridge.metrics()["bridge_delivered_total"] for bridge in bridges]
    for bridge, delivered in zip(bridges, before, strict=True):
        wait_until(
            lambda bridge=bridge, delivered=delivered: (
                bridge.metrics()["bridge_delivered_total"] >= delivered + each
            ),
            f"{bridge.log.name} delivers",
            seconds=30,
        )


def assert_identities(bridges):
    for bridge in bridges:
        told = bridge.metrics()
        assert told["bridge_received_total"] == (
            told["bridge_delivered_total"] + told["bridge_dead_lettered_total"] + told["bridge_in_flight"]
        )
        assert told["bridge_handed_over_total"] == (
            told["bridge_handed_over_settled_total"]
            + told["bridge_taken_back_total"]
            + told["bridge_handed_over_in_flight"]
        )


def test_scaled_from_one_to_three_to_two_under_load(mosquitto, kafka, devices, tmp_path):
    with group(mosquitto, kafka, tmp_path, 3) as bridges:
        reader = Reader(kafka)
        with Fleet(devices, RATE) as fleet:
            wait_for_flow(bridges[:1])
            start(*bridges[1:])
            receiver = wait_for_members(bridges)
            assert receiver is bridges[0]
            wait_for_flow(bridges)
            assert_identities(bridges)
            assert bridges[2].terminate() == 0
            wait_for_members(bridges[:2])
            wait_for_flow(bridges[:2])
        verdict = judge(reader, fleet.expected())
        reader.close()
        assert_identities(bridges[:2])
    assert (verdict.lost, verdict.duplicated, verdict.reordered) == (0, 0, 0)


@pytest.mark.parametrize("victim", [0, 2], ids=["the receiver", "another"])
def test_a_member_killed_under_load_and_gone_for_good(mosquitto, kafka, devices, tmp_path, victim):
    with group(mosquitto, kafka, tmp_path, 3) as bridges:
        reader = Reader(kafka)
        with Fleet(devices, RATE) as fleet:
            start(*bridges[1:])
            assert wait_for_members(bridges) is bridges[0]
            wait_for_flow(bridges)
            bridges[victim].kill()
            left = [bridge for bridge in bridges if bridge is not bridges[victim]]
            wait_for_members(left)
            wait_for_flow(left)
            assert_identities(left)
        verdict = judge(reader, fleet.expected())
        reader.close()
    assert (verdict.lost, verdict.reordered) == (0, 0)
    assert verdict.duplicated <= most_repeats(1, RECEIVE_MAXIMUM)


def test_all_killed_one_after_the_other_and_back(mosquitto, kafka, devices, tmp_path):
    kills = 6
    with group(mosquitto, kafka, tmp_path, 3) as bridges:
        reader = Reader(kafka)
        with Fleet(devices, RATE) as fleet:
            start(*bridges[1:])
            wait_for_members(bridges)
            for number in range(kills):
                wait_for_flow(bridges, each=30)
                bridges[number % 3].kill()
                bridges[number % 3].start()
                wait_for_members(bridges)
        verdict = judge(reader, fleet.expected())
        reader.close()
    assert (verdict.lost, verdict.reordered) == (0, 0)
    assert verdict.duplicated <= most_repeats(kills, RECEIVE_MAXIMUM)


def test_three_that_start_together_agree(mosquitto, kafka, devices, tmp_path):
    with running_group(mosquitto, kafka, tmp_path, 3) as bridges:
        start(*bridges)
        wait_for_members(bridges)
        reader = Reader(kafka)
        with Fleet(devices, RATE) as fleet:
            wait_for_flow(bridges)
        verdict = judge(reader, fleet.expected())
        reader.close()
    assert (verdict.lost, verdict.duplicated, verdict.reordered) == (0, 0, 0)


def test_members_know_the_births_and_states_of_devices_that_come_to_them(mosquitto, kafka, unique, tmp_path):
    devices = [Device(mosquitto, name) for name in shared_names(unique)]
    with group(mosquitto, kafka, tmp_path, 3) as bridges:
        reader = Reader(kafka, [SPARKPLUG_DATA, DEVICE_STATE])
        for device in devices:
            birth = [Metric("bdSeq", 7, DataType.INT64, 1), Metric("Level", -1, DataType.INT8, 1, alias=5)]
            device.publish("spBv1.0/IIoT/NBIRTH/{name}", encode_payload(Payload(1, birth, 0)))
        reader.wait_for(2 * len(devices))
        start(*bridges[1:])
        wait_for_members(bridges)
        send_by_alias(devices)
        assert_resolved(reader, devices, 1)
        # The receiver dies, too: whoever is the next knows all of it.
        bridges[0].kill()
        wait_for_members(bridges[1:])
        send_by_alias(devices)
        assert_resolved(reader, devices, 2)
        for device in devices:
            death = Payload(1, [Metric("bdSeq", 7, DataType.INT64, 1)], None)
            device.publish("spBv1.0/IIoT/NDEATH/{name}", encode_payload(death))
        for device in devices:
            wait_until(lambda device=device: latest_state(reader, device)["online"] is False, "its death")
            assert latest_state(reader, device)["bd_seq"] == 7
        for device in devices:
            device.close()
        reader.close()


def send_by_alias(devices):
    for device in devices:
        data = Payload(2, [Metric(None, -56, DataType.INT8, 2, alias=5)], 1)
        device.publish("spBv1.0/IIoT/NDATA/{name}", encode_payload(data, with_datatypes=False))


def assert_resolved(reader, devices, count):
    for device in devices:

        def data(device=device):
            values = [
                json.loads(record.value)
                for record in reader.read()
                if record.topic == SPARKPLUG_DATA and record.key.decode() == device.name
            ]
            return [value for value in values if value["message_type"] == "NDATA"]

        wait_until(lambda data=data: len(data()) >= count, "the data arrive")
        told = [(metric["name"], metric["value"]) for value in data() for metric in value["metrics"]]
        assert set(told) == {("Level", -56)}


def latest_state(reader, device):
    values = [
        record.value
        for record in reader.read()
        if record.topic == DEVICE_STATE and record.key.decode() == device.name
    ]
    return json.loads(values[-1])["sparkplug"]


def test_a_device_cannot_pass_for_a_bridge(mosquitto, kafka, unique, tmp_path):
    with group(mosquitto, kafka, tmp_path, 2) as bridges:
        assert hello(mosquitto, bridges[0], "mqtt-redpanda-bridge")
        assert hello(mosquitto, bridges[0], unique("device")) == b""
        assert "member_refused" in bridges[0].log.read_text()
        assert hello(mosquitto, bridges[0], None) == b""
        assert bridges[0].health()[1]["group"]["members"] == 1


def hello(mosquitto, bridge, name):
    """What the bridge says to someone with the certificate of `name`; nothing when it hangs up."""
    port = int(bridge.environment["PEER_PORT"])
    context = ssl.create_default_context(cafile=mosquitto.identity("mqtt-redpanda-bridge").ca)
    context.check_hostname = False
    if name is not None:
        identity = mosquitto.identity(name)
        context.load_cert_chain(identity.cert, identity.key)
    with socket.create_connection(("127.0.0.1", port), 5) as plain, context.wrap_socket(plain) as tls:
        try:
            return tls.recv(1000)
        except (ConnectionResetError, ssl.SSLError):
            return b""


def test_filters_of_an_earlier_configuration_are_taken_back(mosquitto, kafka, unique, tmp_path):
    name = unique("old")
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    form = "routes: [{{name: r, filters: [{}], topic: {}, format: raw, key: topic}}]"
    old.write_text(form.format("lwm2m/+/send", name))
    new.write_text(form.format("lwm2m/#", name))
    with stopped_bridge(mosquitto, kafka, tmp_path) as bridge:
        for file in (old, new):
            bridge.environment["ROUTES_FILE"] = str(file)
            bridge.start()
            bridge.wait_healthy()
            bridge.terminate()
        bridge.start()
        bridge.wait_healthy()
        reader = Reader(kafka, [name])
        device = Device(mosquitto, unique("device"))
        for _ in range(20):
            device.send_lwm2m()
        device.close()
        reader.wait_for(20)
        wait_until(lambda: bridge.metrics()["bridge_in_flight"] == 0, "all is delivered")
        assert bridge.metrics()["bridge_received_total"] == 20
        reader.close()
