"""A part as the supervisor sees it, and ways to tell whether one is healthy."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException

from testbed.engines.native.process import Command

# MQTT 3.1.1 (sections 3.1, 3.2, 3.14): CONNECT without client id, clean session; CONNACK "accepted".
_MQTT_CONNECT = bytes.fromhex("10 0c 0004") + b"MQTT" + bytes.fromhex("04 02 000a 0000")
_MQTT_CONNACK = bytes.fromhex("20 02 00 00")
_MQTT_DISCONNECT = bytes.fromhex("e0 00")
# Kafka: length, ApiVersions (18) version 0, correlation id 1, no client id.
_KAFKA_API_VERSIONS = bytes.fromhex("0000000a 0012 0000 00000001 ffff")

Probe = Callable[[], str | None]
"""Returns None when the part is healthy, else what is wrong. May block for a second or two."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process to keep running."""

    name: str
    prepare: Callable[[], Command]
    """Called before each start; may block and may raise PartError."""
    probe: Probe
    needs: tuple[str, ...] = ()
    """Parts that must be healthy (or done) before this one starts for the first time."""
    ports: dict[str, int] = field(default_factory=dict)
    once: bool = False
    """A set-up step that ends by itself with status 0."""
    watch: float = 2.0
    """Seconds between two probes of a healthy part."""
    grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""


def speaks_mqtt(port: int) -> Probe:
    """Healthy when an MQTT broker on this port of the loopback interface accepts a client."""
    return lambda: _exchange(port, _MQTT_CONNECT, _MQTT_CONNACK, _MQTT_DISCONNECT)


def speaks_kafka(port: int) -> Probe:
    """Healthy when a Kafka broker on this port of the loopback interface names its API versions."""
    return lambda: _exchange(port, _KAFKA_API_VERSIONS, b"")


def _exchange(port: int, request: bytes, reply: bytes, farewell: bytes = b"") -> str | None:
    # Accepting a connection is the kernel's doing: only an answer shows that the process is alive.
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(request)
            answer = connection.recv(4)
            connection.sendall(farewell)
    except OSError as exc:
        return f"no answer on port {port}: {exc}"
    return None if answer and answer.startswith(reply) else f"unexpected answer on port {port}"


def answers(url: str) -> Probe:
    """Healthy when a GET of this address is answered with 200."""

    def probe() -> str | None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own http address
                return None
        except urllib.error.HTTPError as exc:
            with exc:
                return _problem_of(exc.code, exc.read(4096))
        except (OSError, HTTPException) as exc:
            return f"no answer from {url}: {getattr(exc, 'reason', exc)}"

    return probe


def _problem_of(status: int, body: bytes) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        return f"answers with status {status}"
    details = {key: value for key, value in document.items() if key != "timestamp"}
    return f"answers with status {status}: {json.dumps(details)[:200]}"
