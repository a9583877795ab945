"""The native engine as the command line sees it."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from iiot import certs
from iiot.token_file import ensure_token
from testbed.engines.base import EngineError, PartStatus, UpOptions
from testbed.engines.native import alertmanager, grafana, kafka, logs, packages, paths
from testbed.engines.native.errors import PackageError
from testbed.engines.native.lock import interrupt_start
from testbed.engines.native.part import Part
from testbed.engines.native.parts import Plan, parts_of
from testbed.engines.native.ports import PART_NAMES, Ports, bridge_names, check_free
from testbed.engines.native.process import (
    OWNER_VARIABLE,
    Command,
    identify,
    owned,
    spawn,
    stop,
)
from testbed.engines.native.state import RunState
from testbed.logs.line import LogLine

DISK_NEEDED = 1_000_000_000
"""Bytes free that a start wants: jars, a day of records, logs."""
SUPERVISOR_GRACE = 60.0
"""Seconds in which the supervisor ends all parts in order."""

Report = Callable[[str], None]


class NativeEngine:
    """Every part is a process of this machine; a supervisor process keeps them running."""

    name = "native"

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or paths.state()

    def start(self, options: UpOptions, report: Report) -> bool:
        """Start everything, unless it runs already; whether anything was started."""
        run = RunState.load(self.directory)
        if run and run.supervisor.alive:
            return False
        ports = Ports.from_environment()
        self._clear(report)
        _check_disk(self.directory)
        bridges = bridge_names(options.bridges or 1)
        for part in (*PART_NAMES, *bridges[1:]):
            check_free(part, ports.of(part), options.bind)
        for part in bridges if len(bridges) > 1 else ():
            check_free(part, {"peer": ports.peer(part)})
        self._prepare(options, ports, report)
        report("starting the parts")
        self._spawn_supervisor()
        return True

    def status(self) -> list[PartStatus]:
        """Every part as it is now; empty when nothing runs."""
        run = RunState.load(self.directory)
        if run is None:
            return []
        if run.supervisor.alive:
            return [*run.parts.values(), *self._absent()]
        if not owned(self.directory):
            return []
        try:
            probes = {part.name: part for part in parts_of(Plan.load(self.directory))}
        except EngineError:
            probes = {}
        return [_unsupervised(part, run, probes.get(part.name)) for part in run.parts.values()]

    def stop(self) -> list[str]:
        """Stop everything that was ever started for this state directory."""
        interrupt_start(self.directory)
        run = RunState.load(self.directory)
        if run and run.supervisor.alive:
            stop([run.supervisor], SUPERVISOR_GRACE)
        # Without the file nobody knows which of them is the supervisor, which ends the others in order.
        left = stop(owned(self.directory), 10.0 if run else SUPERVISOR_GRACE)
        if not left:
            RunState.forget(self.directory)
        return [f"process {process.pid} does not end" for process in left]

    def logs(
        self, part: str | None, *, follow: bool, lines: int | None, since: datetime | None = None
    ) -> Iterator[LogLine]:
        """Lines of one part's log, or of all."""
        files = sorted((self.directory / "logs").glob("*.log"))
        chosen = [file for file in files if part in (None, file.stem)]
        if not chosen:
            known = ", ".join(file.stem for file in files) or "none yet"
            raise EngineError(f"no log of {part or 'any part'}; logs: {known}")
        return logs.read(chosen, follow=follow, lines=lines, since=since)

    def started_ms(self) -> int:
        """When the running testbed was started, UTC ms; now when nothing runs."""
        run = RunState.load(self.directory)
        return run.started_ms if run else int(time.time() * 1000)

    def port_offset(self) -> int:
        """By how much the ports of the running testbed differ from the defaults."""
        try:
            return Plan.load(self.directory).port_offset
        except EngineError:
            return Ports.from_environment().offset

    def _clear(self, report: Report) -> None:
        left = [process for process in owned(self.directory) if process.pid != os.getpid()]
        if left:
            report("stopping what an earlier run left behind")
            if problems := stop(left):
                raise EngineError(f"process {problems[0].pid} of an earlier run does not end: end it by hand")
        RunState.forget(self.directory)

    def _prepare(self, options: UpOptions, ports: Ports, report: Report) -> None:
        # Children of this process, such as Maven, are to be found by `down` as well.
        os.environ[OWNER_VARIABLE] = str(self.directory.resolve())
        jars, optional = _fetch(report)
        token = os.environ.get("API_TOKEN_FILE")
        plan = Plan(
            devices=options.devices or int(os.environ.get("DEVICE_COUNT") or 2),
            profile=options.profile,
            bind=options.bind,
            port_offset=ports.offset,
            jars=str(jars),
            with_prometheus="prometheus" in optional,
            with_grafana=shutil.which(grafana.PROGRAM) is not None,
            with_alertmanager=alertmanager.PROGRAM in optional,
            token_file=str(Path(token).absolute()) if token else "",
            bridges=options.bridges or 1,
        )
        certs.create_authority(self.directory / "certs")
        ensure_token(self.directory / "certs" / "alerts" / "token")
        (self.directory / "logs").mkdir(exist_ok=True)
        plan.save(self.directory)

    def _spawn_supervisor(self) -> None:
        command = Command((sys.executable, "-m", "testbed.engines.native.supervisor"), self.directory)
        log = self.directory / "logs" / "supervisor.log"
        process = spawn(command, log, self.directory)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            run = RunState.load(self.directory)
            if run and run.supervisor == identify(process.pid):
                return
            if process.poll() is not None:
                break
            time.sleep(0.05)
        raise EngineError(f"the supervisor did not start: see {log}")

    def _absent(self) -> Iterator[PartStatus]:
        try:
            plan = Plan.load(self.directory)
        except EngineError:
            return
        if not plan.with_prometheus:
            yield PartStatus("prometheus", "absent", "install the package prometheus to have it")
        if not plan.with_alertmanager:
            yield PartStatus(
                "alertmanager", "absent", f"install the package {alertmanager.PROGRAM} to have it"
            )
        if not plan.with_grafana:
            urls = f"http://localhost:{plan.ports.http('prometheus')}" if plan.with_prometheus else "/metrics"
            yield PartStatus("grafana", "absent", f"grafana-server is not installed; look at {urls} instead")


