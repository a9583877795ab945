"""Processes inside the memory that docker-compose.yml gives their container."""

import os
import re
from contextlib import contextmanager
from pathlib import Path

import yaml

_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")
_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}
_COMPOSE = Path(__file__).parent.parent / "docker-compose.yml"


def compose_limit(service: str) -> int:
    """Bytes of memory that a service's container has."""
    services = yaml.safe_load(_COMPOSE.read_text())["services"]
    number, unit = re.fullmatch(
        r"(\d+)([KMG])", services[service]["deploy"]["resources"]["limits"]["memory"]
    ).groups()
    return int(number) * _UNITS[unit]


class MemoryLimit:
    """A control group: what is started in it cannot use more memory, and is killed where it tries."""

    def __init__(self, group: Path):
        self._group = group

    def command(self, *words: str) -> list[str]:
        """The command that puts itself into the group, then becomes this one."""
        enter = f'echo $$ > "{self._group}/cgroup.procs"; exec "$@"'
        return ["sh", "-c", enter, "limited", *words]


@contextmanager
def memory_limit(name: str, limit: int):
    """A control group of `limit` bytes without swap; it is empty again, and removed, at the end."""
    v1 = (_V1 / "memory.limit_in_bytes").exists()
    group = (_V1 if v1 else _V2) / f"testbed-{name}-{os.getpid()}"
    if not v1:
        (_V2 / "cgroup.subtree_control").write_text("+memory")
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if v1 else "memory.max")).write_text(str(limit))
        yield MemoryLimit(group)
    finally:
        group.rmdir()
