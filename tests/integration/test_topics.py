"""`testbed topics` against a real Kafka and a schema registry in memory."""

import asyncio
from dataclasses import replace

from typer.testing import CliRunner

from iiot import schemas
from iiot.kafka import TopicSpec, ensure_topics, topic_differences
from iiot.settings import load
from iiot.topics import LWM2M_HTTP, LWM2M_WEBSOCKET, dlq
from mqtt_redpanda_bridge.routes import Route, RouteTable
from mqtt_redpanda_bridge.settings import BridgeSettings
from mqtt_redpanda_bridge.sink import topic_specs
from schema_registry import running_registry
from support import free_port
from testbed.app import app


def test_it_registers_what_redpanda_connect_writes(kafka, monkeypatch):
    monkeypatch.setenv("KAFKA_BROKERS", kafka)
    with running_registry() as registry:
        monkeypatch.setenv("SCHEMA_REGISTRY_URL", registry.url)
        result = CliRunner().invoke(app, ["topics"])
    assert (result.exit_code, "registered: 4 schemas" in result.output) == (0, True), result.output
    written = (LWM2M_HTTP, LWM2M_WEBSOCKET)
    assert set(registry.subjects) == {f"{name}-value" for one in written for name in (one, dlq(one))}
    assert registry.subjects[f"{LWM2M_HTTP}-value"] == ("JSON", schemas.current(schemas.LWM2M_EVENT).text)


def test_topics_have_the_shape_that_the_bridge_gives_them(kafka, monkeypatch, unique):
    names = {"LWM2M_HTTP_TOPIC": unique("http"), "LWM2M_WEBSOCKET_TOPIC": unique("websocket")}
    old = names["LWM2M_WEBSOCKET_TOPIC"]
    asyncio.run(ensure_topics(kafka, [TopicSpec(old, 2, {"max.message.bytes": "1048588"})]))
    shape = {"TOPIC_PARTITIONS": "4", "TOPIC_RETENTION_HOURS": "2", "TOPIC_COMPRESSION": "lz4"}
    for name, value in {"KAFKA_BROKERS": kafka, **names, **shape}.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, ["topics"])
    assert result.exit_code == 0, result.output
    assert f"take larger records now: {old}" in result.output
    new = names["LWM2M_HTTP_TOPIC"]
    routes = RouteTable([Route(name="x", filters=("x",), topic=new, format="raw", key="topic")])
    specs = topic_specs(routes, load(BridgeSettings, device_states=False))
    assert [spec.name for spec in specs] == [new, dlq(new)]
    assert asyncio.run(topic_differences(kafka, specs)) == {}
    differences = asyncio.run(topic_differences(kafka, [replace(specs[0], name=old)]))
    assert not [line for line in differences[old] if line.startswith("max.message.bytes")]


def test_an_absent_registry_is_told_and_holds_up_nothing(kafka, monkeypatch):
    monkeypatch.setenv("KAFKA_BROKERS", kafka)
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", f"http://127.0.0.1:{free_port()}")
    result = CliRunner().invoke(app, ["topics"])
    assert result.exit_code == 0
    assert "schemas are not registered: PUT http" in result.output
