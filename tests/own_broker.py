"""Brokers of a test's own, which it may stop, kill and start again."""

import shutil
from contextlib import contextmanager
from pathlib import Path

from iiot import certs
from support import Broker, accepts_connections, free_port, wait_until
from testbed.engines.native import mosquitto as mosquitto_process
from testbed.engines.native.process import Command, spawn

ROOT = Path(__file__).parents[1]


class Server:
    """A server that a test may stop, kill and start again."""

    def __init__(self, command, directory, ports):
        self._command, self._directory, self._ports = command, directory, ports
        self._process = None

    def start(self):
        self._process = spawn(self._command, self._directory / "log.txt", self._directory)
        for port in self._ports:
            wait_until(lambda port=port: accepts_connections(port), f"port {port} listens", seconds=60)

    def stop(self, *, kill=False):
        (self._process.kill if kill else self._process.terminate)()
        self._process.wait(30)

    def signal(self, number):
        self._process.send_signal(number)

    def is_running(self):
        return self._process.poll() is None


@contextmanager
def own_mosquitto(directory, authority=None, disk=None):
    """A Mosquitto and its process.

    Args:
        directory: to be made; holds its files.
        authority: a directory of certificates to share with others.
        disk: makes the file system of its data from the directory of that, see `SmallDisk`.
    """
    directory.mkdir()
    if authority is None:
        authority = directory / "all-certs"
        certs.create_authority(authority)
    ports = mosquitto_process.BrokerPorts(free_port(), free_port(), free_port())
    command = mosquitto_process.prepare(directory, ROOT / "mosquitto", authority, ports)
    if disk:
        command = disk(directory / "data").command(command)
    server = Server(command, directory, [ports.tls])
    server.start()
    broker = Broker(ports.tls, ports.plain, ports.websocket, authority, directory / "log.txt")
    try:
        yield broker, server
    finally:
        server.stop()


@contextmanager
def open_mosquitto(directory):
    """A Mosquitto without TLS and access control, and its process: anyone may speak as anyone."""
    directory.mkdir()
    port = free_port()
    config = directory / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest stderr\n")
    program = shutil.which("mosquitto") or mosquitto_process._FALLBACK
    server = Server(Command((program, "-c", str(config)), cwd=directory), directory, [port])
    server.start()
    try:
        yield Broker(0, port, 0, directory, directory / "log.txt"), server
    finally:
        server.stop()
