"""The containers of docker-compose.yml."""

import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from testbed.engines import docker_faults
from testbed.engines.base import EngineError, PartState, PartStatus, UpOptions
from testbed.engines.native import paths
from testbed.engines.native.ports import BRIDGE
from testbed.logs.line import LogLine, instant

ANSWER_TIMEOUT = 10.0


class DockerEngine:
    """Drives Compose v2, typed as `docker compose` or `docker-compose`."""

    name = "docker"

    def __init__(self) -> None:
        self._command = compose_command()

    def start(self, options: UpOptions, report: Callable[[str], None]) -> bool:
        """Create and start the containers; Compose itself starts nothing twice."""
        running = Counter(
            container["Service"]
            for container in _containers(self._read("ps", "--format", "json"))
            if container["State"] == "running"
        )
        # Replicas of an earlier `--scale` stay: without the option Compose would remove them.
        scaled = {service: count for service, count in running.items() if count > 1}
        if options.bridges:
            scaled[BRIDGE] = options.bridges
        scale = [f"--scale={service}={count}" for service, count in scaled.items()]
        environment = {**os.environ, "DEVICE_BIND": options.bind}
        if options.devices:
            environment["DEVICE_COUNT"] = str(options.devices)
        if options.profile:
            environment["PROFILE"] = options.profile
        report("building and starting the containers")
        result = subprocess.run(
            (*self._command, "up", "-d", *scale), cwd=paths.root(), env=environment, check=False
        )
        if result.returncode != 0:
            raise EngineError(
                "docker compose up failed, see above; ./testbed up --engine native does without"
            )
        return not running

    def status(self) -> list[PartStatus]:
        """One line for each container."""
        output = self._read("ps", "--all", "--format", "json")
        return sorted((_status(container) for container in _containers(output)), key=lambda part: part.name)

    def stop(self) -> list[str]:
        """Remove the containers and networks; volumes stay."""
        result = subprocess.run((*self._command, "down", "--remove-orphans"), cwd=paths.root(), check=False)
        return [] if result.returncode == 0 else ["docker compose down failed, see above"]

    def logs(
        self, part: str | None, *, follow: bool, lines: int | None, since: datetime | None = None
    ) -> Iterator[LogLine]:
        """Lines as Compose gives them; while it follows, in its order."""
        found = self._log_lines(part, follow, lines, since)
        return found if follow else iter(sorted(found, key=lambda line: line.at))

    def _log_lines(
        self, part: str | None, follow: bool, lines: int | None, since: datetime | None
    ) -> Iterator[LogLine]:
        command = [*self._command, "logs", "--no-color", "--timestamps"]
        command += [f"--tail={'all' if lines is None else lines}"]
        command += [f"--since={since.isoformat()}"] if since else []
        command += ["--follow"] if follow else []
        service, container = self._named(part) if part else ("", "")
        command += [service] if service else []
        with subprocess.Popen(command, cwd=paths.root(), stdout=subprocess.PIPE, text=True) as process:
            for line in map(_log_line, process.stdout or ()):
                if container.endswith(line.part) or not container:
                    yield line
        if process.returncode not in {0, 130}:
            raise EngineError(f"docker compose logs ended with status {process.returncode}")

    def _named(self, part: str) -> tuple[str, str]:
        """Service and container that `part` means; a service has all its containers."""
        containers = _containers(self._read("ps", "--all", "--format", "json"))
        services = {container["Name"]: container["Service"] for container in containers}
        if part in services:
            return services[part], part
        if part not in services.values():
            known = ", ".join(sorted({*services, *services.values()})) or "none yet"
            raise EngineError(f"no log of {part}; logs: {known}")
        return part, ""

    def started_ms(self) -> int:
        """When the oldest container was started, UTC ms."""
        ids = self._read("ps", "--quiet").split()
        if not ids:
            return int(time.time() * 1000)
        command = ("docker", "inspect", "--format", "{{.State.StartedAt}}", *ids)
        output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        moments = [datetime.fromisoformat(line[:19]).replace(tzinfo=UTC) for line in output.split()]
        return int(min(moments).timestamp() * 1000) if moments else int(time.time() * 1000)

    def port_offset(self) -> int:
        """Compose publishes the default ports."""
        return 0

    def break_part(self, kind: str, part: str, seconds: float) -> None:
        """Kill a part, or keep it stopped or frozen for `seconds`; returns when it is over.

        Raises:
            EngineError: Compose refuses.
        """
        docker_faults.break_part(self._command, kind, part, seconds)

    def run_tool(self, *arguments: str, stdout: IO[bytes] | None = None) -> int:
        """Run this command line inside the containers' network, where a scaled part has all its addresses.

        Args:
            arguments: after `./testbed`.
            stdout: where its standard output goes, if not to this process's own; then it has no terminal.
        """
        run = ("run", "--rm", "--no-deps", *(() if stdout is None else ("-T",)))
        command = (*self._command, "--progress", "quiet", *run, "tools", *arguments)
        return subprocess.run(command, cwd=paths.root(), check=False, stdout=stdout).returncode

    def issue_certificate(self, device_id: str, target: Path) -> None:
        """Have a device's certificate made in the containers' network, and copy its files to `target`.

        Raises:
            EngineError: the id is illegal, or the containers' certificates cannot be read.
        """
        run = ("run", "--rm", "--no-deps", "-T")
        issued = json.loads(self._read(*run, "tools", "certs", "issue", "--json", device_id))
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        for source in issued.values():
            copy = target / PurePosixPath(source).name
            copy.touch(mode=0o600)
            copy.write_text(self._read(*run, "--entrypoint", "cat", "tools", source))

    def _read(self, *arguments: str) -> str:
        result = subprocess.run(
            (*self._command, *arguments), cwd=paths.root(), capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            lines = result.stderr.strip().splitlines()
            raise EngineError(f"docker compose {arguments[0]}: {lines[-1] if lines else 'failed'}")
        return result.stdout


def compose_command() -> tuple[str, ...]:
    """How Compose v2 is called here.

    Raises:
        EngineError: it is not installed.
    """
    for command in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(command[0]) and _succeeds(*command, "version"):
            return command
    raise EngineError("Docker Compose v2 is not installed; use --engine native")


def running() -> DockerEngine | None:
    """The engine when containers of this project run, whoever started them."""
    try:
        engine = DockerEngine()
        return engine if engine.status() else None
    except EngineError:
        return None


def is_usable() -> bool:
    """Whether a daemon answers and the images are there or can be pulled."""
    if not shutil.which("docker") or not _succeeds("docker", "info"):
        return False
    try:
        command = compose_command()
    except EngineError:
        return False
    return _succeeds(*command, "pull", "--quiet", "--ignore-buildable", "--policy", "missing", timeout=300)


def _succeeds(*command: str, timeout: float = ANSWER_TIMEOUT) -> bool:
    try:
        result = subprocess.run(command, cwd=paths.root(), capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0


def _log_line(text: str) -> LogLine:
    """A line with Compose's prefix: container, without the project's name, and time."""
    found = re.fullmatch(r"(\S+) +\| (\S+) ?(.*)", text.rstrip("\r\n"))
    if found is None:
        return LogLine("", text.rstrip("\r\n"), 0.0)
    part, date, rest = found.groups()
    return LogLine(part, rest, instant(date) or 0.0)


def _containers(output: str) -> list[dict[str, Any]]:
    # Compose prints one array, or since 2.21 one object per line.
    text = output.strip()
    if text.startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines()]


def _status(container: dict[str, Any]) -> PartStatus:
    state, health = container.get("State"), container.get("Health")
    if state == "running":
        words: dict[Any, PartState] = {"healthy": "healthy", "unhealthy": "unhealthy", "starting": "starting"}
        seen: PartState = words.get(health, "healthy")
    elif state == "exited" and container.get("ExitCode") == 0 and container["Service"] in {"certs", "topics"}:
        seen = "done"
    else:
        seen = "restarting" if state == "restarting" else "waiting" if state == "created" else "stopped"
    ports = {
        str(published["TargetPort"]): int(published["PublishedPort"])
        for published in container.get("Publishers") or ()
        if published.get("PublishedPort")
    }
    return PartStatus(container["Name"], seen, container.get("Status", ""), ports=ports)
