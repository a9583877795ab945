"""The bridge between the shipped Mosquitto configuration and a real Kafka."""

import base64
import json

from bridge_rig import ALL_TOPICS, Device, Fleet, Reader, judge, now, running_bridge, stopped_bridge
from iiot.budgets import MESSAGE_BYTES
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload
from iiot.topics import LWM2M_REGISTRATION, LWM2M_UPDATES, SPARKPLUG_DATA, dlq
from support import wait_until


def test_the_three_topics_with_keys_and_headers(bridge, reader, device):
    time_ms = now()
    birth = Payload(time_ms, [Metric("Battery/Level", 85, DataType.INT8, time_ms, alias=3)], 1)
    data = Payload(time_ms, [Metric(None, -2, DataType.INT8, time_ms, alias=3)], 2)
    device.publish("spBv1.0/IIoT/DBIRTH/{name}/asset", encode_payload(birth), qos=0)
    device.publish("spBv1.0/IIoT/DDATA/{name}/asset", encode_payload(data, with_datatypes=False), qos=0)
    device.publish("lwm2m/{name}/reg", json.dumps({"endpoint": device.name, "lifetime": 60}))
    device.publish("lwm2m/{name}/update", b"")
    records = reader.wait_for(4)
    by_kind = {dict(record.headers)["ce_type"].decode(): record for record in records}
    assert {kind: record.topic for kind, record in by_kind.items()} == {
        "iot.sparkplug.dbirth": SPARKPLUG_DATA,
        "iot.sparkplug.ddata": SPARKPLUG_DATA,
        "iot.lwm2m.register": LWM2M_REGISTRATION,
        "iot.lwm2m.update": LWM2M_UPDATES,
    }
    assert {record.key for record in records} == {device.name.encode()}
    for record in records:
        headers = dict(record.headers)
        assert headers["ce_specversion"] == b"1.0"
        assert headers["ce_subject"] == device.name.encode()
        assert {"ce_id", "ce_source", "ce_time", "content-type"} <= headers.keys()
    assert json.loads(by_kind["iot.sparkplug.ddata"].value)["metrics"] == [
        {"name": "Battery/Level", "type": "Int8", "value": -2, "timestamp": time_ms}
    ]


def dead_letters(records):
    return [record for record in records if record.topic.endswith(".dlq")]


def test_poison_among_good_messages(bridge, reader, device, mosquitto, unique):
    poison = {
        "spBv1.0/IIoT/DDATA/{name}/asset": b"\xff\xff",
        "spBv1.0/IIoT/DDATA/{name}": b"\x0a",
        "lwm2m/{name}/reg": b"not json",
        "lwm2m/{name}/send": b'{"values": "' + b"x" * 1_030_000,
    }
    with Fleet([Device(mosquitto, unique("device"))], rate=500) as fleet:
        for _ in range(5):
            for suffix, payload in poison.items():
                device.publish(suffix, payload)
        wait_until(lambda: bridge.metrics()["bridge_dead_lettered_total"] >= 20, "dead letters")
    verdict = judge(reader, fleet.expected())
    assert (verdict.lost, verdict.duplicated, verdict.reordered) == (0, 0, 0)
    wait_until(lambda: len(dead_letters(reader.read())) >= 20, "the dead letters are read", interval=0)
    letters = dead_letters(reader.records)
    assert len(letters) == 20
    assert {record.topic for record in letters} == {
        dlq(t) for t in (SPARKPLUG_DATA, LWM2M_REGISTRATION, LWM2M_UPDATES)
    }
    for record in letters:
        letter = json.loads(record.value)
        assert dict(record.headers)["error"].decode() == letter["reason"]
        payload = poison[letter["topic"].replace(device.name, "{name}")]
        assert letter["size"] == len(payload)
        assert base64.b64decode(letter["payload_base64"]) == payload