def _unsupervised(status: PartStatus, run: RunState, part: Part | None) -> PartStatus:
    process = run.processes.get(status.name)
    if status.state == "done":
        return status
    if part is None or process is None or not process.alive:
        return replace(status, state="stopped", pid=None, detail="the supervisor is gone: ./testbed up")
    problem = part.probe()
    note = "not supervised: ./testbed up starts everything anew"
    return replace(
        status, state="unhealthy", detail=f"{problem}; {note}" if problem else f"answers, but {note}"
    )


def _check_disk(directory: Path) -> None:
    free = shutil.disk_usage(directory).free
    if free < DISK_NEEDED:
        raise EngineError(
            f"{directory} has {free // 1_000_000} MB free, {DISK_NEEDED // 1_000_000} MB are needed: "
            "free some, or set TESTBED_STATE to a directory elsewhere"
        )


def _fetch(report: Report) -> tuple[Path, list[str]]:
    """Bring in what is missing; returns Kafka's jars, and which optional programs are there."""
    needed = ["mosquitto", "java"]
    if not kafka.is_cached(paths.cache()):
        needed.append("mvn")
    if absent := packages.missing(needed):
        report(f"installing packages: {' '.join(packages.PACKAGES[program] for program in absent)}")
        packages.install(absent)
    packages.check_java()
    with ThreadPoolExecutor(1) as pool:
        optional = pool.submit(_install_optional, report)
        if not kafka.is_cached(paths.cache()):
            report("fetching Kafka (43 MB) from Maven Central")
        jars = kafka.libraries(paths.cache())
        return jars, optional.result()


def _install_optional(report: Report) -> list[str]:
    here = []
    for program in ("prometheus", alertmanager.PROGRAM):
        if packages.missing([program]):
            report(f"installing packages: {packages.PACKAGES[program]}")
            try:
                packages.install([program])
            except PackageError as exc:
                report(f"going on without {program}: {exc}")
                continue
        here.append(program)
    return here
