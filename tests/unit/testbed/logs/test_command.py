import json
from datetime import datetime

import pytest
from typer.testing import CliRunner

from testbed.app import app


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """The state directory of a native testbed that wrote logs; runs `./testbed logs`."""
    monkeypatch.setenv("TESTBED_STATE", str(tmp_path))
    monkeypatch.setenv("PATH", "/nonexistent")
    directory = tmp_path / "logs"
    directory.mkdir()
    now = datetime.now().astimezone()
    for part, number in (("lwm2m-server", 1), ("device-simulator", 2)):
        event = {"event": f"step {number}", "timestamp": now.replace(microsecond=number).isoformat()}
        old = {"event": "long ago", "timestamp": "2020-01-01T00:00:00Z"}
        lines = [old, event | {"correlation_id": "order-4711", "operation": "read"}]
        (directory / f"{part}.log").write_text(
            "".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines)
        )

    def run(*arguments):
        result = CliRunner().invoke(app, ["logs", *arguments])
        return result.exit_code, result.output.splitlines()

    return run


def test_the_way_of_a_request_is_found_by_its_id(logs):
    code, lines = logs("--grep", "order-4711")
    assert code == 0
    assert [line.split(" | ")[0].strip() for line in lines] == ["lwm2m-server", "device-simulator"]
    assert [json.loads(line.split(" | ")[1])["event"] for line in lines] == ["step 1", "step 2"]


def test_text_is_found_as_it_is_shown_too(logs):
    assert len(logs("--grep", "operation=read")[1]) == 2


def test_one_part_needs_no_name_on_each_line(logs):
    _, lines = logs("lwm2m-server", "-n", "1")
    assert [json.loads(line)["event"] for line in lines] == ["step 1"]


def test_since_leaves_out_what_is_older(logs):
    assert len(logs()[1]) == 4
    assert len(logs("--since", "1h")[1]) == 2
    assert len(logs("--since", "2019-12-31")[1]) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nothing"], 1, "no log of nothing; logs: device-simulator, lwm2m-server"),
        (["--since", "soon"], 2, "since: got 'soon', allowed: an age"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(logs, arguments, code, told):
    found, lines = logs(*arguments)
    assert found == code
    assert len(lines) == 1
    assert told in lines[0]
