"""Records that Kafka refuses for good hold nothing up, and cost no other device anything."""

import asyncio
import json

import pytest

from bridge_rig import Device, Reader, running_bridge
from iiot.kafka import TopicSpec, ensure_topics
from iiot.topics import dlq
from support import wait_until


@pytest.fixture
def topic(kafka, unique):
    """A topic that takes little, with dead letters that take less."""
    name = unique("little")
    specs = [
        TopicSpec(name, 1, {"max.message.bytes": "100000"}),
        TopicSpec(dlq(name), 1, {"max.message.bytes": "3000"}),
    ]
    asyncio.run(ensure_topics(kafka, specs))
    return name


@pytest.fixture
def bridge(mosquitto, kafka, tmp_path, topic):
    routes = tmp_path / "routes.yaml"
    routes.write_text(
        f"routes: [{{name: x, filters: [lwm2m/+/send], topic: {topic}, format: lwm2m-json}}]", "utf-8"
    )
    with running_bridge(mosquitto, kafka, tmp_path, ROUTES_FILE=str(routes)) as running:
        yield running


@pytest.fixture
def devices(mosquitto, unique):
    made = [Device(mosquitto, unique("device")) for _ in range(2)]
    yield made
    for device in made:
        device.close()


def test_neither_a_large_record_nor_its_large_letter_is_tried_for_ever(bridge, kafka, topic, devices):
    bad, good = devices
    reader = Reader(kafka, [topic, dlq(topic)])
    for _ in range(3):
        bad.publish("lwm2m/{name}/send", b'{"text":"' + b"x" * 300_000 + b'"}')  # larger than the topic takes
        bad.publish("lwm2m/{name}/send", b"not json " * 50_000)  # larger than its letters' topic takes
        good.send_lwm2m()
    records = reader.wait_for(9, seconds=30)
    reader.close()
    letters = [json.loads(record.value) for record in records if record.topic == dlq(topic)]
    assert sorted({letter["reason"].split(":")[0] for letter in letters}) == [
        "MSG_SIZE_TOO_LARGE",
        "undecodable",
    ]
    assert {letter["size"] for letter in letters} == {300_011, 450_000}
    assert len(letters) == 6
    assert sum(record.key == good.name.encode() for record in records) == 3
    wait_until(lambda: not bridge.metrics()["bridge_in_flight"], "nothing is in flight")
    values = bridge.metrics()
    assert (values["bridge_dead_lettered_total"], values["bridge_delivered_total"]) == (6, 3)
    assert values["bridge_lost_letters_total"] == values["bridge_stalled"] == 0
    status, health = bridge.health()
    assert (status, health["kafka"]) == (200, {"connected": True, "detail": "connected"})
