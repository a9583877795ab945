"""A supervisor with small parts: what an experiment may do to them through its socket."""

import asyncio
import stat
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support import eventually
from testbed.engines.native import control
from testbed.engines.native.control import ControlError
from testbed.engines.native.part import Part
from testbed.engines.native.process import Command, identify
from testbed.engines.native.state import RunState
from testbed.engines.native.supervisor import Supervisor

SLEEPER = (
    "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: exit(0))\nwhile True: time.sleep(0.05)"
)


@asynccontextmanager
async def supervised(directory):
    """A supervisor that runs one part, `sleeper`."""
    (directory / "logs").mkdir(parents=True)
    command = Command((sys.executable, "-c", SLEEPER), directory)
    supervisor = Supervisor([Part("sleeper", lambda: command, lambda: None)], directory, 1)
    stopping = asyncio.Event()
    task = asyncio.create_task(supervisor.run(stopping))
    try:
        await eventually(lambda: state(directory).state == "healthy", "the part is healthy")
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(task, 20)


def state(directory):
    return RunState.load(directory).parts["sleeper"]


def ask(directory, do, seconds=0.0, part="sleeper"):
    return control.ask(directory, {"do": do, "part": part, "seconds": seconds})


def is_frozen(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def is_back(directory):
    part = state(directory)
    return part.state == "healthy" and not is_frozen(part.pid)


@pytest.fixture
def directory(tmp_path):
    return tmp_path / ("deep-" * 20) / "state"  # longer than a socket's address may be


async def test_a_killed_part_is_started_again(directory):
    async with supervised(directory):
        before = state(directory).pid
        await ask(directory, "kill")
        await eventually(lambda: state(directory).pid not in (None, before), "another process")
        assert state(directory).restarts == 1


async def test_a_stopped_part_stays_away_and_comes_back_at_once(directory):
    async with supervised(directory):
        before = state(directory)
        stopping = asyncio.create_task(ask(directory, "stop", 1.0))
        await eventually(lambda: state(directory).state == "stopped", "the part is stopped")
        assert state(directory).pid is None
        await stopping
        await eventually(lambda: state(directory).state == "healthy", "the part is back")
        assert state(directory).restarts == before.restarts


async def test_a_paused_part_is_the_same_afterwards(directory):
    async with supervised(directory):
        pid = state(directory).pid
        pausing = asyncio.create_task(ask(directory, "pause", 1.0))
        await eventually(lambda: is_frozen(pid), "the part is frozen")
        await pausing
        assert not is_frozen(pid)
        assert state(directory).pid == pid


@pytest.mark.parametrize("kind", ["stop", "pause"])
async def test_a_fault_ends_with_whoever_asked_for_it(directory, kind):
    async with supervised(directory):
        pid = state(directory).pid
        asking = asyncio.create_task(ask(directory, kind, 600.0))
        await eventually(
            lambda: is_frozen(pid) if kind == "pause" else not state(directory).pid, "it is away"
        )
        asking.cancel()
        await eventually(lambda: is_back(directory), "it is back")


async def test_a_supervisor_that_ends_takes_a_frozen_part_along(directory):
    async with supervised(directory):
        pid = state(directory).pid
        asking = asyncio.create_task(ask(directory, "pause", 600.0))
        await eventually(lambda: is_frozen(pid), "the part is frozen")
    assert identify(pid) is None
    with pytest.raises(ControlError):
        await asking


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"do": "eat", "part": "sleeper", "seconds": 1}, "must be one of kill, stop, pause"),
        ({"do": "stop", "part": "sleeper", "seconds": 1e9}, "must be 0 to 600"),
        ({"do": "stop", "part": "sleeper"}, "needs a JSON line"),
        ({"do": "stop", "part": "nothing", "seconds": 1}, "does not run"),
    ],
)
async def test_bad_requests_are_refused_with_the_reason(directory, request_, reason):
    async with supervised(directory):
        with pytest.raises(ControlError, match=reason):
            await control.ask(directory, request_)


async def test_one_fault_at_a_time_for_a_part(directory):
    async with supervised(directory):
        first = asyncio.create_task(ask(directory, "pause", 600.0))
        await eventually(lambda: is_frozen(state(directory).pid), "the part is frozen")
        with pytest.raises(ControlError, match="kept away already"):
            await ask(directory, "pause", 1.0)
        first.cancel()


async def test_only_its_owner_may_open_the_socket(directory):
    async with supervised(directory):
        mode = (directory / "control.sock").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert not (directory / "control.sock").exists()


async def test_without_a_supervisor_the_error_says_so(tmp_path):
    with pytest.raises(ControlError, match="does not answer"):
        await ask(tmp_path, "kill")
