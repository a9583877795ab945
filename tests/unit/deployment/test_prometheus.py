"""Prometheus' own tools on its configuration and alerts."""

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


def test_alerts_fire_when_they_should_and_only_then():
    promtool("test", "rules", PROMETHEUS / "tests" / "testbed_test.yml")


def test_every_alert_is_tested_for_firing():
    rules = yaml.safe_load((PROMETHEUS / "rules" / "testbed.yml").read_text())
    tests = yaml.safe_load((PROMETHEUS / "tests" / "testbed_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test.get("alert_rule_test", ())]
    fired = {case["alertname"] for case in cases if case["exp_alerts"]}
    assert {rule["alert"] for group in rules["groups"] for rule in group["rules"]} == fired


def test_each_job_has_the_one_address_that_the_native_engine_replaces():
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    for job in jobs:
        if job["job_name"] != "prometheus":
            [found] = job["dns_sd_configs"]
            assert found["names"] == [job["job_name"]]
            assert found["type"] == "A"
