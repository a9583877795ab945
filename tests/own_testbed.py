"""A testbed of its own state directory and ports, used by the commands that a person types."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from testbed.engines.native.errors import PortInUseError
from testbed.engines.native.ports import PART_NAMES, Ports, check_free

ROOT = Path(__file__).parents[1]
UP_SECONDS = 200


def free_offset() -> int:
    """A TESTBED_PORT_OFFSET with which nothing on this machine is in the way.

    Its ports are below those of `support.free_port`: a part that restarts finds its port free.
    """
    for offset in range(10_000, 10_900, 100):
        try:
            for part in PART_NAMES:
                check_free(part, Ports(offset).of(part))
        except PortInUseError:
            continue
        return offset
    raise AssertionError("no free ports")


@dataclass
class Testbed:
    """A state directory and the commands on it."""

    __test__ = False
    directory: Path
    offset: int
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        own = {
            "TESTBED_STATE": str(self.directory),
            "TESTBED_PORT_OFFSET": str(self.offset),
        }
        members = (path.parent / "src" for path in ROOT.glob("*/pyproject.toml"))
        path = os.pathsep.join(str(member) for member in members)
        self.environment = {**os.environ, "PYTHONPATH": path, **own}

    def popen(self, *arguments) -> subprocess.Popen[str]:
        return subprocess.Popen(
            (sys.executable, "-m", "testbed", *arguments),
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments, timeout=UP_SECONDS) -> subprocess.CompletedProcess[str]:
        process = self.popen(*arguments)
        try:
            output, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
            process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def up(self) -> subprocess.CompletedProcess[str]:
        return self.run("up", "--engine", "native")

    def status(self) -> dict:
        return json.loads(self.run("status", "--json").stdout)

    def part(self, name: str) -> dict:
        return next(part for part in self.status()["parts"] if part["name"] == name)

    def url(self, port: int, path: str) -> str:
        return f"http://127.0.0.1:{port + self.offset}{path}"

    @property
    def brokers(self) -> str:
        return f"127.0.0.1:{9092 + self.offset}"
