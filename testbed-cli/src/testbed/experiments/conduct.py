"""One run from its first second to its report."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from iiot.errors import IiotError
from testbed.experiments import prometheus, report
from testbed.experiments.catalog import find
from testbed.experiments.comparisons import compare_paths
from testbed.experiments.lab import Fault, Lab
from testbed.experiments.model import PHASES, Experiment, Values
from testbed.experiments.places import Factory, Places
from testbed.experiments.recorder import Recorder
from testbed.experiments.samples import recovery

BEFORE: Final = 10.0
"""s of undisturbed traffic, which everything afterwards is compared with."""
AFTER: Final = 5.0
PATIENCE: Final = 30.0
"""s without an arrival after which what is missing counts as lost."""

Emit = Callable[[Mapping[str, Any]], None]


async def conduct(
    run_id: str, name: str, parameters: Mapping[str, object], places: Places, fault: Fault, emit: Emit
) -> dict[str, Any]:
    """Run an experiment; whatever happens there is a report, and nothing of the run's own is left behind.

    Args:
        run_id: names the run.
        name: of the experiment.
        parameters: the given ones.
        places: where the parts are.
        fault: does something to a part.
        emit: is told each phase, sample and note.

    Raises:
        InvalidValueError: there is no such experiment, or a parameter is out of bounds.
    """
    experiment = find(name)
    values = experiment.check(parameters)
    run = _Run(experiment, values, places, fault, emit)
    result = {"id": run_id, **report.heading(experiment, values), "started": run.started}
    try:
        result |= await run.through()
    except asyncio.CancelledError:
        result |= {"verdict": "aborted", "reason": "It was aborted."}
    except IiotError as exc:
        result |= {"verdict": "error", "reason": f"It could not be carried out: {exc}"}
    course = {"began": run.recorder.phases.began, "notes": run.notes}
    return result | course | {"samples": [sample.as_json() for sample in run.recorder.samples]}


class _Run:
    def __init__(
        self, experiment: Experiment, values: Values, places: Places, fault: Fault, emit: Emit
    ) -> None:
        self.started = _now()
        self.notes: list[dict[str, Any]] = []
        self._experiment = experiment
        self._values = values
        self._places = places
        self._emit = emit
        self._lab = Lab(places, Factory(places), fault, self._note)
        self.recorder = Recorder(
            places,
            lambda: [counter for guest in self._lab.guests for counter in guest.counters()],
            lambda sample: emit({"type": "sample", **sample.as_json()}),
        )

    async def through(self) -> dict[str, Any]:
        recorder, lab = self.recorder, self._lab
        async with recorder.running():
            self._begin(PHASES[0])
            await asyncio.sleep(BEFORE)
            self._begin(PHASES[1])
            await self._experiment.act(lab, self._values)
            if not lab.disturbed_until:
                lab.calm()
            self._begin(PHASES[2])
            await self._recover()
            recorder.end()
            self._note("waiting for the last messages")
            verdict = await recorder.settle(PATIENCE)
        expectation = self._experiment.expectation(self._values)
        lab.checks += report.judge(expectation, verdict, recorder.samples, lab.disturbed_until)
        result = report.measured(verdict, recorder.phases, recorder.samples, lab.disturbed_until)
        return {
            "verdict": "passed" if all(check.good for check in lab.checks) else "failed",
            "ended": _now(),
            "disturbed_until": lab.disturbed_until,
            "checks": lab.checks_json(),
            **result,
            "problems": sorted(recorder.problems),
            "tables": self._tables(),
            "figures": lab.figures,
            "prometheus": await prometheus.figures(self._places.prometheus_url, recorder.phases),
        }

    def _tables(self) -> dict[str, Any]:
        tables = {"Ways into Kafka, of messages sent during it": compare_paths(self.recorder.phases)}
        if "profiles" in self._lab.figures:
            tables["Profiles"] = self._lab.figures.pop("profiles")
        return tables

    async def _recover(self) -> None:
        expectation = self._experiment.expectation(self._values)
        ends = time.monotonic() + max(AFTER, expectation.recovers_within or 0.0)
        least = time.monotonic() + AFTER
        while time.monotonic() < ends:
            recovered = recovery(self.recorder.samples, self._lab.disturbed_until) is not None
            if recovered and time.monotonic() >= least:
                return
            await asyncio.sleep(0.2)

    def _begin(self, phase: str) -> None:
        self._emit({"type": "phase", "phase": phase, "at": self.recorder.begin(phase)})

    def _note(self, text: str) -> None:
        note = {"seconds": round((_now() - self.started) / 1000, 1), "text": text}
        self.notes.append(note)
        self._emit({"type": "note", "at": _now(), **note})


def _now() -> int:
    return time.time_ns() // 1_000_000
