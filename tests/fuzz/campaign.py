"""Fuzz every target for a while, as many at once as there are processors.

What is found, an input that raises or takes too long, is kept in `tests/fuzz/found/TARGET/`, which the
tests run from then on: commit it with the mend. What only leads to more code is kept in `.testbed/fuzz`.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fuzz.seeds import plant
from fuzz.targets import TARGETS

HERE = Path(__file__).parent
FOUND = HERE / "found"
ROOT = HERE.parent.parent
_CORPUS = ROOT / ".testbed" / "fuzz"
LONGEST_INPUT = 2048
"""Bytes that decide: generators make frames of up to 1 MiB of them."""
SECONDS_PER_INPUT = 10
"""A decoder that takes this long has no budget; machines that run this are slow and shared."""
MEMORY_MB = 2048
START_SECONDS = 3
"""To load and instrument the code of a target."""
_RUNS = re.compile(r"stat::number_of_executed_units: (\d+)")
_COVERED = re.compile(r"cov: (\d+)")


class Outcome(NamedTuple):
    """What fuzzing a target came to."""

    name: str
    runs: int
    covered: int
    seconds: float
    failed: bool
    log: str


def fuzz(name: str, limits: Sequence[str], *, corpus: Path, found: Path) -> Outcome:
    """Fuzz one target within libFuzzer's limits.

    Args:
        name: of the target.
        limits: such as `-max_total_time=60` or `-runs=1000`.
        corpus: a directory that inputs of interest are kept in.
        found: where an input that shows a fault is written.
    """
    for directory in (corpus, found):
        directory.mkdir(parents=True, exist_ok=True)
    plant(name, corpus)
    command = (
        *(sys.executable, "-m", "fuzz.one", name, *limits, "-print_final_stats=1"),
        *(f"-timeout={SECONDS_PER_INPUT}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={LONGEST_INPUT}"),
        "-len_control=0",
        *(f"-artifact_prefix={found}/", str(corpus), str(found)),
    )
    path = os.pathsep.join([str(HERE.parent), *sys.path[1:]])
    begun = time.monotonic()
    result = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    log = result.stdout + result.stderr
    runs, covered = _RUNS.findall(log), _COVERED.findall(log)
    return Outcome(
        name,
        int(runs[-1]) if runs else 0,
        int(covered[-1]) if covered else 0,
        time.monotonic() - begun,
        result.returncode != 0,
        log,
    )


def run(minutes: float, names: Sequence[str] = ()) -> int:
    """Fuzz the named targets, or all, for so many minutes together; returns the exit code."""
    chosen = list(names or TARGETS)
    at_once = max(1, min(len(chosen), os.cpu_count() or 1))
    end = time.monotonic() + minutes * 60
    print(f"fuzzing {len(chosen)} targets for {minutes:g} minutes, {at_once} at once", flush=True)  # noqa: T201
    with ThreadPoolExecutor(at_once) as pool:
        jobs = [
            pool.submit(_long, name, end, -(-(len(chosen) - number) // at_once))
            for number, name in enumerate(chosen)
        ]
        outcomes = [_told(job.result()) for job in jobs]
    for directory in FOUND.iterdir():
        if not any(directory.iterdir()):
            directory.rmdir()
    failed = sum(outcome.failed for outcome in outcomes)
    print(f"{len(outcomes) - failed} passed, {failed} failed")  # noqa: T201
    return 1 if failed else 0


def _long(name: str, end: float, turns: int) -> Outcome:
    """Fuzz a target for its share of the time that is left, of which each still needs some to start."""
    seconds = max(1, int((end - time.monotonic()) / turns - START_SECONDS))
    return fuzz(name, [f"-max_total_time={seconds}"], corpus=_CORPUS / name, found=FOUND / name)


def _told(outcome: Outcome) -> Outcome:
    verdict = "FAILED" if outcome.failed else "passed"
    work = f"{outcome.runs:>9,} inputs  {outcome.covered:>6,} places  {outcome.seconds:5.0f} s"
    print(f"{outcome.name:32} {verdict}  {work}", flush=True)  # noqa: T201
    if outcome.failed:
        print(outcome.log[-4000:], flush=True)  # noqa: T201
    return outcome
