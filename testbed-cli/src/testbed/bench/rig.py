"""Broker, Kafka and bridge as processes of their own on free ports, in a temporary directory."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iiot import certs
from testbed.bench.load import RAW_PREFIX
from testbed.engines.native import kafka, paths
from testbed.engines.native.errors import PartError
from testbed.engines.native.process import Command, spawn

RAW_TOPIC: Final = "bench.raw"
START_TIMEOUT: Final = 60.0

_BROKER: Final = """\
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
_ROUTES: Final = f"""\
routes:
  - {{name: bench, filters: [{RAW_PREFIX}/+], topic: {RAW_TOPIC}, format: raw, key: "level:2"}}
"""


@dataclass(frozen=True, slots=True)
class Rig:
    """A running rig.

    Attributes:
        mqtt_port: plain listener for the load generator.
        kafka_brokers: bootstrap address.
        pids: process ids by part: `bridge`, `broker`, `kafka`.
    """

    mqtt_port: int
    kafka_brokers: str
    pids: dict[str, int]


@contextmanager
def running_rig(*, form: str, partitions: int, receive_maximum: int, tls: bool) -> Iterator[Rig]:
    """Start all parts, yield when the bridge is healthy, stop all.

    Raises:
        PartError: a part did not start.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="testbed-bench-")))
        plain, tls_port, kafka_port, controller, http = _free_ports(5)
        certs.create_authority(directory / "certs")
        broker = _start(stack, "broker", _broker(directory, plain, tls_port), _accepts(plain))
        node = kafka.prepare(
            directory / "kafka", kafka.libraries(paths.cache()), port=kafka_port, controller_port=controller
        )
        log = _start(stack, "kafka", node, _accepts(kafka_port))
        (directory / "routes.yaml").write_text(_ROUTES)
        identity = certs.service_identity(directory / "certs", "mqtt-redpanda-bridge")
        brokers = f"127.0.0.1:{kafka_port}"
        environment = {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "MQTT_HOST": "localhost",
            "MQTT_PORT": str(tls_port if tls else plain),
            "MQTT_TLS": str(tls),
            "MQTT_CA": str(identity.ca),
            "MQTT_CERT": str(identity.cert),
            "MQTT_KEY": str(identity.key),
            "KAFKA_BROKERS": brokers,
            "HTTP_PORT": str(http),
            "LOG_LEVEL": "WARNING",
            "TOPIC_PARTITIONS": str(partitions),
            "RECEIVE_MAXIMUM": str(receive_maximum),
            **({"ROUTES_FILE": str(directory / "routes.yaml")} if form == "raw" else {}),
        }
        command = Command((sys.executable, "-m", "mqtt_redpanda_bridge"), directory, environment)
        bridge = _start(stack, "bridge", command, _is_healthy(http))
        yield Rig(plain, brokers, {"bridge": bridge, "broker": broker, "kafka": log})


def _broker(directory: Path, plain: int, tls: int) -> Command:
    data = directory / "broker"
    data.mkdir()
    config = data / "mosquitto.conf"
    config.write_text(_BROKER.format(plain=plain, tls=tls, certs=directory / "certs", directory=data))
    # Debian puts it where the PATH of ordinary users does not look.
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise PartError("broker", "mosquitto is not installed; on Debian: apt-get install mosquitto")
    return Command((program, "-c", str(config)), data)


def _start(stack: ExitStack, name: str, command: Command, ready: Callable[[], bool]) -> int:
    log = command.cwd / f"{name}.log"
    process = spawn(command, log, command.cwd)
    stack.callback(_stop, process)
    deadline = time.monotonic() + START_TIMEOUT
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-500:].strip()
            raise PartError(name, f"did not start: {tail or 'no output'}")
        time.sleep(0.05)
    return process.pid


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


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


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
