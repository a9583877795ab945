"""`testbed lock`: resolve every member's dependencies once and write the hashed lock files."""

import subprocess
import sys

import typer

from testbed.engines.native import paths

MEMBERS = (
    "common",
    "device-simulator",
    "lwm2m-server",
    "sparkplug-host",
    "mqtt-redpanda-bridge",
    "console",
    "testbed-cli",
)

_COMPILE = (
    *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header"),
    *("--universal", "--python-version", "3.11", "--only-binary", ":all:"),
    # No address of an index: whoever installs may use a mirror.
    *("--generate-hashes", "--no-emit-index-url", "--no-emit-package", "iiot"),
)


def lock(
    upgrade: bool = typer.Option(
        False, "--upgrade", help="Take the newest versions instead of the locked ones."
    ),
) -> None:
    """Write requirements/*.txt anew: dev.txt first, the others with its versions."""
    everything = [f"{member}/pyproject.toml" for member in MEMBERS]
    dev = "requirements/dev.txt"
    _compile(
        dev,
        [*everything, "--extra", "native", "--extra", "dashboards", "--group", "dev"],
        ["--upgrade"] if upgrade else [],
    )
    constraint = ["--constraint", dev, "--no-annotate"]
    _compile("requirements/native.txt", [*everything, "--extra", "native"], constraint)
    for member in MEMBERS[1:]:
        sources = ["common/pyproject.toml", f"{member}/pyproject.toml"]
        _compile(f"requirements/{member}.txt", sources, constraint)
    # The compose tests build Compose with it where the machine's own Go is too old.
    _compile("tests/compose/go.txt", ["tests/compose/go.in"], ["--no-annotate"])


def _compile(target: str, sources: list[str], options: list[str]) -> None:
    command = (*_COMPILE, *options, "--output-file", target, *sources)
    if subprocess.run(command, cwd=paths.root(), check=False).returncode != 0:
        typer.echo(f"lock: {target} was not written, see above", err=True)
        raise typer.Exit(1)
    typer.echo(f"wrote {target}")
