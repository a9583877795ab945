"""Prometheus' own tools on its configuration; the alerts have test_alerts.py."""

import subprocess
from pathlib import Path

import yaml

PROMETHEUS = Path(__file__).parents[3] / "prometheus"


def promtool(*words):
    command = ["promtool", *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_configuration_and_rules_are_valid():
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


def test_alerts_have_somewhere_to_go():
    subprocess.run(
        ["amtool", "check-config", PROMETHEUS / "alertmanager.yml"], check=True, capture_output=True
    )
    document = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    [receiver] = document["receivers"]
    assert receiver["name"] == document["route"]["receiver"]
    assert [hook["url"] for hook in receiver["webhook_configs"]] == ["http://console:8088/api/alerts/webhook"]


def test_each_job_has_the_one_address_that_the_native_engine_replaces():
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    for job in jobs:
        if job["job_name"] != "prometheus":
            [found] = job["dns_sd_configs"]
            assert found["names"] == [job["job_name"]]
            assert found["type"] == "A"
