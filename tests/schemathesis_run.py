"""Runs Schemathesis against a live server: requests from its OpenAPI document, right and wrong ones."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path

EXAMPLES = 10
"""Requests per operation in the random phase; the systematic one adds about 20."""
SECONDS = 300


async def find_faults(
    directory: Path,
    url: str,
    *,
    known: Mapping[str, object],
    systematic: bool = True,
    exclude: tuple[str, ...] = (),
    skip: tuple[str, ...] = (),
    token: str = "",
) -> str:
    """What Schemathesis has to complain about, empty for nothing.

    Args:
        directory: for its files.
        url: the server.
        known: values of parameters that lead somewhere, such as `{"path.node": "device-1"}`.
        systematic: also go through the bounds of every parameter, not only through random values.
        exclude: paths without an end, such as event streams.
        skip: checks that do not fit.
        token: sent with every request.
    """
    config = directory / "schemathesis.toml"
    lines = (f"{json.dumps(name)} = {json.dumps(value)}" for name, value in known.items())
    config.write_text("[parameters]\n" + "\n".join(lines) + "\n")
    phases = "examples,coverage,fuzzing" if systematic else "fuzzing"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
        *("run", f"{url}/api/openapi.json", "--seed", "1", "--max-examples", str(EXAMPLES), "--no-color"),
        *("--phases", phases, "--checks", "all", "--continue-on-failure"),
        # Whether a device takes a value is not for the document to say.
        *("--exclude-checks", ",".join(("positive_data_acceptance", *skip))),
        *("--request-timeout", "20", "--warnings", "off", "--workers", "1"),
    ]
    for path in exclude:
        command += ["--exclude-path", path]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode() if process.returncode else ""
