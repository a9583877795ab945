"""What tests share besides fixtures: free ports, bounded waiting, the real broker's particulars."""

import asyncio
import inspect
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import paho.mqtt.client as paho

from iiot import certs
from iiot.identity import SERVICES
from iiot.settings import MqttSettings

T = TypeVar("T")
_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = iter(random.sample(range(20_000 + _process, 32_000, 10), 1_200))
"""Of up to ten processes of tests each has its own."""


@dataclass(frozen=True)
class Broker:
    """A running Mosquitto."""

    tls_port: int
    plain_port: int
    websocket_port: int
    certs: Path
    log: Path
    host: str = "localhost"

    def identity(self, name: str) -> certs.Identity:
        """Certificate files of a service or a device."""
        return certs.service_identity(self.certs, name) if name in SERVICES else certs.issue(self.certs, name)

    def client_settings(self, name: str) -> MqttSettings:
        """Settings with which a service or device of this name connects over TLS."""
        files = self.identity(name)
        return MqttSettings(
            mqtt_host=self.host,
            mqtt_port=self.tls_port,
            mqtt_ca=files.ca,
            mqtt_cert=files.cert,
            mqtt_key=files.key,
        )

    def environment(self, name: str) -> dict[str, str]:
        """Environment variables with which a service of this name connects over TLS."""
        settings = self.client_settings(name).model_dump(exclude_none=True)
        return {key.upper(): str(value) for key, value in settings.items()}

    def connected(self, name: str) -> paho.Client:
        """A paho client with this certificate and a new session; its loop runs."""
        files = self.identity(name)
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
        client.tls_set(str(files.ca), str(files.cert), str(files.key))
        client.connect(self.host, self.tls_port, clean_start=True)
        client.loop_start()
        wait_until(client.is_connected, f"{name} is connected")
        return client

    def end_session(self, name: str) -> None:
        """End the session of this client, with its subscriptions and what waits for it."""
        client = self.connected(name)
        client.disconnect()
        client.loop_stop()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on, given out once.

    It is below those that Linux gives to outgoing connections, one of which could take it until it is used.
    """
    for port in _ports:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free any more")


def wait_until(probe: Callable[[], T], what: str, seconds: float = 10.0, interval: float = 0.05) -> T:
    """Call `probe` until it returns something true; its last value or error explains a time-out."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            last = value = probe()
            if value:
                return value
        except (OSError, AssertionError) as exc:
            last = exc
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s, last: {last!r}")
        time.sleep(interval)


async def eventually(
    probe: Callable[[], T | Awaitable[T]], what: str, seconds: float = 10.0, interval: float = 0.02
) -> T:
    """Like `wait_until` inside an event loop; `probe` may be a coroutine function."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = probe()
            last = value = await value if inspect.isawaitable(value) else value
            if value:
                return value
        except (OSError, AssertionError) as exc:
            last = exc
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s, last: {last!r}")
        await asyncio.sleep(interval)


def accepts_connections(port: int) -> bool:
    """Whether something listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def yardstick(clock: Callable[[], float] = time.monotonic) -> float:
    """Seconds that plain Python work takes here and now, by this clock."""
    begin = clock()
    total = 0
    for number in range(5_000_000):
        total += number * number
    return clock() - begin


class HeldRunner:
    """Stands for the worker thread of `iiot.in_order`: does what it was given when told to."""

    def __init__(self):
        self.jobs = []

    def __call__(self, work, then):
        self.jobs.append((work, then))

    def finish(self):
        work, then = self.jobs.pop(0)
        work()
        then()
