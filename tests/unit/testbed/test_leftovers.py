"""A testbed whose state directory is deleted under it: real processes that carry its mark."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from testbed.engines.base import EngineError
from testbed.engines.native.engine import NativeEngine
from testbed.engines.native.parts import Plan
from testbed.engines.native.process import Command, identify, owned, spawn, stop
from testbed.engines.native.state import RunState


def run(state, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "testbed", *arguments],
        env=os.environ | {"TESTBED_STATE": str(state)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def state(tmp_path):
    """A state directory with two processes of its testbed."""
    directory = tmp_path / "clone" / ".testbed"
    directory.mkdir(parents=True)
    command = Command(
        (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"), tmp_path
    )
    processes = [spawn(command, tmp_path / "log", directory) for _ in range(2)]
    RunState(identify(processes[0].pid), 1, 2).save(directory)
    yield directory
    stop(owned(directory))
    for process in processes:
        process.wait(10)


def test_status_and_down_of_a_deleted_state_directory(state):
    shutil.rmtree(state)
    status = run(state, "status")
    assert (status.returncode, status.stderr) == (1, "")
    assert "2 processes" in status.stdout
    assert "./testbed down ends it" in status.stdout
    document = json.loads(run(state, "status", "--json").stdout)
    assert (document["running"], document["left_over"]) == (False, 2)
    down = run(state, "down")
    assert (down.returncode, down.stderr) == (0, "")
    assert "The testbed is down." in down.stdout.splitlines()
    assert owned(state) == []
    assert run(state, "status").returncode == 3


def test_another_clone_tells_how_to_end_what_a_removed_one_left(state, tmp_path):
    other = tmp_path / "other clone"
    other.mkdir()
    assert str(state) not in run(other, "status").stdout  # it is there, and none of the other's business
    shutil.rmtree(state.parent)
    (state / "data" / "kafka").mkdir(parents=True)  # as a part that starts again does
    for command in ("status", "down"):
        shown = run(other, command).stdout
        assert f"2 processes of a testbed still run whose state directory is gone, {state}" in shown
        assert f"TESTBED_STATE={state} ./testbed down" in shown
    assert len(owned(state)) == 2
    assert run(state, "down").returncode == 0
    assert owned(state) == []


def test_files_that_are_gone_or_damaged_are_a_line_and_no_traceback(state):
    for content in (None, "", "[", "{}", "[]", '{"devices": 1}', "[" * 100_000):
        if content is not None:
            (state / "plan.json").write_text(content)
        with pytest.raises(EngineError, match=r"plan\.json: .*\./testbed down ends what still runs"):
            Plan.load(state)
        shown = run(state, "status")
        assert "Traceback" not in shown.stdout + shown.stderr
    (state / "run.json").write_text("[" * 100_000)
    assert RunState.load(state) is None
    assert NativeEngine(state).port_offset() == 0
    assert run(state, "down").returncode == 0


def test_a_directory_that_is_gone_is_a_line(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os, sys; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); sys.argv[1:] = ['status']\n"
    code += "import runpy; runpy.run_module('testbed', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TESTBED_STATE": "relative"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("status: ")
    assert len(done.stderr.splitlines()) == 1
