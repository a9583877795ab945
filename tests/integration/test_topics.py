"""`testbed topics` against a real Kafka and a schema registry in memory."""

from typer.testing import CliRunner

from iiot import schemas
from iiot.topics import LWM2M_HTTP, LWM2M_WEBSOCKET, dlq
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


def test_an_absent_registry_is_told_and_holds_up_nothing(kafka, monkeypatch):
    monkeypatch.setenv("KAFKA_BROKERS", kafka)
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", f"http://127.0.0.1:{free_port()}")
    result = CliRunner().invoke(app, ["topics"])
    assert result.exit_code == 0
    assert "schemas are not registered: PUT http" in result.output
