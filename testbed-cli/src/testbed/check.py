"""`testbed test`: every check and every test; the same command runs on a laptop and in CI."""

import os
import subprocess
import sys
import time
import uuid
from typing import Annotated

import typer

from testbed.engines.native import paths
from testbed.engines.native.process import carrying, stop

PACKAGES = (
    *("iiot", "device_simulator", "lwm2m_server", "sparkplug_host", "mqtt_redpanda_bridge"),
    *("console", "testbed"),
)
COMPOSE = "tests/compose"
SUITES = (COMPOSE, "tests/e2e", "tests/fuzz", "tests/integration", "tests/interop", "tests/unit")
"""In the order in which they begin. The first two run one after another, so take longest; the testbed of the
second runs to the end, and would slow down the first."""
PROCESSES = ("-n", "2", "--no-loadscope-reorder", "--max-worker-restart", "1")
"""Two processes share the tests, each with servers of its own; tests/schedule.py says who gets what."""
SECOND_CHANCE = ("--reruns", "1", "--only-rerun", "not within")
"""A wait that ran out may have found the machine busy: once more, and the summary says so. Whatever else is
wrong fails at once. What never comes looks like what comes late: a test that ran twice is to be looked at."""
RUN_VARIABLE = "IIOT_TESTBED_TEST_RUN"
"""In the environment of everything that a run of the tests starts."""

_PYTHON = sys.executable
CHECKS = {
    "lint": (_PYTHON, "-m", "ruff", "check", "."),
    "format": (_PYTHON, "-m", "ruff", "format", "--check", "."),
    "types": (_PYTHON, "-m", "mypy", *(word for package in PACKAGES for word in ("-p", package))),
    "layers": (_PYTHON, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"),
    "generated code": ("scripts/generate-proto.sh", "--check"),
    "dashboards": (_PYTHON, "-m", "testbed.dashboards", "--check"),
    "metrics table": (_PYTHON, "scripts/generate-metrics-table.py", "--check"),
}


def run(
    pytest_arguments: Annotated[
        list[str] | None, typer.Argument(help="Handed to pytest instead of all suites; put them after `--`.")
    ] = None,
    compose: Annotated[
        bool, typer.Option(help="Also run the compose file on a Docker daemon; starting one takes root.")
    ] = True,
    fuzz: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES", min=0.1, max=7 * 24 * 60, help="Only fuzz every decoder, for so long."
        ),
    ] = None,
) -> None:
    """Run lint, format, types, layers, and the unit, integration, end-to-end, interop and compose tests."""
    if fuzz is not None:
        raise typer.Exit(run_fuzzing(fuzz))
    arguments = pytest_arguments or [*PROCESSES, *(suite for suite in SUITES if compose or suite != COMPOSE)]
    failed = [name for name, command in CHECKS.items() if not _passes(name, command)]
    if not compose:
        typer.echo("left out: the compose file on a Docker daemon (--no-compose)")
    sys.stdout.flush()
    code = run_tests((_PYTHON, "-m", "pytest", *SECOND_CHANCE, *arguments))
    if failed:
        typer.echo(f"failed before the tests: {', '.join(failed)}", err=True)
    if code or failed:
        raise typer.Exit(code or 1)


def run_fuzzing(minutes: float) -> int:
    """Fuzz every decoder of the network's input and of users' files; returns the exit code."""
    path = os.pathsep.join([str(paths.root() / "tests"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)}
    command = (_PYTHON, "-m", "fuzz", str(minutes))
    return subprocess.run(command, cwd=paths.root(), env=environment, check=False).returncode


def run_tests(command: tuple[str, ...]) -> int:
    """Run the tests and end what they leave when one of their processes dies; returns the exit code."""
    run = str(uuid.uuid4())
    environment = {**os.environ, RUN_VARIABLE: run}
    with subprocess.Popen(command, cwd=paths.root(), env=environment) as tests:
        try:
            tests.wait()
        except KeyboardInterrupt:
            tests.wait()  # Ctrl-C reaches it as well: it says how far it came, and cleans up
            raise
        finally:
            if left := carrying(RUN_VARIABLE, run):
                stop(left)
                typer.echo(f"left running by the tests, ended: {len(left)}", err=True)
    return tests.returncode


def _passes(name: str, command: tuple[str, ...]) -> bool:
    begun = time.monotonic()
    environment = {**os.environ, "PYTHON": _PYTHON}
    result = subprocess.run(
        command, cwd=paths.root(), env=environment, capture_output=True, text=True, check=False
    )
    good = result.returncode == 0
    typer.echo(f"{name}: {'passed' if good else 'FAILED'} ({time.monotonic() - begun:.1f} s)")
    if not good:
        typer.echo(result.stdout + result.stderr)
    return good
