"""Faults on containers, for experiments that the host carries out."""

import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Final

from testbed.engines.base import EngineError
from testbed.engines.native import paths

SERVICES: Final[Mapping[str, str]] = {"kafka": "redpanda"}
"""Compose services by the part's name, where they differ."""
_END: Final = {"kill": "start", "stop": "start", "pause": "unpause"}
"""What undoes each kind of fault, which Compose calls by the same word."""


def break_part(compose: Sequence[str], kind: str, part: str, seconds: float) -> None:
    """Kill a service's containers, or keep them stopped or frozen for some seconds.

    All of it is in the hands of a process of its own, so that its end comes also when this one is killed.

    Args:
        compose: the command line of Compose.
        kind: `kill`, `stop` or `pause`.
        part: as experiments name it.
        seconds: how long; a killed one is started again at once: Docker does not after a kill by hand.

    Raises:
        EngineError: Compose refuses.
    """
    service = SERVICES.get(part, part)
    begin, end = (shlex.join((*compose, word, service)) for word in (kind, _END[kind]))
    wait = 0.0 if kind == "kill" else seconds
    # What went wrong goes to a file: a pipe would break when its reader is killed.
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            ("sh", "-c", f"if {begin}; then sleep {wait:g}; {end}; else {end}; exit 1; fi"),
            cwd=paths.root(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        try:
            status = process.wait()
        except KeyboardInterrupt:
            subprocess.run(
                (*compose, _END[kind], service), cwd=paths.root(), capture_output=True, check=False
            )
            raise
        if status != 0:
            said.seek(0)
            lines = said.read().strip().splitlines()
            raise EngineError(f"docker compose {kind} {service}: {lines[0] if lines else 'failed'}")
