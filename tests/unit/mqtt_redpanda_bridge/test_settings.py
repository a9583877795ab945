import pytest

from iiot.budgets import BATCH_BYTES
from iiot.errors import SettingsError
from iiot.settings import load
from mqtt_redpanda_bridge.routes import load_routes
from mqtt_redpanda_bridge.settings import BridgeSettings
from mqtt_redpanda_bridge.sink import topic_specs


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("RECEIVE_MAXIMUM", "70000", "less than or equal to 65535"),
        ("COMPRESSION", "zip", "'none', 'gzip'"),
        ("ROUTES_FILE", "/absent.yaml", "No such file"),
        ("SCHEMA_REGISTRY_URL", "redpanda:8081", "pattern"),
        ("STATE_FILE", "/absent/bridge.sqlite", "directory that exists"),
        ("PEERS", "bridge-2", "host:port"),
        ("PEERS", "bridge-2:0", "host:port"),
        ("PEER_PORT", "0", "greater than or equal to 1"),
        ("MAX_DEVICES", "0", "greater than or equal to 1"),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(monkeypatch, name, value, reason):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=reason) as caught:
        load(BridgeSettings)
    assert caught.value.problems[0].startswith(f"{name}=")


def test_routes_that_need_a_registry_say_so(tmp_path):
    path = tmp_path / "routes.yaml"
    path.write_text(
        "routes: [{name: x, filters: [lwm2m/+/send], topic: t, format: lwm2m-json, wire_format: confluent}]"
    )
    with pytest.raises(SettingsError, match=r"SCHEMA_REGISTRY_URL=None: required by .* route x"):
        load(BridgeSettings, routes_file=path)


def test_topics_with_their_dead_letter_siblings_and_the_compacted_one():
    shape = {"topic_partitions": 3, "topic_retention_hours": 2, "topic_compression": "zstd"}
    specs = topic_specs(load_routes(None), load(BridgeSettings, **shape))
    assert [(spec.name, spec.partitions) for spec in specs] == [
        ("iot.telemetry.sparkplug.data", 3),
        ("iot.telemetry.sparkplug.data.dlq", 1),
        ("iot.telemetry.lwm2m.registration", 3),
        ("iot.telemetry.lwm2m.registration.dlq", 1),
        ("iot.telemetry.lwm2m.updates", 3),
        ("iot.telemetry.lwm2m.updates.dlq", 1),
        ("iot.state.devices", 3),
    ]
    assert specs[0].config == {
        "retention.ms": "7200000",
        "message.timestamp.type": "LogAppendTime",
        "compression.type": "zstd",
        "max.message.bytes": str(BATCH_BYTES),
    }
    assert specs[-1].config["cleanup.policy"] == "compact"
    assert "retention.ms" not in specs[-1].config
