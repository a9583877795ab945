import json

import pytest
from typer.testing import CliRunner

from testbed.app import app

DOCKER = """#!/bin/sh
echo "$@" >>"$DOCKER_CALLS"
case "$*" in
  *"ps --all"*) echo "$DOCKER_PS" ;;
  *" run "*) exit "$DOCKER_STATUS" ;;
esac
"""
CONTAINER = {"Name": "lwm2m-server", "Service": "lwm2m-server", "State": "running", "Health": "healthy"}


@pytest.fixture
def containers(tmp_path, monkeypatch):
    """A testbed that was started with Docker, and a `docker` that notes how it is called."""
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "engine").write_text("docker")
    for name, value in {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "TESTBED_STATE": str(tmp_path),
        "DOCKER_CALLS": str(tmp_path / "calls"),
        "DOCKER_STATUS": "0",
        "DOCKER_PS": json.dumps(CONTAINER),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KAFKA_BROKERS", raising=False)
    monkeypatch.delenv("SIMULATORS", raising=False)
    return tmp_path / "calls"


@pytest.mark.parametrize("status", [0, 1, 4])
def test_with_containers_it_runs_where_all_simulators_have_addresses(containers, monkeypatch, status):
    monkeypatch.setenv("DOCKER_STATUS", str(status))
    result = CliRunner().invoke(app, ["verify", "--seconds", "5", "--json"])
    assert result.exit_code == status
    assert (
        containers.read_text()
        .splitlines()[-1]
        .endswith("run --rm --no-deps tools verify --seconds=5.0 --patience=30.0 --json")
    )


def test_without_containers_nothing_is_running(containers, monkeypatch):
    monkeypatch.setenv("DOCKER_PS", "[]")
    result = CliRunner().invoke(app, ["verify"])
    assert result.exit_code == 3
    assert "no container is running" in result.stderr


def test_a_window_needs_a_length(containers):
    result = CliRunner().invoke(app, ["verify", "--seconds", "0"])
    assert result.exit_code == 2
