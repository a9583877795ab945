import pytest
from typer.testing import CliRunner

from testbed.app import app
from testbed.bench import rivals


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A directory that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_redpanda_connect_takes_part_when_it_is_installed(programs):
    assert list(rivals._rivals()) == ["mqtt-redpanda-bridge", "paho-mqtt"]
    program = programs / "redpanda-connect"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert list(rivals._rivals()) == list(rivals.PROMISES)


def test_an_unknown_bridge_is_refused_with_the_names_of_the_others():
    result = CliRunner().invoke(app, ["bench", "bridges", "--only", "nodered"])
    assert result.exit_code == 2
    for name in ("nodered", *rivals.PROMISES):
        assert name in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("in_flight", [1, 64])
def test_redpanda_connect_gets_the_guarantees_that_it_can_give(in_flight):
    whole = rivals._configuration(1883, "127.0.0.1:9092", 8087, in_flight)
    source, sink = whole["input"]["mqtt"], whole["output"]["redpanda"]
    assert (source["qos"], source["clean_session"]) == (1, False)
    assert (sink["acks"], sink["idempotent_write"], sink["max_in_flight"]) == ("all", True, in_flight)
