"""The parts of a benchmark as processes of their own on free ports, in a temporary directory."""

import os
import shutil
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from iiot import certs
from testbed.engines.native import kafka, mosquitto, paths
from testbed.engines.native.errors import PartError
from testbed.engines.native.mosquitto import BrokerPorts
from testbed.engines.native.process import Command, owned, spawn, stop, terminate

if TYPE_CHECKING:
    import subprocess

START_TIMEOUT: Final = 60.0
GRACE: Final = 15.0
"""s that a part has to end."""

_OPEN_BROKER: Final = """\
# What bears on speed and queues is as in mosquitto/mosquitto.conf; access control is left out.
per_listener_settings false
allow_anonymous true
user root
listener {plain} 127.0.0.1
listener {tls} 127.0.0.1
cafile {certs}/broker/ca.crt
certfile {certs}/broker/tls.crt
keyfile {certs}/broker/tls.key
require_certificate true
upgrade_outgoing_qos true
max_queued_messages 1000000
max_queued_bytes 536870912
max_inflight_messages 4096
persistence true
persistence_location {directory}/
autosave_interval 10
max_packet_size 1048576
set_tcp_nodelay true
"""


class Parts:
    """Starts parts; all of them end with the context of `running_parts`.

    Attributes:
        directory: where they work.
        certs: the certificates' directory.
        pids: process ids by part.
    """

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.certs = directory / "certs"
        self.pids: dict[str, int] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = stack
        certs.create_authority(self.certs)

    def broker(self, *, shipped: bool = False) -> BrokerPorts:
        """Start Mosquitto.

        Args:
            shipped: with the testbed's own configuration, access control included; else one client may
                speak for many devices.
        """
        plain, tls, websocket = free_ports(3)
        data = self.directory / "broker"
        if shipped:
            ports = BrokerPorts(tls, plain, websocket)
            command = mosquitto.prepare(data, paths.root() / "mosquitto", self.certs, ports)
        else:
            data.mkdir()
            config = data / "mosquitto.conf"
            config.write_text(_OPEN_BROKER.format(plain=plain, tls=tls, certs=self.certs, directory=data))
            # Debian puts it where the PATH of ordinary users does not look.
            program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
            if program is None:
                raise PartError("broker", "mosquitto is not installed; on Debian: apt-get install mosquitto")
            command = Command((program, "-c", str(config)), data)
        self._start("broker", command, _accepts(plain))
        return BrokerPorts(tls, plain, websocket)

    def kafka(self) -> str:
        """Start Kafka; its bootstrap address."""
        port, controller = free_ports(2)
        home = self.directory / "kafka"
        libraries = kafka.libraries(paths.cache())
        node = kafka.prepare(home, libraries, port=port, controller_port=controller)
        self._start("kafka", node, _accepts(port))
        return f"127.0.0.1:{port}"

    def service(
        self, part: str, module: str, settings: Mapping[str, object], *, core: int | None = None
    ) -> int:
        """Start one of the testbed's services and wait until it is healthy.

        Args:
            part: what it is called in the result.
            module: what `python -m` runs.
            settings: its environment variables.
            core: the only processor that it may use.

        Returns:
            Its HTTP port.
        """
        (port,) = free_ports(1)
        home = self.directory / part
        home.mkdir()
        environment = {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "HTTP_PORT": str(port),
            "LOG_LEVEL": "WARNING",
            **{name: str(value) for name, value in settings.items()},
        }
        with on_cores(None if core is None else {core}):
            self._start(part, Command((sys.executable, "-m", module), home, environment), _is_healthy(port))
        return port

    def program(self, part: str, command: Command, ready: Callable[[], bool]) -> None:
        """Start any other program and wait until it is ready."""
        self._start(part, command, ready)

    def end(self, part: str) -> None:
        """Stop a part before the others."""
        del self.pids[part]
        terminate(self._processes.pop(part), GRACE)

    def mqtt(self, port: int, *, tls: bool, identity: str) -> dict[str, object]:
        """Settings that connect a service to the broker."""
        files = certs.service_identity(self.certs, identity)
        return {
            "MQTT_HOST": "localhost",
            "MQTT_PORT": port,
            "MQTT_TLS": tls,
            "MQTT_CA": files.ca,
            "MQTT_CERT": files.cert,
            "MQTT_KEY": files.key,
        }

    def _start(self, name: str, command: Command, ready: Callable[[], bool]) -> None:
        log = self.directory / f"{name}.log"
        process = spawn(command, log, self.directory)
        self._stack.callback(terminate, process, GRACE)
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-500:].strip()
                raise PartError(name, f"did not start: {tail or 'no output'}")
            time.sleep(0.05)
        self.pids[name], self._processes[name] = process.pid, process


@contextmanager
def running_parts() -> Iterator[Parts]:
    """A temporary directory in which parts can be started; all are stopped at the end.

    Raises:
        PartError: a part did not start.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="testbed-bench-")))
        # A signal in the middle of a start would leave that part behind: nobody has noted it yet.
        stack.callback(lambda: stop(owned(directory)))
        yield Parts(directory, stack)


@contextmanager
def on_cores(cores: Collection[int] | None) -> Iterator[None]:
    """Processes started within the context may use these processors only; None leaves them all."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def get_json(port: int, path: str) -> Any:
    """The answer of a service on this host to a GET."""
    return orjson.loads(get_text(port, path))


def get_text(port: int, path: str) -> str:
    """The same, as text."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def free_ports(count: int) -> list[int]:
    """Ports of this host that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _accepts(port: int) -> Callable[[], bool]:
    def probe() -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", port)) == 0

    return probe


def _is_healthy(port: int) -> Callable[[], bool]:
    def probe() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return probe
