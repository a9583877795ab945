"""`testbed test`: every check and every test; the same command runs on a laptop and in CI."""

import os
import subprocess
import sys
import time
from typing import Annotated

import typer

from testbed.engines.native import paths

PACKAGES = (
    *("iiot", "device_simulator", "lwm2m_server", "sparkplug_host", "mqtt_redpanda_bridge"),
    *("console", "testbed"),
)
COMPOSE = "tests/compose"
SUITES = (COMPOSE, "tests/e2e", "tests/integration", "tests/interop", "tests/unit")
"""In the order in which they begin. The first two run one after another, so take longest; the testbed of the
second runs to the end, and would slow down the first."""
PROCESSES = ("-n", "2", "--no-loadscope-reorder")
"""Two processes share the tests, each with servers of its own; tests/conftest.py says who gets what."""

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
) -> None:
    """Run lint, format, types, layers, and the unit, integration, end-to-end, interop and compose tests."""
    arguments = pytest_arguments or [*PROCESSES, *(suite for suite in SUITES if compose or suite != COMPOSE)]
    failed = [name for name, command in CHECKS.items() if not _passes(name, command)]
    if not compose:
        typer.echo("left out: the compose file on a Docker daemon (--no-compose)")
    sys.stdout.flush()
    tests = subprocess.run((_PYTHON, "-m", "pytest", *arguments), cwd=paths.root(), check=False)
    if failed:
        typer.echo(f"failed before the tests: {', '.join(failed)}", err=True)
    if tests.returncode or failed:
        raise typer.Exit(tests.returncode or 1)


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
