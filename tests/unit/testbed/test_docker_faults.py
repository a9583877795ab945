"""Faults on containers, against a stand-in for Compose that notes what it is told."""

import os
import signal
import subprocess
import sys

import pytest

from support import wait_until
from testbed.engines.base import EngineError
from testbed.engines.docker import DockerEngine
from testbed.engines.docker_faults import break_part
from testbed.experiments.command import _follow


@pytest.fixture
def compose(tmp_path):
    """A command line like Compose's; `told()` says what it was given."""
    log = tmp_path / "told"
    log.touch()
    script = tmp_path / "compose"
    script.write_text(
        f'#!/bin/sh\necho "$*" >> {log}\ncase "$2" in gone) echo "no such service" >&2; exit 1;; esac\n'
    )
    script.chmod(0o755)
    return (str(script),), lambda: log.read_text().splitlines()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("kill", ["kill redpanda", "start redpanda"]),
        ("stop", ["stop redpanda", "start redpanda"]),
        ("pause", ["pause redpanda", "unpause redpanda"]),
    ],
)
def test_a_fault_begins_and_ends(compose, kind, expected):
    command, told = compose
    break_part(command, kind, "kafka", 0.01)
    assert told() == expected


def test_a_refusal_is_told_in_one_line(compose):
    command, _ = compose
    with pytest.raises(EngineError, match="docker compose stop gone: no such service"):
        break_part(command, "stop", "gone", 1)


def test_a_fault_ends_also_when_whoever_began_it_is_killed(compose):
    command, told = compose
    code = "from testbed.engines.docker_faults import break_part\n"
    code += f"break_part({command!r}, 'pause', 'console', 1.5)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen((sys.executable, "-c", code), env=environment) as process:
        wait_until(lambda: told() == ["pause console"], "it began", 20)
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: told() == ["pause console", "unpause console"], "it ended", 10)


class FakeClient:
    def __init__(self):
        self.posted = []

    def post(self, path, body):
        self.posted.append((path, body))


@pytest.mark.parametrize("error", [None, "docker compose stop redpanda: failed"])
def test_the_command_line_does_what_a_run_asks_for_and_reports_it(error, monkeypatch):
    done = []

    def do(_, kind, part, seconds):
        done.append((kind, part, seconds))
        if error:
            raise EngineError(error)

    monkeypatch.setattr(DockerEngine, "break_part", do)
    client, fault = FakeClient(), {"fault": 3, "kind": "stop", "part": "kafka", "seconds": 5}
    _follow(client, DockerEngine.__new__(DockerEngine), "run-1", "fault", fault, None)
    assert done == [("stop", "kafka", 5)]
    assert client.posted == [("/runs/run-1/faults", {"fault": 3, "error": error})]
