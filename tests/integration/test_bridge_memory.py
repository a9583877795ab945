"""What waited while Kafka was away goes through the memory that docker-compose.yml gives a bridge."""

import re
from contextlib import closing
from pathlib import Path

import pytest

from bridge_rig import Device, running_bridge
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload
from memory_limit import compose_limit
from own_kafka import own_kafka
from support import wait_until

TEXT = b'{"text":"' + b"x" * 1_000_000 + b'"}'
BIRTH = encode_payload(
    Payload(1, [Metric(f"{number}/{'n' * 40}", number, DataType.INT64) for number in range(18_000)], 0)
)
"""A message of 1 MB that becomes a record of 3 MB."""


def peak_bytes(bridge):
    status = Path(f"/proc/{bridge.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


@pytest.mark.parametrize(
    ("suffix", "payload", "count"),
    [("lwm2m/{name}/send", TEXT, 400), ("spBv1.0/IIoT/NBIRTH/{name}", BIRTH, 150)],
    ids=["text", "births"],
)
def test_large_messages_that_waited_for_kafka_fit_into_memory(
    mosquitto, stack, tmp_path, unique, suffix, payload, count
):
    kafka, server = stack.enter_context(own_kafka(tmp_path / "kafka"))
    bridge = stack.enter_context(running_bridge(mosquitto, kafka, tmp_path))
    device = stack.enter_context(closing(Device(mosquitto, unique("device"))))
    server.stop(kill=True)
    for _ in range(count):
        device.publish(suffix, payload)
    device.wait_confirmed(seconds=90)
    server.start()
    wait_until(lambda: bridge.metrics()["bridge_delivered_total"] == count, "Kafka has all", seconds=120)
    assert bridge.metrics()["bridge_dead_lettered_total"] == 0
    assert peak_bytes(bridge) < compose_limit("mqtt-redpanda-bridge")
