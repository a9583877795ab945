from pathlib import Path

import pytest
import yaml

from testbed.engines.native import alertmanager, mosquitto, prometheus
from testbed.engines.native.errors import PortInUseError
from testbed.engines.native.parts import Plan, parts_of
from testbed.engines.native.ports import BRIDGE, Ports, bridge_names

ROOT = Path(__file__).parents[3]
CONFIG = (ROOT / "mosquitto" / "mosquitto.conf").read_text()


def test_mosquitto_listens_on_the_given_ports_and_only_tls_leaves_the_host():
    text = mosquitto.render(CONFIG, mosquitto.BrokerPorts(18883, 11883, 19001), "192.0.2.1", "nobody")
    listeners = [
        line for line in text.splitlines() if line.startswith(("listener", "socket_domain", "user "))
    ]
    assert listeners == [
        "listener 18883 192.0.2.1",
        "listener 11883 127.0.0.1",
        "listener 19001 127.0.0.1",
        "socket_domain ipv4",
        "user nobody",
    ]


def test_prometheus_finds_every_part_on_this_host():
    document = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    rendered = prometheus.render(document, ROOT / "prometheus", Ports(10_000))
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in rendered["scrape_configs"]}
    assert targets == {
        "lwm2m-server": ["127.0.0.1:18080"],
        "sparkplug-host": ["127.0.0.1:18081"],
        "mqtt-redpanda-bridge": ["127.0.0.1:18082"],
        "device-simulator": ["127.0.0.1:18083"],
        "console": ["127.0.0.1:18088"],
        "redpanda-connect": ["127.0.0.1:18087"],
        "testbed-exporter": ["127.0.0.1:18089"],
        "alertmanager": ["127.0.0.1:19093"],
        "prometheus": ["127.0.0.1:19090"],
    }
    assert rendered["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:19093"]}]}]}
    assert not any("dns_sd_configs" in job for job in rendered["scrape_configs"])
    assert all(Path(pattern).parent.is_dir() for pattern in rendered["rule_files"])


def test_prometheus_finds_every_bridge_on_this_host():
    document = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    rendered = prometheus.render(document, ROOT / "prometheus", Ports(10_000), bridges=3)
    [job] = [job for job in rendered["scrape_configs"] if job["job_name"] == BRIDGE]
    assert job["static_configs"][0]["targets"] == ["127.0.0.1:18082", "127.0.0.1:18182", "127.0.0.1:18282"]


def test_several_bridges_have_one_identity_and_know_each_other(tmp_path, monkeypatch):
    monkeypatch.setenv("TESTBED_STATE", str(tmp_path))
    plan = Plan(1, None, "127.0.0.1", 10_000, "", False, False, bridges=3)
    parts = {part.name: part for part in parts_of(plan)}
    bridges = [parts[name].prepare().env for name in bridge_names(3)]
    assert {one["PEERS"] for one in bridges} == {"127.0.0.1:18092,127.0.0.1:18192,127.0.0.1:18292"}
    assert [one["PEER_PORT"] for one in bridges] == ["18092", "18192", "18292"]
    assert len({(one["MQTT_CERT"], one["STATE_FILE"]) for one in bridges}) == 1
    assert set(bridge_names(3)) <= set(parts["device-simulator"].needs)
    assert parts["console"].prepare().env["BRIDGE_URL"].count("http://") == 3


def test_prometheus_does_not_look_for_an_alertmanager_that_is_not_installed():
    document = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    rendered = prometheus.render(document, ROOT / "prometheus", Ports(), absent=("alertmanager",))
    assert "alerting" not in rendered
    assert "alertmanager" not in {job["job_name"] for job in rendered["scrape_configs"]}


def test_alerts_go_to_the_console_of_this_host(tmp_path):
    token = tmp_path / "to ken"
    command = alertmanager.prepare(tmp_path, ROOT / "prometheus", Ports(10_000), token)
    rendered = yaml.safe_load((tmp_path / "alertmanager.yml").read_text())
    [webhook] = rendered["receivers"][0]["webhook_configs"]
    assert webhook["url"] == "http://127.0.0.1:18088/api/alerts/webhook"
    assert webhook["http_config"] == {"authorization": {"credentials_file": str(token)}}
    assert "--web.listen-address=127.0.0.1:19093" in command.argv


@pytest.mark.parametrize("text", ["-1", "abc", "99999", "1.5"])
def test_a_bad_port_offset_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("TESTBED_PORT_OFFSET", text)
    with pytest.raises(PortInUseError, match="TESTBED_PORT_OFFSET"):
        Ports.from_environment()
