"""What the bridge registers, and records in the Confluent wire format."""

import json
import struct

import pytest

from bridge_rig import Reader, running_bridge, stopped_bridge
from iiot import schemas
from iiot.schema_registry import RegistryError, register
from iiot.sparkplug.payload import Payload, encode_payload
from iiot.topics import DEVICE_STATE, LWM2M_REGISTRATION, LWM2M_UPDATES, SPARKPLUG_DATA, dlq
from schema_check import validator
from schema_registry import running_registry
from support import free_port, wait_until


def test_the_default_topics_are_registered_when_a_registry_comes(mosquitto, kafka, tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_bridge(mosquitto, kafka, tmp_path, SCHEMA_REGISTRY_URL=url) as bridge:
        # Healthy all the same: who reads plain JSON needs no registry.
        wait_until(lambda: "PUT http" in bridge.health()[1]["schemas"], "the failure shows")
        with running_registry(port) as registry:
            wait_until(lambda: bridge.health()[1]["schemas"] == "registered", "registration", seconds=20)
    routed = [SPARKPLUG_DATA, LWM2M_REGISTRATION, LWM2M_UPDATES]
    topics = [DEVICE_STATE, *routed, *map(dlq, routed)]
    assert set(registry.subjects) == {f"{topic}-value" for topic in topics}
    assert set(registry.compatibility.values()) == {"BACKWARD"}
    for topic in (SPARKPLUG_DATA, LWM2M_UPDATES, dlq(LWM2M_UPDATES)):
        assert registry.subjects[f"{topic}-value"] == ("JSON", schemas.current(schemas.name_of(topic)).text)


def test_the_confluent_wire_format_on_request(mosquitto, kafka, tmp_path, unique, device):
    json_topic, protobuf_topic = unique("json"), unique("protobuf")
    routes = tmp_path / "routes.yaml"
    routes.write_text(
        f"""routes:
  - {{name: a, filters: [lwm2m/+/send], topic: {json_topic}, format: lwm2m-json, wire_format: confluent}}
  - name: b
    filters: ['spBv1.0/#']
    topic: {protobuf_topic}
    format: sparkplug-protobuf
    wire_format: confluent
""",
        "utf-8",
    )
    port = free_port()
    settings = {"ROUTES_FILE": str(routes), "SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{port}"}
    with stopped_bridge(mosquitto, kafka, tmp_path, **settings) as bridge:
        bridge.start()
        # Without an id there is no record: it takes nothing from the broker until the registry gave one.
        wait_until(lambda: "PUT http" in bridge.health()[1]["schemas"], "the failure shows")
        assert bridge.health()[0] == 503
        with running_registry(port) as registry:
            bridge.wait_healthy()
        reader = Reader(kafka, [json_topic, protobuf_topic])
        payload = encode_payload(Payload(1_700_000_000_000, [], 1))
        device.publish("spBv1.0/IIoT/DDATA/{name}/asset", payload)
        device.send_lwm2m()
        values = {record.topic: record.value for record in reader.wait_for(2)}
        reader.close()
        assert bridge.terminate() == 0
    ids = {subject: 1000 + at for at, subject in enumerate(registry.subjects)}
    assert values[protobuf_topic] == struct.pack(">bIb", 0, ids[f"{protobuf_topic}-value"], 0) + payload
    assert registry.subjects[f"{protobuf_topic}-value"] == ("PROTOBUF", schemas.sparkplug_protobuf().text)
    assert values[json_topic][:5] == struct.pack(">bI", 0, ids[f"{json_topic}-value"])
    assert validator(schemas.LWM2M_JSON).is_valid(json.loads(values[json_topic][5:]))


async def test_a_refused_schema_is_told_with_the_subject_and_the_registrys_reason():
    with running_registry() as registry:
        registry.refuse = 409, {"error_code": 409, "message": "Schema being registered is incompatible"}
        with pytest.raises(RegistryError, match=r"config/t-value: 409 .*incompatible"):
            await register(registry.url, {"t": schemas.current(schemas.LWM2M_JSON)})
