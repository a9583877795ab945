"""Load generators are processes of their own, so that they take nothing from the parts under test."""

import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from typing import Any

import orjson

from testbed.bench.parts import on_cores
from testbed.bench.usage import cpu_of
from testbed.engines.native.errors import PartError

Spent = tuple[dict[str, float], dict[str, float]]
"""Processor seconds by part, before and after the measured span."""


def generate(
    module: str, options: object, pids: Mapping[str, int], *, cores: Collection[int] | None = None
) -> tuple[dict[str, Any], Spent]:
    """Run a generator to its end.

    It takes options as JSON on standard input, prints `begin` and `end` around the measured span, then its
    result as JSON.

    Args:
        module: what `python -m` runs.
        options: a dataclass.
        pids: parts whose processor time counts; the generator's own is added as `load`.
        cores: the only processors that it may use.

    Raises:
        PartError: it failed.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with on_cores(cores):
        process = subprocess.Popen(
            (sys.executable, "-m", module), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
    with process:
        try:
            assert process.stdin is not None  # noqa: S101 - a pipe was asked for
            process.stdin.write(orjson.dumps(options))
            process.stdin.close()
            everyone = {**pids, "load": process.pid}
            _wait_for(process, b"begin\n")
            before = cpu_of(everyone)
            _wait_for(process, b"end\n")
            after = cpu_of(everyone)
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            result = process.stdout.read()
        finally:
            process.terminate()
    if not result:
        raise PartError("load", "the load generator ended without a result")
    return orjson.loads(result), (before, after)


def _wait_for(process: subprocess.Popen[bytes], word: bytes) -> None:
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    line = process.stdout.readline()
    if line != word:
        raise PartError("load", f"the load generator failed: {line.decode(errors='replace').strip()}")
