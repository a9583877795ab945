"""Processes that outlive their starter: spawned in sessions of their own, recognised and stopped safely.

A process is recognised by its id together with its start time, because ids are reused; what belongs to a
testbed is recognised by an environment variable that holds the path of that testbed's state directory and
that children inherit. Nothing is ever looked up by name.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

OWNER_VARIABLE = "IIOT_TESTBED_STATE"


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment of the starter."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process, told apart from a later one with the same number."""

    pid: int
    started: int
    """Clock ticks since boot, field 22 of /proc/PID/stat."""

    @property
    def alive(self) -> bool:
        """Whether the process exists and has not ended (a zombie has ended)."""
        return identify(self.pid) == self


def identify(pid: int) -> ProcessId | None:
    """The process that has this number now; None when there is none or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else ProcessId(pid, int(rest[18]))


def spawn(command: Command, log: Path, owner: Path) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, with its output appended to `log`.

    Args:
        command: what to execute.
        log: the file for standard output and error.
        owner: state directory of the testbed that the process belongs to.
    """
    environment = {**os.environ, **command.env, OWNER_VARIABLE: str(owner.resolve())}
    with log.open("ab") as output:
        return subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def terminate(process: subprocess.Popen[bytes], grace: float) -> None:
    """End a child of this process and collect its exit status."""
    process.terminate()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def owned(owner: Path) -> list[ProcessId]:
    """All living processes that were started for the testbed with this state directory."""
    return carrying(OWNER_VARIABLE, str(owner.resolve()))


def owners() -> Counter[str]:
    """State directories of all testbeds of this user that have processes, with how many these are."""
    prefix = f"{OWNER_VARIABLE}=".encode()
    found: Counter[str] = Counter()
    for _, environment in _environments():
        found.update(os.fsdecode(one.removeprefix(prefix)) for one in environment if one.startswith(prefix))
    return found


def carrying(variable: str, value: str) -> list[ProcessId]:
    """All living processes that were started with this in their environment, but this one."""
    marker = f"{variable}={value}".encode()
    found = (identify(pid) for pid, environment in _environments() if marker in environment)
    return [process for process in found if process]


def _environments() -> Iterator[tuple[int, list[bytes]]]:
    """Of every process but this one, as it was started."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            yield int(entry.name), (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile, or another user's


def stop(processes: Collection[ProcessId], grace: float = 10.0) -> list[ProcessId]:
    """End processes: SIGTERM, then SIGKILL for those still alive after `grace` seconds.

    Returns:
        The processes that survived even that (stuck in the kernel).
    """
    for process in processes:
        _signal(process, signal.SIGTERM)
    remaining = _wait(processes, grace)
    for process in remaining:
        _signal(process, signal.SIGKILL)
    return _wait(remaining, 5.0)


def _signal(process: ProcessId, number: signal.Signals) -> None:
    if process.alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _wait(processes: Collection[ProcessId], seconds: float) -> list[ProcessId]:
    deadline = time.monotonic() + seconds
    remaining = [process for process in processes if process.alive]
    while remaining and time.monotonic() < deadline:
        time.sleep(0.05)
        remaining = [process for process in remaining if process.alive]
    return remaining
