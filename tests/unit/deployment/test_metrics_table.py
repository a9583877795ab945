"""The conventions that docs/metrics.md promises, held against its rows, which are made from the code."""

import re
from pathlib import Path

import pytest

TABLE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
PREFIX = {
    "lwm2m-server": ("lwm2m_",),
    "sparkplug-host": ("sparkplug_",),
    "mqtt-redpanda-bridge": ("bridge_",),
    "device-simulator": ("simulator_",),
    "console": ("console_",),
    "redpanda-connect": ("connect_", "input_", "output_"),
    "testbed-exporter": ("mosquitto_", "kafka_", "ledger_", "disk_"),
}
UNBOUNDED = {"device", "endpoint", "client", "client_id", "edge_node", "node", "token", "key"}
UNITS_TO_AVOID = re.compile(r"_(ms|milliseconds|minutes|hours|kb|mb|megabytes|percent)(_|$)")


def rows():
    service = ""
    for line in TABLE.splitlines():
        if line.startswith("## "):
            service = line.removeprefix("## ")
        elif line.startswith("| `"):
            name, kind, labels, meaning = (cell.strip() for cell in line.strip("|").split("|"))
            yield pytest.param(
                service, name.strip("`"), kind, set(re.findall(r"`(\w+)`", labels)), meaning, id=name
            )


@pytest.mark.parametrize(("service", "name", "kind", "labels", "meaning"), list(rows()))
def test_a_metric_keeps_the_conventions(service, name, kind, labels, meaning):
    assert name.startswith(PREFIX.get(service, ("iiot_", "process_", "python_", "<service>_")))
    assert re.fullmatch(r"(<service>)?[a-z0-9_]+", name)
    assert name.endswith("_total") == (kind == "counter" or name.startswith("connect_"))
    assert not UNITS_TO_AVOID.search(name)
    assert kind != "histogram" or name.endswith(("_seconds", "_bytes"))
    assert not labels & UNBOUNDED
    assert len(meaning) > 5
    assert not name.endswith("_created")


def test_every_service_has_its_rows():
    found = {param.values[0] for param in rows()}
    assert found == {*PREFIX, "Every service"}
