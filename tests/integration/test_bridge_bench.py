"""`./testbed bench bridge` measures what it says."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from support import wait_until


@pytest.mark.parametrize(
    ("options", "bridges"),
    [
        (["--qos", "1", "--tls", "--settle", "0"], {"bridge"}),
        (["--format", "sparkplug", "--bridges", "2", "--settle", "5"], {"bridge", "bridge-2"}),
    ],
)
def test_a_short_run_at_a_fixed_rate(options, bridges, tmp_path):
    source_paths = os.pathsep.join(path for path in sys.path if path.endswith("/src"))
    short = [
        "--rate",
        "500",
        "--seconds",
        "2",
        "--warmup",
        "1",
        "--runs",
        "1",
        "--topics",
        "5",
        "--partitions",
        "2",
    ]
    result = subprocess.run(
        [sys.executable, "-m", "testbed", "bench", "bridge", "--json", *short, *options],
        env={**os.environ, "PYTHONPATH": source_paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert result.returncode == 0, result.stderr
    run = json.loads(result.stdout)["runs"][0]
    assert run["missing"] == 0
    assert 250 < run["rate"] < 1000
    assert run["sent"] >= run["messages"] > 500
    assert set(run["cpu_us"]) == {*bridges, "broker", "kafka", "load"}
    assert 0 < run["latency_ms"]["p50"] <= run["latency_ms"]["p99"]


def test_another_bridge_on_the_same_load(tmp_path):
    source_paths = os.pathsep.join(path for path in sys.path if path.endswith("/src"))
    short = [
        "--rate=300",
        "--settle=0",
        "--seconds=1",
        "--warmup=0.5",
        "--runs=1",
        "--topics=5",
        "--partitions=2",
    ]
    result = subprocess.run(
        [sys.executable, "-m", "testbed", "bench", "bridges", "--json", "--only=paho-mqtt", *short],
        env={**os.environ, "PYTHONPATH": source_paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    bridge = report["bridges"]["paho-mqtt"]
    figures = bridge["median"]
    assert (report["absent"], figures["missing"]) == ([], 0)
    assert figures["rate"] > 150
    assert bridge["promise"].startswith("acknowledged after Kafka")


def test_sigterm_leaves_nothing_running(tmp_path):
    source_paths = os.pathsep.join(path for path in sys.path if path.endswith("/src"))
    environment = {**os.environ, "PYTHONPATH": source_paths, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "testbed", "bench", "bridge", "--rate", "10", "--seconds", "60"]
    bench = subprocess.Popen(command, env=environment, cwd=tmp_path)
    wait_until(lambda: parts_below(tmp_path) >= 3, "broker, Kafka and bridge run", seconds=60)
    bench.terminate()
    assert bench.wait(40) == 128 + signal.SIGTERM
    assert parts_below(tmp_path) == 0


def parts_below(directory):
    """Processes that work in a bench's temporary directory."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found += str((process / "cwd").readlink()).startswith(f"{directory}/testbed-bench-")
    return found
