import re
import subprocess
import sys
from pathlib import Path

from testbed.check import PROCESSES, SECOND_CHANCE, run_tests
from testbed.engines.native.process import identify

TESTS = Path(__file__).parents[2]
NO_SETTINGS = ("-c", "/dev/null", "-o", f"pythonpath={TESTS}")
CONFTEST = "from schedule import pytest_xdist_make_scheduler"
DIES_ONCE = """
import os, pathlib, pytest

@pytest.mark.parametrize("number", range(5))
def test_it(number):
    mark = pathlib.Path(__file__).with_suffix(".mark")
    if number == 2 and not mark.exists():
        mark.touch()
        os._exit(1)
"""
FAILS_ONCE = """
import pathlib

def test_it():
    mark = pathlib.Path(__file__).with_suffix(".mark")
    if not mark.exists():
        mark.touch()
        raise AssertionError("{}")
"""
PASSES = "import pytest\n@pytest.mark.parametrize('number', range(5))\ndef test_it(number): pass\n"


def test_a_process_that_dies_fails_one_test_and_only_waits_get_a_second_chance(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for number in range(12):
        (tmp_path / f"test_{number}.py").write_text(DIES_ONCE if number == 8 else PASSES)
    (tmp_path / "test_late.py").write_text(FAILS_ONCE.format("a message came: not within 10 s, last: None"))
    (tmp_path / "test_wrong.py").write_text(FAILS_ONCE.format("1 message lost"))
    run = subprocess.run(
        (sys.executable, "-m", "pytest", *PROCESSES, *SECOND_CHANCE, *NO_SETTINGS, tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert re.search(r"crashed while running '.*test_8\.py::test_it\[2\]'", run.stdout)
    assert re.search("FAILED .*test_wrong.py::test_it - AssertionError: 1 message lost", run.stdout)
    assert "2 failed, 61 passed, 1 rerun" in run.stdout


def test_what_the_tests_leave_running_is_ended(tmp_path, capsys):
    script = f"""if True:
        import pathlib, subprocess, sys
        child = subprocess.Popen(("sleep", "600"), start_new_session=True)
        pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
        sys.exit(3)
    """
    assert run_tests((sys.executable, "-c", script)) == 3
    assert identify(int((tmp_path / "pid").read_text())) is None
    assert "left running by the tests, ended: 1" in capsys.readouterr().err
