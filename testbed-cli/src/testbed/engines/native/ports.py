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
"""Every part that listens; further bridges apart."""
BRIDGE = "mqtt-redpanda-bridge"
MAX_BRIDGES = 9


def bridge_names(count: int) -> tuple[str, ...]:
    """The parts that are bridges: the second is called `mqtt-redpanda-bridge-2`."""
    return (BRIDGE, *(f"{BRIDGE}-{number}" for number in range(2, count + 1)))


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
        return {purpose: port + self.offset for purpose, port in _defaults(part).items()}

    def http(self, part: str) -> int:
        """The port where a part answers HTTP."""
        return self.of(part)["http"]

    def peer(self, bridge: str) -> int:
        """The port where a bridge answers others with which it shares the devices."""
        return self.http(bridge) + 10


def _defaults(part: str) -> dict[str, int]:
    name, _, number = part.rpartition("-")
    if name != BRIDGE:
        return _DEFAULTS.get(part, {})
    return {purpose: port + 100 * (int(number) - 1) for purpose, port in _DEFAULTS[BRIDGE].items()}


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
