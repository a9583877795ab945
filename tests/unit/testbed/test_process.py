import signal
import subprocess
import sys
import time

from support import wait_until
from testbed.engines.native.process import Command, ProcessId, identify, owned, spawn, stop, terminate

SLEEP = (sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)")
IGNORE = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
STUBBORN = (sys.executable, "-c", IGNORE + SLEEP[-1])


def start(argv, directory):
    process = spawn(Command(argv, directory), directory / "log", directory)
    wait_until(lambda: "ready" in (directory / "log").read_text(), "the child runs")
    return process


def test_a_process_is_told_apart_from_a_later_one_with_its_number(tmp_path):
    process = start(SLEEP, tmp_path)
    own = identify(process.pid)
    assert own.alive
    assert not ProcessId(own.pid, own.started - 1).alive
    terminate(process, 5)
    assert identify(own.pid) is None


def test_a_zombie_has_ended(tmp_path):
    process = start(SLEEP, tmp_path)
    own = identify(process.pid)
    process.send_signal(signal.SIGKILL)
    wait_until(lambda: not own.alive, "the zombie counts as ended")
    process.wait()


def test_what_belongs_to_a_testbed_is_found_by_its_state_directory_alone(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    processes = [start(SLEEP, tmp_path / name) for name in ("a", "b")]
    assert [found.pid for found in owned(tmp_path / "a")] == [processes[0].pid]
    for process in processes:
        terminate(process, 5)
    assert owned(tmp_path / "a") == []


def test_children_of_a_part_are_found_after_it_was_killed(tmp_path):
    script = f"import subprocess, sys; subprocess.Popen({SLEEP!r}).wait()"
    process = start((sys.executable, "-c", script), tmp_path)
    process.kill()
    process.wait()
    left = owned(tmp_path)
    assert len(left) == 1
    assert stop(left, 5) == []


def test_a_process_that_ignores_sigterm_is_killed(tmp_path):
    process = start(STUBBORN, tmp_path)
    begun = time.monotonic()
    assert stop([identify(process.pid)], grace=0.3) == []
    assert time.monotonic() - begun < 5
    assert process.wait() == -signal.SIGKILL


def test_stopping_a_number_that_now_belongs_to_another_process_hurts_nobody(tmp_path):
    bystander = subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL)
    own = identify(bystander.pid)
    assert stop([ProcessId(own.pid, own.started - 1)], grace=0.1) == []
    assert own.alive
    terminate(bystander, 5)
