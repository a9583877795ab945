"""Where each part listens. TESTBED_PORT_OFFSET moves all, so that two testbeds can run side by side."""

import os
import socket
from dataclasses import dataclass

from testbed.engines.native.errors import PortInUseError

_DEFAULTS = {
    "mosquitto": {"mqtts": 8883, "mqtt": 1883, "websocket": 9001},
    "kafka": {"kafka": 9092, "controller": 9095},
    "lwm2m-server": {"http": 8080},
    "sparkplug-host": {"http": 8081},
    "mqtt-redpanda-bridge": {"http": 8082},
    "device-simulator": {"http": 8083},
    "redpanda-connect": {"http": 8087},
    "console": {"http": 8088},
    "testbed-exporter": {"http": 8089},
    "prometheus": {"http": 9090},
    "alertmanager": {"http": 9093},
    "grafana": {"http": 3000},
}
PART_NAMES = tuple(_DEFAULTS)
"""Every part that listens."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of all parts, shifted together."""

    offset: int = 0

    @classmethod
    def from_environment(cls) -> "Ports":
        """The ports that this shell's environment asks for."""
        text = os.environ.get("TESTBED_PORT_OFFSET") or "0"
        if not text.isdigit() or int(text) > 56000:
            raise PortInUseError(f"TESTBED_PORT_OFFSET={text!r}: must be a whole number from 0 to 56000")
        return cls(int(text))

    def of(self, part: str) -> dict[str, int]:
        """Ports of a part by purpose; empty for a part that does not listen."""
        return {purpose: port + self.offset for purpose, port in _DEFAULTS.get(part, {}).items()}

    def http(self, part: str) -> int:
        """The port where a part answers HTTP."""
        return self.of(part)["http"]


def check_free(part: str, ports: dict[str, int], bind: str = "127.0.0.1") -> None:
    """Make sure that a part can listen: MQTT over TLS on `bind`, the rest on loopback.

    Raises:
        PortInUseError: another program has one of the ports.
    """
    for purpose, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((bind if purpose == "mqtts" else "127.0.0.1", port))
            except OSError as exc:
                raise PortInUseError(
                    f"{part} needs port {port}, which another program uses: stop it "
                    f"(`ss -ltnp sport = :{port}` shows it) or set TESTBED_PORT_OFFSET=10000"
                ) from exc
