"""One number says how large a message may be: everything on its way takes it, in both engines."""

import re
from pathlib import Path

import pytest
import yaml

from iiot import budgets, schemas
from iiot.kafka import PARTITIONER
from iiot.topic_shape import TopicSettings, topic_specs
from testbed.connect.config import fill_in
from testbed.engines.native import kafka
from testbed.topics import Settings

ROOT = Path(__file__).parents[3]
CONNECT = (ROOT / "redpanda-connect-config.yaml").read_text()


def outputs(config):
    """All `redpanda` outputs, at any depth."""
    if isinstance(config, dict):
        for name, value in config.items():
            if name == "redpanda":
                yield value
            yield from outputs(value)
    elif isinstance(config, list):
        for value in config:
            yield from outputs(value)


def test_the_broker_takes_what_the_budget_says():
    config = (ROOT / "mosquitto" / "mosquitto.conf").read_text()
    assert re.findall(r"^max_packet_size (\d+)$", config, re.MULTILINE) == [str(budgets.MESSAGE_BYTES)]


def test_each_limit_has_room_for_the_one_before_it():
    whole_letter = budgets.MESSAGE_BYTES * 4 / 3
    assert whole_letter < budgets.OUTPUT_BYTES < budgets.RECORD_BYTES < budgets.BATCH_BYTES
    assert budgets.LETTER_PAYLOAD_BYTES > budgets.MESSAGE_BYTES
    assert budgets.LETTER_PAYLOAD_BYTES * 4 // 3 <= budgets.OUTPUT_BYTES
    assert budgets.BATCH_BYTES * 4 < budgets.QUEUE_BYTES


@pytest.mark.parametrize("compression", ["zstd", "producer"])
def test_all_topics_take_a_batch_whoever_creates_them(compression):
    specs = topic_specs(["a", "b"], TopicSettings(topic_compression=compression), device_states=True)
    assert {spec.config["max.message.bytes"] for spec in specs} == {str(budgets.BATCH_BYTES)}
    assert {spec.config["compression.type"] for spec in specs} == {compression}
    assert {spec.partitions for spec in specs if not spec.name.endswith(".dlq")} == {6}


def test_native_kafka_takes_a_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(kafka, "_format", lambda *_: None)
    kafka.prepare(tmp_path, tmp_path)
    lines = (tmp_path / "server.properties").read_text().splitlines()
    for name in ("message.max.bytes", "replica.fetch.max.bytes"):
        assert f"{name}={budgets.BATCH_BYTES}" in lines


def test_redpanda_connect_takes_the_same_and_partitions_alike():
    found = list(outputs(yaml.safe_load(fill_in(CONNECT, {}))))
    assert len(found) == 4
    for output in found:
        assert output["max_message_bytes"] == str(budgets.BATCH_BYTES)
        assert (output["partitioner"], PARTITIONER) == ("murmur2_hash", "murmur2_random")
        assert (output["acks"], output["idempotent_write"], output["max_in_flight"]) == ("all", True, 1)
    assert set(re.findall(r"MAX_EVENT_BYTES:(\d+)", CONNECT)) == {str(budgets.OUTPUT_BYTES)}
    assert f"slice(0, {budgets.LETTER_PAYLOAD_BYTES})" in CONNECT
    assert f"length() > {budgets.NESTING} {{" in CONNECT
    assert f"range(0, {budgets.NESTING})" in CONNECT


def test_redpanda_connect_names_the_schemas_that_are_written_now():
    named = set(re.findall(r'ce_dataschema = "([^"]+)"', CONNECT))
    assert named == {schemas.uri(schemas.LWM2M_EVENT), schemas.uri(schemas.DEAD_LETTER)}


def test_containers_get_the_shape_of_the_topics_from_the_same_variables():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    wanted = {name.upper() for name in TopicSettings.model_fields}
    for name in ("topics", "mqtt-redpanda-bridge"):
        assert wanted <= services[name]["environment"].keys(), name
    names = {name.upper() for name in Settings.model_fields if name.endswith("_topic")}
    for name in ("topics", "redpanda-connect"):
        assert names <= services[name]["environment"].keys(), name


@pytest.mark.parametrize("service", ["mqtt-redpanda-bridge", "redpanda-connect"])
def test_what_producers_hold_fits_the_containers(service):
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    text = services[service]["deploy"]["resources"]["limits"]["memory"]
    memory = int(text.removesuffix("M")) * 1024 * 1024
    # A bridge holds as much again for itself, and for the members of its group.
    assert memory >= 3 * budgets.QUEUE_BYTES + 128 * 1024 * 1024