def test_the_largest_messages_that_the_broker_takes_arrive_whole(bridge, reader, device):
    topic = "lwm2m/{name}/send"
    room = MESSAGE_BYTES - len(topic.format(name=device.name)) - 20
    payload = b'{"values":"' + b"x" * (room - 13) + b'"}'
    device.publish(topic, payload)
    time_ms = now()
    # JSON repeats what a metric costs a few bytes: this becomes several times as much.
    metrics = [Metric(f"Sensors/{number}", bytes(40), DataType.BYTES, time_ms) for number in range(10_000)]
    sparkplug = encode_payload(Payload(time_ms, metrics, 1))
    device.publish("spBv1.0/IIoT/DDATA/{name}/asset", sparkplug)
    by_topic = {record.topic: record.value for record in reader.wait_for(2)}
    assert json.loads(by_topic[LWM2M_UPDATES])["payload"] == json.loads(payload)
    assert len(json.loads(by_topic[SPARKPLUG_DATA])["metrics"]) == len(metrics)
    assert len(by_topic[SPARKPLUG_DATA]) > MESSAGE_BYTES


def test_the_identity_holds_in_every_scrape_and_everything_is_acknowledged(bridge, device, mosquitto, unique):
    with Fleet([Device(mosquitto, unique("device"))], rate=2000) as fleet:
        for _ in range(50):
            values = bridge.metrics()
            settled = values["bridge_delivered_total"] + values["bridge_dead_lettered_total"]
            assert values["bridge_received_total"] == settled + values["bridge_in_flight"]
    sent = sum(fleet.expected().values())
    wait_until(lambda: bridge.metrics()["bridge_delivered_total"] == sent, "all delivered")
    assert bridge.metrics()["bridge_delivery_seconds_count"] == sent
    # A session without unacknowledged messages gets nothing again after a restart.
    assert bridge.terminate() == 0
    bridge.start()
    bridge.wait_healthy()
    device.send_lwm2m()
    wait_until(lambda: bridge.metrics()["bridge_received_total"], "the next message")
    assert bridge.metrics()["bridge_received_total"] == 1


def test_sigterm_under_load_flushes_and_leaves_the_rest_to_the_next_bridge(bridge, reader, mosquitto, unique):
    devices = [Device(mosquitto, unique("device")) for _ in range(3)]
    with Fleet(devices, rate=2000) as fleet:
        for _ in range(3):
            before = bridge.metrics()["bridge_received_total"]
            wait_until(lambda before=before: bridge.metrics()["bridge_received_total"] > before + 500, "load")
            assert bridge.terminate() == 0
            bridge.start()
            bridge.wait_healthy()
    verdict = judge(reader, fleet.expected())
    assert (verdict.lost, verdict.duplicated, verdict.reordered) == (0, 0, 0)


def test_the_state_file_keeps_names_over_a_restart(mosquitto, kafka, tmp_path, device):
    time_ms = now()
    with running_bridge(mosquitto, kafka, tmp_path) as bridge:
        reader = Reader(kafka, [SPARKPLUG_DATA])
        birth = Payload(time_ms, [Metric("Battery/Level", 85, DataType.INT8, time_ms, alias=3)], 1)
        device.publish("spBv1.0/IIoT/DBIRTH/{name}/asset", encode_payload(birth))
        reader.wait_for(1)
        bridge.terminate()
        bridge.start()
        bridge.wait_healthy()
        data = Payload(time_ms, [Metric(None, -2, DataType.INT8, time_ms, alias=3)], 2)
        device.publish("spBv1.0/IIoT/DDATA/{name}/asset", encode_payload(data, with_datatypes=False))
        metric = json.loads(reader.wait_for(2)[1].value)["metrics"][0]
        reader.close()
    assert (metric["name"], metric["value"]) == ("Battery/Level", -2)


def test_wrong_routes_end_the_start_with_the_reason(mosquitto, kafka, tmp_path):
    routes = tmp_path / "routes.yaml"
    routes.write_text("routes: [{name: x, filters: ['a/#/b'], topic: t, format: raw, key: topic}]")
    with stopped_bridge(mosquitto, kafka, tmp_path, ROUTES_FILE=str(routes)) as bridge:
        bridge.start()
        assert bridge.process.wait(15) == 2
    assert "# as the last level only" in bridge.log.read_text()


def test_all_topics_exist_before_the_first_message(bridge, kafka):
    reader = Reader(kafka, ALL_TOPICS)
    reader.close()
