"""Which engine to use, and which one is in use."""

import os
from enum import StrEnum
from pathlib import Path

from testbed.engines import docker
from testbed.engines.base import Engine
from testbed.engines.native import paths
from testbed.engines.native.engine import NativeEngine

_FILE = "engine"


class EngineChoice(StrEnum):
    """What `--engine` takes."""

    AUTO = "auto"
    DOCKER = "docker"
    NATIVE = "native"


def choose(choice: EngineChoice) -> Engine:
    """The engine for a start; `auto` stays with a testbed that runs, and picks Docker where it works."""
    if choice is EngineChoice.AUTO:
        current = in_use()
        if current is not None and current.status():
            return current
        choice = EngineChoice.DOCKER if docker.is_usable() else EngineChoice.NATIVE
    return docker.DockerEngine() if choice is EngineChoice.DOCKER else NativeEngine()


def in_use() -> Engine | None:
    """The engine of the testbed that runs, also when `docker compose` started it; else of the last `up`."""
    last = _last()
    if last is not None and last.status():
        return last
    return docker.running() or last


def unless_told(*variables: str) -> Engine | None:
    """The engine in use; None when these variables say where everything is, as in a container."""
    return None if all(name in os.environ for name in variables) else in_use()


def remember(engine: Engine) -> None:
    """Note which engine `status`, `logs` and `down` talk to."""
    _file().write_text(engine.name)


def _last() -> Engine | None:
    try:
        name = _file().read_text()
    except FileNotFoundError:
        return None
    return docker.DockerEngine() if name == docker.DockerEngine.name else NativeEngine()


def _file() -> Path:
    return paths.state() / _FILE
