"""Real Mosquitto and real Kafka, once per run on free ports; a test that leaves something running fails."""

import asyncio
import inspect
import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from iiot import certs
from schedule import pytest_xdist_make_scheduler  # noqa: F401 - a hook of pytest
from support import Broker, accepts_connections, free_port, wait_until
from testbed.engines.native import kafka as kafka_process
from testbed.engines.native import mosquitto as mosquitto_process
from testbed.engines.native import paths
from testbed.engines.native.process import Command, spawn, terminate

ROOT = Path(__file__).parent.parent
LOG_TAIL = 4000
# Machines that run the tests are shared: how long one example takes says nothing.
settings.register_profile("testbed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("testbed")
# Nodes of tests live for seconds: to compile their code once more, and better, costs more than it brings.
os.environ["JDK_JAVA_OPTIONS"] = "-XX:TieredStopAtLevel=1"
SERVERS: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}


def pytest_addoption(parser):
    parser.addoption(
        "--long", action="store_true", help="faults as long and as often as in docs/reliability.md"
    )


@pytest.fixture
def long(request) -> bool:
    """Whether faults are to last as long, and come as often, as in docs/reliability.md."""
    return request.config.getoption("--long")


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory) -> Iterator[Broker]:
    """The broker with the shipped configuration and certificates of its own."""
    directory = tmp_path_factory.mktemp("mosquitto")
    certs.create_authority(directory / "all-certs")
    ports = mosquitto_process.BrokerPorts(free_port(), free_port(), free_port())
    command = mosquitto_process.prepare(directory, ROOT / "mosquitto", directory / "all-certs", ports)
    with running("mosquitto", command, directory / "log.txt"):
        for port in (ports.tls, ports.plain, ports.websocket):
            wait_until(lambda port=port: accepts_connections(port), f"Mosquitto listens on {port}")
        yield Broker(ports.tls, ports.plain, ports.websocket, directory / "all-certs", directory / "log.txt")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory) -> Iterator[str]:
    """Bootstrap address of a single Kafka node without topics."""
    directory = tmp_path_factory.mktemp("kafka")
    port = free_port()
    jars = kafka_process.libraries(paths.cache())
    command = kafka_process.prepare(directory, jars, port=port, controller_port=free_port())
    with running("kafka", command, directory / "log.txt"):
        wait_until(lambda: accepts_connections(port), f"Kafka listens on {port}", seconds=60)
        yield f"127.0.0.1:{port}"


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Names that no other test of this run uses: `unique("device")` -> "device-4711-1"."""
    return lambda prefix: f"{prefix}-{os.getpid()}-{next(_NUMBERS)}"


_NUMBERS = itertools.count(1)


@contextmanager
def running(name: str, command: Command, log: Path) -> Iterator[None]:
    """Keep a server running inside a `with` block; its log is shown with failing tests."""
    process = spawn(command, log, log.parent)
    SERVERS[name] = (process, log)
    try:
        yield
    finally:
        del SERVERS[name]
        terminate(process, grace=15)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for name, (process, log) in SERVERS.items():
            state = "running" if process.poll() is None else f"ended with {process.returncode}"
            report.sections.append((f"log of {name} ({state})", log.read_text(errors="replace")[-LOG_TAIL:]))
    return report


@pytest.fixture(autouse=True)
def leaves_nothing_running(request) -> Iterator[None]:
    """Fail a test that leaves an asyncio task or a child process behind."""
    if inspect.iscoroutinefunction(request.function):
        request.getfixturevalue("leaves_no_task")
    before = children()
    yield
    left = children() - before - {process.pid for process, _ in SERVERS.values()}
    if left:
        commands = [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in left]
        pytest.fail(f"processes left running: {commands}")


@pytest.fixture
async def leaves_no_task():
    yield
    # Cancelled tasks and transports that are closing need a few turns of the loop to end.
    for _ in range(50):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"tasks left running: {sorted(task.get_name() for task in left)}: {left}")


def children() -> set[int]:
    """Process ids of the living children of this process."""
    # Threads and children may end while they are looked at.
    found = set()
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found |= {int(pid) for pid in file.read_text().split()}
    return {pid for pid in found if process_state(pid) not in {"", "Z"}}


def process_state(pid: int) -> str:
    """The state letter of a process; empty when there is none."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""
