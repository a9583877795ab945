from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from testbed.app import app
from testbed.bench import connect_rival, rivals
from testbed.bench.connect_rival import IN_ORDER, Rival, document


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


@pytest.mark.parametrize("name", rivals.CONNECT)
def test_redpanda_connect_gets_the_guarantees_that_it_can_give(name):
    for configuration in rivals.CONNECT[name]:
        whole = document(configuration, 1883, "127.0.0.1:9092", 8087)
        source, sink = whole["input"]["mqtt"], whole["output"][configuration.output]
        assert (source["qos"], source["clean_session"]) == (1, name.endswith("clean session"))
        assert (sink["acks"], sink["idempotent_write"]) == ("all", True)
        keeps_order = (sink["max_in_flight"], whole.get("pipeline")) == (1, {"threads": 1})
        assert keeps_order == (name == "redpanda-connect")


@pytest.mark.parametrize("name", rivals.CONNECT)
def test_the_rival_is_tried_with_both_outputs_and_several_batches(name):
    tried = rivals.CONNECT[name]
    assert {one.output for one in tried} == {"redpanda", "kafka_franz"}
    assert len({(one.count, one.period) for one in tried}) > 1
    assert len(set(tried)) == len(tried) > 2


def test_the_best_configuration_takes_part(monkeypatch):
    rates = {one: 100.0 * number for number, one in enumerate(IN_ORDER)}
    rival = Rival(None, (), 1883, "127.0.0.1:9092")
    monkeypatch.setattr(rival, "running", lambda one: nullcontext(one), raising=False)
    monkeypatch.setattr(connect_rival, "settle", lambda *_, **__: 0)
    monkeypatch.setattr(connect_rival, "measure", lambda rig, *_, **__: SimpleNamespace(rate=rates[rig]))
    tried = rival.try_all(IN_ORDER, None, partitions=1, settling=0)
    assert [one.configuration for one in tried] == list(reversed(IN_ORDER))
