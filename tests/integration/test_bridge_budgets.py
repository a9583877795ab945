"""Small messages that would become large: each is one dead letter, and nobody else notices."""

import json

from bridge_rig import Device, Fleet, Reader, judge, now, running_bridge
from iiot.budgets import QUEUE_BYTES
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload
from iiot.topics import SPARKPLUG_DATA, dlq
from sparkplug_hostile import HOSTILE
from support import wait_until

MIB = 1 << 20
ROOM = QUEUE_BYTES + 48 * MIB
"""How much the bridge may grow: a Kafka that is slow at first leaves all messages in its client's queue."""


def letters(reader, device):
    """Dead letters of the device; not parsed, for each holds its message."""
    is_letter = (dlq(SPARKPLUG_DATA), device.name.encode())
    return [record for record in reader.read() if (record.topic, record.key) == is_letter]


def test_payloads_beyond_the_budget_become_dead_letters_and_stop_nobody(
    bridge, reader, device, mosquitto, unique
):
    before = bridge.resident_bytes()
    with Fleet([Device(mosquitto, unique("device"))], rate=200) as fleet:
        for payload in HOSTILE.values():
            device.publish("spBv1.0/IIoT/NDATA/{name}", payload)
            assert bridge.health()[0] == 200
        wait_until(
            lambda: bridge.metrics()["bridge_dead_lettered_total"] == len(HOSTILE), "dead letters", seconds=60
        )
    verdict = judge(reader, fleet.expected())
    assert (verdict.lost, verdict.duplicated, verdict.reordered) == (0, 0, 0)
    assert bridge.metrics()["bridge_over_budget_total"] == len(HOSTILE) - 2  # of two the envelope is wrong
    assert bridge.resident_bytes() < before + ROOM
    wait_until(
        lambda: len(letters(reader, device)) == len(HOSTILE), "dead letters are read", seconds=60, interval=0
    )
    reasons = {dict(record.headers)["error"].decode() for record in letters(reader, device)}
    assert any("more than 20000 metrics" in reason for reason in reasons)
    assert any("more than 1048576 inflated bytes" in reason for reason in reasons)
    wait_until(lambda: bridge.metrics()["bridge_in_flight"] == 0, "all acknowledged")


def test_a_large_birth_keeps_its_place_among_the_messages_of_its_device(bridge, reader, device):
    time_ms = now()
    metrics = [Metric(f"Line/Cell{n}", n, DataType.INT32, time_ms, alias=n + 1) for n in range(6_000)]
    birth = encode_payload(Payload(time_ms, metrics, 1))
    data = [Payload(time_ms, [Metric(None, -n, DataType.INT32, alias=7)], n) for n in range(2, 100)]
    device.publish("spBv1.0/IIoT/DBIRTH/{name}/asset", birth)
    for payload in data:
        device.publish("spBv1.0/IIoT/DDATA/{name}/asset", encode_payload(payload, with_datatypes=False))
    records = [json.loads(record.value) for record in reader.wait_for(99)]
    assert [record["seq"] for record in records] == list(range(1, 100))
    assert len(records[0]["metrics"]) == 6_000
    assert {metric["name"] for record in records[1:] for metric in record["metrics"]} == {"Line/Cell6"}
    assert [record["metrics"][0]["value"] for record in records[1:]] == [-n for n in range(2, 100)]


def test_a_lower_limit_of_metrics_is_a_setting(mosquitto, kafka, tmp_path, device):
    with running_bridge(mosquitto, kafka, tmp_path, MAX_METRICS="2") as bridge:
        reader = Reader(kafka, [SPARKPLUG_DATA, dlq(SPARKPLUG_DATA)])
        for count in (2, 3):
            metrics = [Metric(f"m{n}", n, DataType.INT32) for n in range(count)]
            device.publish("spBv1.0/IIoT/NDATA/{name}", encode_payload(Payload(now(), metrics, count)))
        records = {record.topic: json.loads(record.value) for record in reader.wait_for(2)}
        reader.close()
        assert len(records[SPARKPLUG_DATA]["metrics"]) == 2
        assert "more than 2 metrics" in records[dlq(SPARKPLUG_DATA)]["reason"]
        assert bridge.metrics()["bridge_over_budget_total"] == 1
