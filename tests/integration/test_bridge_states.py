"""The compacted topic with the latest state of each device."""

import json

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from bridge_rig import Device, Reader, running_bridge
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload
from iiot.topics import DEVICE_STATE
from support import wait_until


def births(device, bd_seq=7):
    metrics = [Metric("bdSeq", bd_seq, DataType.INT64, 1)]
    device.publish("spBv1.0/IIoT/NBIRTH/{name}", encode_payload(Payload(1, metrics, 0)))
    device.publish("spBv1.0/IIoT/DBIRTH/{name}/asset", encode_payload(Payload(1, [], 1)))


def latest(reader, device):
    """The newest state in the topic."""
    values = [record.value for record in reader.read() if record.key.decode() == device.name]
    return json.loads(values[-1]) if values else {}


def test_states_survive_the_bridge_and_are_few(mosquitto, kafka, tmp_path, unique):
    device = Device(mosquitto, unique("device"))
    with running_bridge(mosquitto, kafka, tmp_path) as bridge:
        reader = Reader(kafka, [DEVICE_STATE])
        births(device)
        device.publish("lwm2m/{name}/reg", json.dumps({"endpoint": device.name, "lifetime": 300}))
        for _ in range(200):
            device.send_lwm2m()
        wait_until(lambda: bridge.metrics()["bridge_delivered_total"] >= 203, "everything is delivered")
        wait_until(lambda: (latest(reader, device).get("lwm2m") or {}).get("registered"), "the registration")
        assert latest(reader, device)["sparkplug"]["devices"]["asset"]["online"] is True
        # Two births and a registration; 200 messages within ten seconds add one at most.
        assert len([one for one in reader.records if one.key.decode() == device.name]) <= 4
        bridge.kill()
        death = Payload(1, [Metric("bdSeq", 7, DataType.INT64, 1)], None)
        device.publish("spBv1.0/IIoT/NDEATH/{name}", encode_payload(death))
        bridge.start()
        bridge.wait_healthy()
        wait_until(lambda: latest(reader, device)["sparkplug"]["online"] is False, "the death")
        # What only the earlier bridge was told is still there.
        assert latest(reader, device)["lwm2m"]["lifetime"] == 300
        assert latest(reader, device)["sparkplug"]["devices"]["asset"]["online"] is False
        device.close()
        reader.close()


def test_the_topic_is_compacted(mosquitto, kafka, tmp_path):
    with running_bridge(mosquitto, kafka, tmp_path):
        admin = KafkaAdminClient(bootstrap_servers=kafka)
        found = str(admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, DEVICE_STATE)]))
        admin.close()
    assert "compact" in found[found.index("cleanup.policy") :][:60]
