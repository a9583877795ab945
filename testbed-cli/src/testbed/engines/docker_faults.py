"""Faults on containers, for experiments that the host carries out."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

from testbed.engines.base import EngineError
from testbed.engines.native import paths

SERVICES: Final[Mapping[str, str]] = {"kafka": "redpanda"}
"""Compose services by the part's name, where they differ."""
_BEGIN: Final = {"kill": ("kill",), "stop": ("stop",), "pause": ("pause",)}
_END: Final = {"kill": ("start",), "stop": ("start",), "pause": ("unpause",)}


def break_part(compose: Sequence[str], kind: str, part: str, seconds: float) -> None:
    """Kill a service's containers, or keep them stopped or frozen for some seconds.

    The end is in the hands of a process of its own, so that it comes also when this one is killed meanwhile.

    Args:
        compose: the command line of Compose.
        kind: `kill`, `stop` or `pause`.
        part: as experiments name it.
        seconds: how long; a killed one is started again at once: Docker does not after a kill by hand.

    Raises:
        EngineError: Compose refuses.
    """
    service = SERVICES.get(part, part)
    restore = shlex.join((*compose, *_END[kind], service))
    wait = 0.0 if kind == "kill" else seconds
    result = subprocess.run(
        (*compose, *_BEGIN[kind], service), cwd=paths.root(), capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines()
        raise EngineError(f"docker compose {_BEGIN[kind][0]} {service}: {lines[-1] if lines else 'failed'}")
    ending = subprocess.Popen(
        ("sh", "-c", f"sleep {wait:g}; exec {restore}"),
        cwd=paths.root(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if ending.wait() != 0:
        raise EngineError(f"docker compose {_END[kind][0]} {service} failed: see ./testbed status")
