"""`./testbed bench events|read|registrations|profiles|host`: tiny runs, no timing judged."""

import json
import os
import subprocess
import sys

import pytest

PARTS = {"broker", "server", "load"}


def bench(directory, *arguments, status=0):
    source_paths = os.pathsep.join(path for path in sys.path if path.endswith("/src"))
    result = subprocess.run(
        [sys.executable, "-m", "testbed", "bench", *arguments, "--json"],
        env={**os.environ, "PYTHONPATH": source_paths},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert result.returncode == status, result.stderr
    return json.loads(result.stdout)


def test_events(tmp_path):
    found = bench(
        tmp_path, "events", "--seconds", "1", "--warmup", "0.2", "--runs", "2", "--rate", "200",
        "--events", "2500", "--connections", "8",
    )  # fmt: skip
    assert len(found["runs"]) == 2
    assert found["machine"]["cores"] >= 1
    for run in found["runs"]:
        assert set(run) == {"saturated", "offered", "alone", "pages"}
        for figures in run.values():
            assert set(figures["cpu_us"]) == PARTS
            assert figures["failed"] == figures["unanswered"] == 0
            assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p99"]
        assert 150 < run["offered"]["requests_per_s"] < 250
        pages = run["pages"]
        # The feed of 2,501 events or a few more is read as pages of 1000, 1000 and the rest.
        assert 500 < pages["events_per_s"] / pages["requests_per_s"] <= 1000


@pytest.mark.parametrize("profile", ["json", "oma"])
def test_registrations(tmp_path, profile):
    found = bench(
        tmp_path, "registrations", "--profile", profile, "--count", "300", "--warmup", "50", "--runs", "1"
    )
    (run,) = found["runs"]
    assert run["registered"] == 350
    assert run["refused"] == run["missing"] == 0
    assert set(run["cpu_us"]) == PARTS
    assert run["bytes"]["register"] > run["bytes"]["answer"] > 0
    assert found["median"]["registrations_per_s"] == run["registrations_per_s"] > 0


def test_read(tmp_path):
    found = bench(tmp_path, "read", "--devices", "2", "--seconds", "2", "--warmup", "0.5", "--runs", "1")
    (run,) = found["runs"]
    assert run["failed"] == run["unanswered"] == 0
    assert run["reads"] > 10
    assert 100 < run["sent_per_s"]["sparkplug"] < 250
    assert 5 < run["sent_per_s"]["lwm2m"] < 15
    assert set(run["cpu_percent"]) == PARTS | {"devices"}


def test_profiles(tmp_path):
    found = bench(
        tmp_path, "profiles", "--devices", "2", "--rate", "50", "--seconds", "1", "--warmup", "0.2",
        "--runs", "1",
    )  # fmt: skip
    (run,) = found["runs"]
    operations = {
        *("register", "update", "send", "notify", "read", "read-instance", "read-composite"),
        *("discover", "write", "write-attributes", "observe", "execute", "cancel-observe"),
    }
    for profile in ("json", "oma"):
        figures = run[profile]
        assert set(figures["bytes"]) == operations
        assert figures["bytes"]["read"]["answer"] > 0
        assert figures["bytes"]["notify"]["answer"] == 0
        assert 25 < figures["send"]["sends_per_s"] < 100
        assert set(figures["send"]["cpu_us"]) == {"broker", "server", "devices"}
        assert set(figures["read"]["cpu_us"]) == PARTS | {"devices"}
    assert run["oma"]["bytes"]["send"]["request"] < run["json"]["bytes"]["send"]["request"]


def test_host(tmp_path):
    found = bench(
        tmp_path, "host", "--nodes", "50", "--metrics", "5", "--messages", "500", "--rate", "1000",
        "--runs", "2",
    )  # fmt: skip
    for run in found["runs"]:
        assert run["data"]["missing"] == run["data"]["without_effect"] == 0
        assert set(run["data"]["cpu_us"]) == {"broker", "host"}
        assert run["core"]["data_us"] > 0
        assert run["births"]["births_per_s"] > 0


def test_a_wrong_option_is_named(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "testbed", "bench", "events", "--events", "5"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p.endswith("/src"))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 2
    assert "--events" in result.stderr
