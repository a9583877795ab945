"""Keeps every part running: starts it when what it needs is healthy, and again when it ends.

Runs as a process of its own (`python -m testbed.engines.native.supervisor`), so that the parts outlive the
command that started them; SIGTERM ends the parts in reverse order and then itself.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from testbed.engines.base import PartState, PartStatus
from testbed.engines.native import control, paths
from testbed.engines.native.errors import PartError
from testbed.engines.native.part import Part
from testbed.engines.native.parts import Plan, parts_of
from testbed.engines.native.process import ProcessId, identify, owned, spawn, stop
from testbed.engines.native.state import RunState

STARTUP_POLL = 0.2
BACKOFF_FIRST, BACKOFF_MAX = 0.5, 15.0
STEADY_SECONDS = 30.0
"""A part that ran this long starts again without delay when it ends."""
LOG_LIMIT = 20_000_000
"""Bytes after which a log is set aside as `<part>.log.1`, replacing the one before."""


class Supervisor:
    """Runs parts until told to stop.

    Args:
        parts: what to run.
        directory: the state directory: `run.json` and `logs/` are written here.
        devices: size of the fleet, written down for `status`.
    """

    def __init__(self, parts: Sequence[Part], directory: Path, devices: int) -> None:
        me = identify(os.getpid())
        if me is None:
            raise PartError("supervisor", "cannot see its own process in /proc")
        self._parts = {part.name: part for part in parts}
        self._directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._held: dict[str, asyncio.Event] = {}
        self._ready = {part.name: asyncio.Event() for part in parts}
        self._state = RunState(me, int(time.time() * 1000), devices)
        for part in parts:
            self._state.parts[part.name] = PartStatus(part.name, "waiting", ports=part.ports)
        self._state.save(directory)

    async def run(self, stopping: asyncio.Event) -> None:
        """Keep the parts running until `stopping` is set, then end them, last started first."""
        async with control.listening(self._directory, self.fault), asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._keep(part), name=part.name) for part in self._parts.values()]
            tasks.append(group.create_task(self._bound_logs(), name="logs"))
            await stopping.wait()
            for task in tasks:
                task.cancel()
        await asyncio.to_thread(self._stop_all)

    async def fault(self, kind: str, name: str, seconds: float) -> None:
        """Kill a part, or keep it stopped or frozen; returns when it is over, cancelled to end it early.

        Raises:
            PartError: it does not run, or something is being done to it already.
        """
        process = self._running.get(name)
        own = None if process is None else identify(process.pid)
        if own is None or name in self._held:
            raise PartError(name, "does not run" if own is None else "is being kept away already")
        if kind == "kill":
            os.kill(own.pid, signal.SIGKILL)
            return
        self._held[name] = released = asyncio.Event()
        frozen = _group(self._directory, own.pid) if kind == "pause" else []
        try:
            if kind == "stop":
                await asyncio.to_thread(stop, [own], self._parts[name].grace)
            for member in frozen:
                os.kill(member.pid, signal.SIGSTOP)
            await asyncio.sleep(seconds)
        finally:
            del self._held[name]
            released.set()
            for member in frozen:
                if member.alive:
                    os.kill(member.pid, signal.SIGCONT)

    async def _keep(self, part: Part) -> None:
        for name in part.needs:
            await self._ready[name].wait()
        backoff = BACKOFF_FIRST
        while True:
            started = time.monotonic()
            problem = await self._run_once(part)
            if problem is None:
                return
            held = self._held.get(part.name)
            if held is not None:
                self._note(part, "stopped", "kept away by an experiment", pid=None)
                await held.wait()
                continue
            backoff = BACKOFF_FIRST if time.monotonic() - started > STEADY_SECONDS else backoff
            restarts = self._state.parts[part.name].restarts + 1
            self._note(part, "restarting", problem, pid=None, restarts=restarts)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, BACKOFF_MAX)

    async def _run_once(self, part: Part) -> str | None:
        """Run a part until it ends; None when it is a set-up step that succeeded, else why it ended."""
        try:
            command = await asyncio.to_thread(part.prepare)
            process = spawn(command, self._log(part.name), self._directory)
        except (PartError, OSError) as exc:
            return str(exc)
        self._running[part.name] = process
        if own := identify(process.pid):
            self._state.processes[part.name] = own
        self._note(part, "starting", pid=process.pid)
        watch = asyncio.create_task(self._watch(part))
        try:
            status = await _ended(process)
        finally:
            watch.cancel()
        del self._running[part.name]
        self._end_remains(part.name)
        if part.once and status == 0:
            self._ready[part.name].set()
            self._note(part, "done", pid=None)
            return None
        return _describe_end(status)

    async def _watch(self, part: Part) -> None:
        if part.once:
            return
        healthy = False
        while True:
            problem = await asyncio.to_thread(part.probe)
            if problem is None:
                self._ready[part.name].set()
                self._note(part, "healthy")
                healthy = True
            else:
                self._note(part, "unhealthy" if healthy else "starting", problem)
            await asyncio.sleep(part.watch if problem is None else STARTUP_POLL)

    def _note(self, part: Part, state: PartState, detail: str = "", **changes: int | None) -> None:
        before = self._state.parts[part.name]
        after = replace(before, state=state, detail=detail, **changes)  # type: ignore[arg-type]
        if after != before:
            self._state.parts[part.name] = after
            try:
                self._state.save(self._directory)
            except OSError as exc:  # deleted, or the disk is full: the parts run on, and `down` finds them
                print(f"cannot write the state: {exc}", file=sys.stderr)  # noqa: T201 - the supervisor's log

    def _end_remains(self, name: str) -> None:
        # A killed part may leave children; a new instance must not meet them.
        leader = self._state.processes.pop(name, None)
        if leader:
            stop(_group(self._directory, leader.pid), 2.0)

    def _stop_all(self) -> None:
        for names in reversed(list(_levels(self._parts.values()))):
            ids = [identify(self._running[name].pid) for name in names if name in self._running]
            grace = max(self._parts[name].grace for name in names)
            stop([process for process in ids if process], grace)
        rest = [process for process in owned(self._directory) if process != self._state.supervisor]
        stop(rest, 2.0)
        for process in self._running.values():
            process.poll()

    def _log(self, name: str) -> Path:
        return self._directory / "logs" / f"{name}.log"

    async def _bound_logs(self) -> None:
        while True:
            for name in self._parts:
                log = self._log(name)
                with suppress(FileNotFoundError):
                    if log.stat().st_size > LOG_LIMIT:
                        # The writer appends, so it goes on at the start of the emptied file.
                        await asyncio.to_thread(shutil.copyfile, log, log.with_suffix(".log.1"))
                        os.truncate(log, 0)
            await asyncio.sleep(20)


async def _ended(process: subprocess.Popen[bytes]) -> int:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    descriptor = os.pidfd_open(process.pid)
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return process.wait()


def _describe_end(status: int) -> str:
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _group(directory: Path, leader: int) -> list[ProcessId]:
    """A part's process and its children: all in the session that it leads."""
    return [process for process in owned(directory) if _session(process.pid) == leader]


def _session(pid: int) -> int | None:
    with suppress(ProcessLookupError):
        return os.getsid(pid)
    return None


def _levels(parts: Iterable[Part]) -> Iterable[list[str]]:
    """Names of parts grouped so that each group needs only earlier ones."""
    left = {part.name: set(part.needs) for part in parts}
    while left:
        level = [name for name, needs in left.items() if not needs & left.keys()]
        yield level
        for name in level:
            del left[name]


async def _main() -> None:
    directory = paths.state()
    plan = Plan.load(directory)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await Supervisor(parts_of(plan), directory, plan.devices).run(stopping)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
