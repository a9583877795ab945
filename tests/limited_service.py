"""Services inside the memory of their containers, and the devices that speak to them."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from conftest import running
from iiot.identity import SERVICES
from memory_limit import compose_limit, memory_limit
from support import free_port, wait_until
from testbed.engines.native.process import Command

PACE = 0.05
"""Seconds between two messages of the ordinary device, and between two looks at a service's health."""
PATIENCE = 60.0


class Client:
    """A device on paho-mqtt with its certificate, which waits for each PUBACK."""

    def __init__(self, broker, name):
        self.name = name
        self._client = broker.connected(name)

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(PATIENCE)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@dataclass
class Limited:
    """A service inside the memory of its container."""

    port: int
    unhealthy: list[str] = field(default_factory=list)

    def get(self, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """The sum of a metric's series."""
        lines = self.get("/metrics")[1].decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Ask for the service's health all the time; what is not 200 is kept."""
        stop = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(stop,), name="health")
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(PACE):
            try:
                status, body = self.get("/api/health")
            except (OSError, HTTPException) as exc:
                self.unhealthy.append(repr(exc))
            else:
                if status != 200:
                    self.unhealthy.append(f"{status} {body[:200]!r}")


class Ordinary:
    """A device that sends numbered messages at a steady pace until the block ends."""

    def __init__(self, client: Client, send: Callable[[Client, int], None], sent: int):
        self.sent = sent
        self._client, self._send = client, send
        self._stop = threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, name="ordinary device")
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(PACE):
            self._send(self._client, self.sent + 1)
            self.sent += 1


@contextmanager
def limited(service: str, broker, directory: Path, **settings: str) -> Iterator[Limited]:
    """A service with its own certificate, as in compose, and its container's memory."""
    port, log = free_port(), directory / "log.txt"
    environment = {
        "PYTHONPATH": ":".join(path for path in sys.path if path.endswith("/src")),
        "HTTP_PORT": str(port),
        "LOG_FORMAT": "json",
        **(broker.environment(service) if service in SERVICES else {}),
        **settings,
    }
    with memory_limit(service, compose_limit(service)) as memory:
        words = memory.command(sys.executable, "-m", service.replace("-", "_"))
        with (
            session_ended(service, broker),
            running(service, Command(words, directory, environment), log),
        ):
            found = Limited(port)
            wait_until(lambda: found.get("/api/health")[0] == 200, f"{service} is healthy", seconds=PATIENCE)
            yield found
        assert "Traceback" not in log.read_text(), log.read_text()[-3000:]


@contextmanager
def session_ended(service: str, broker) -> Iterator[None]:
    """Leave no session of the service behind: it would fill up with all that other tests send."""
    try:
        yield
    finally:
        if service in SERVICES:
            broker.end_session(service)
