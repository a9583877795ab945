"""Takes orders for experiments: one at a time, each in a process of its own, always with a report."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from iiot.errors import IiotError
from iiot.rest import EventRing
from iiot.telemetry import get_logger
from testbed.experiments import report
from testbed.experiments.catalog import find
from testbed.experiments.hands import Hands
from testbed.experiments.lab import ExperimentError
from testbed.experiments.model import Experiment, Value
from testbed.experiments.store import Reports

EVENTS_KEPT: Final = 5_000
LONGEST: Final = 1_800.0
"""s after which a run is ended."""
GRACE: Final = 20.0
"""s in which an aborted run cleans up before its process is killed."""
LONGEST_LINE: Final = 64 << 20
"""Bytes of the longest line: a report with every second of the run."""

log = get_logger(__name__)


class BusyError(IiotError):
    """An experiment is running already."""


class UnknownRunError(IiotError):
    """There is no such run."""


@dataclass(slots=True)
class Run:
    """A run that has not ended.

    Attributes:
        phase: the one it is in.
        aborted: somebody wants it to end.
    """

    id: str
    experiment: Experiment
    values: Mapping[str, Value]
    hands: Hands | None
    started: int
    phase: str = "starting"
    aborted: bool = False
    first_event: int = 0
    process: asyncio.subprocess.Process | None = None
    faults: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For the API."""
        shown = {"id": self.id, "started": self.started, "phase": self.phase, "aborted": self.aborted}
        # One before the first event: where a reader of the stream starts to see all of the run.
        return {**shown, **report.heading(self.experiment, self.values), "after": self.first_event - 1}


class Desk:
    """Starts, watches and ends runs.

    Args:
        reports: where reports are kept.

    Attributes:
        events: what happens, for the event stream.
        running: the run that has not ended.
    """

    def __init__(self, reports: Reports) -> None:
        self.reports = reports
        self.events = EventRing(EVENTS_KEPT, lambda: time.time_ns() // 1000)
        self.running: Run | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, name: str, parameters: Mapping[str, object], hands: Hands | None) -> Run:
        """Start a run and return at once.

        Raises:
            InvalidValueError: no such experiment, or a parameter is out of bounds.
            BusyError: another has not ended.
        """
        experiment = find(name)
        values = experiment.check(parameters)
        if self.running is not None:
            raise BusyError(f"{self.running.experiment.name} is running; wait for it, or abort it")
        moment = datetime.now(UTC)
        run_id = f"{moment:%Y%m%d-%H%M%S}-{name}"
        run = Run(run_id, experiment, values, hands, int(moment.timestamp() * 1000))
        self.running = run
        run.first_event = self.events.latest + 1
        self._tell(run, "started", run.as_json())
        self._task = asyncio.create_task(self._see_through(run), name=run_id)
        log.info("experiment_started", run=run_id, **values)
        return run

    def abort(self, run_id: str) -> Run:
        """Have a run clean up and end.

        Raises:
            UnknownRunError: it is not running.
        """
        run = self.current(run_id)
        run.aborted = True
        self._end_faults(run)
        if run.process is not None:
            self._dismiss(run.process)
        return run

    def current(self, run_id: str) -> Run:
        """The running run.

        Raises:
            UnknownRunError: it is another, or none.
        """
        if self.running is None or self.running.id != run_id:
            raise UnknownRunError(f"{run_id} is not running")
        return self.running

    async def close(self) -> None:
        """End what runs, because the service stops."""
        if self.running is not None:
            self.abort(self.running.id)
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _see_through(self, run: Run) -> None:
        known = {"id": run.id, **report.heading(run.experiment, run.values), "started": run.started}
        verdict, reason = "error", None
        try:
            result = known | await self._outcome(run)
            result.setdefault("ended", time.time_ns() // 1_000_000)
            verdict, reason = result["verdict"], result.get("reason")
            await asyncio.to_thread(self.reports.keep, result)
        except OSError as exc:
            log.warning("report_not_kept", run=run.id, reason=str(exc))
        finally:
            self.running = None
            self._tell(run, "ended", {"verdict": verdict, "reason": reason})
            log.info("experiment_ended", run=run.id, verdict=verdict)

    async def _outcome(self, run: Run) -> dict[str, Any]:
        """What the run's process reports; why there is no such report, when it makes none."""
        problem = "Its process ended without a report."
        try:
            async with asyncio.timeout(LONGEST):
                found = await self._converse(run)
            if found is not None:
                return found
        except TimeoutError:
            problem = f"It did not end within {LONGEST:g} s."
        except (OSError, ValueError, KeyError, TypeError) as exc:
            problem = f"It could not be started or followed: {exc}"
        finally:
            await self._clean_up(run)
        if run.aborted:
            return {"verdict": "aborted", "reason": "It was aborted."}
        return {"verdict": "error", "reason": problem}

    async def _converse(self, run: Run) -> dict[str, Any] | None:
        """Give the job to a process and listen until its report."""
        run.process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "testbed.experiments.child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._write(run, {"id": run.id, "name": run.experiment.name, "parameters": dict(run.values)})
        if run.aborted:
            self._dismiss(process)
        assert process.stdout is not None  # noqa: S101 - it was asked for as a pipe
        async for line in process.stdout:
            event = orjson.loads(line)
            kind = event.pop("type")
            if kind == "report":
                found: dict[str, Any] = event["report"]
                return found
            if kind == "phase":
                run.phase = event["phase"]
            self._tell(run, kind, event)
            if kind == "fault":
                fault = self._fault(run, **event)
                run.faults[event["fault"]] = asyncio.create_task(fault, name=f"fault {event['fault']}")
        return None

    async def _fault(self, run: Run, fault: int, kind: Any, part: str, seconds: float) -> None:
        error = None if run.hands is not None else "nobody here may stop parts"
        try:
            if run.hands is not None:
                await run.hands.do(fault, kind, part, seconds)
        except ExperimentError as exc:
            error = str(exc)
        self._write(run, {"fault": fault, "error": error})

    def _write(self, run: Run, line: Mapping[str, Any]) -> None:
        if run.process is not None and run.process.stdin is not None and not run.process.stdin.is_closing():
            with suppress(ConnectionError):
                run.process.stdin.write(orjson.dumps(line) + b"\n")

    async def _clean_up(self, run: Run) -> None:
        """No fault goes on, and no process, however the run came to its end."""
        self._end_faults(run)
        await asyncio.gather(*run.faults.values(), return_exceptions=True)
        process = run.process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            process.terminate()  # it has reported, or never will by itself
        try:
            async with asyncio.timeout(GRACE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def _dismiss(self, process: asyncio.subprocess.Process) -> None:
        """Have a run's process clean up and report; the end of its input says so, at any time of its life."""
        if process.stdin is not None:
            process.stdin.close()

        def kill() -> None:
            if process.returncode is None:
                process.kill()

        asyncio.get_running_loop().call_later(GRACE, kill)

    def _end_faults(self, run: Run) -> None:
        for task in run.faults.values():
            task.cancel()

    def _tell(self, run: Run, kind: str, data: Mapping[str, object]) -> None:
        self.events.append(kind, run.id, data)
