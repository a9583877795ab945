"""Broker, LwM2M server and simulated devices, all of them over TLS with their own certificates."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from testbed.bench.http_load import HttpLoad
from testbed.bench.parts import Parts, get_json, get_text
from testbed.engines.native.errors import PartError
from testbed.engines.native.mosquitto import BrokerPorts

BATTERY: Final = "/3/0/9"
"""A resource that every device has, and that changes."""
READY_TIMEOUT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """A running fleet.

    Attributes:
        broker: its ports; on the plain one everyone may read everything.
        server: HTTP port of the LwM2M server.
        simulator: HTTP port of the simulator.
        endpoints: of the devices.
    """

    broker: BrokerPorts
    server: int
    simulator: int
    endpoints: list[str]

    def sent(self) -> dict[str, int]:
        """Messages that the devices have sent so far, by ledger stream: `sparkplug`, `lwm2m`."""
        counts = {"sparkplug": 0, "lwm2m": 0}
        for stream in get_json(self.simulator, "/api/ledger")["streams"]:
            counts[stream["stream"]] += stream["sent"]
        return counts

    def refused(self) -> int:
        """Messages that the server has refused or dropped so far."""
        lines = get_text(self.server, "/metrics").splitlines()
        named = ("lwm2m_messages_total{", "lwm2m_messages_dropped_total{")
        counts = [line for line in lines if line.startswith(named) and not _is_harmless(line)]
        return sum(round(float(line.rpartition(" ")[2])) for line in counts)


def start_fleet(parts: Parts, devices: int, settings: Mapping[str, object]) -> Fleet:
    """Start all, with the broker's own configuration, and wait until every device is registered.

    Args:
        parts: starts them.
        devices: how many.
        settings: of the simulator, beside its defaults.
    """
    broker = parts.broker(shipped=True)
    server = start_server(parts, broker.tls, tls=True)
    simulator = parts.service(
        "devices",
        "device_simulator",
        {
            "MQTT_HOST": "localhost",
            "MQTT_PORT": broker.tls,
            "DEVICE_CA_DIR": parts.certs / "device-ca",
            "STATE_DIR": parts.directory / "devices",
            "FLEET_ID": "bench",
            "DEVICE_COUNT": devices,
            **settings,
        },
    )
    found: list[str] = []

    def registered() -> bool:
        found[:] = [client["endpoint"] for client in get_json(server, "/api/clients?limit=1000")]
        return len(found) == devices

    wait_until(registered, "server", f"{devices} devices did not register")
    return Fleet(broker, server, simulator, sorted(found))


def start_server(parts: Parts, port: int, *, tls: bool, core: int | None = None) -> int:
    """Start the LwM2M server with an empty database; its HTTP port."""
    settings = parts.mqtt(port, tls=tls, identity="lwm2m-server")
    settings["DATABASE"] = parts.directory / "server.db"
    return parts.service("server", "lwm2m_server", settings, core=core)


def start_others(parts: Parts, broker: BrokerPorts) -> None:
    """Start Kafka, the bridge and the Sparkplug host as well."""
    brokers = {"KAFKA_BROKERS": parts.kafka()}
    bridge = parts.mqtt(broker.tls, tls=True, identity="mqtt-redpanda-bridge")
    parts.service("bridge", "mqtt_redpanda_bridge", bridge | brokers)
    parts.service("host", "sparkplug_host", parts.mqtt(broker.tls, tls=True, identity="sparkplug-host"))


def reads_of(fleet: Fleet, rate: float, warmup: float, seconds: float) -> HttpLoad:
    """One REST client that reads the battery level of each device in turn; `rate` 0: again at once."""
    return HttpLoad(
        port=fleet.server,
        paths=[f"/api/clients/{endpoint}{BATTERY}" for endpoint in fleet.endpoints],
        connections=1,
        rate=rate,
        expected='"content":{',
        follow=False,
        warmup=warmup,
        seconds=seconds,
    )


def wait_until(condition: Callable[[], bool], part: str, problem: str) -> None:
    """Poll until it holds.

    Raises:
        PartError: it did not within `READY_TIMEOUT`.
    """
    deadline = time.monotonic() + READY_TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise PartError(part, f"{problem} within {READY_TIMEOUT:g} s")
        time.sleep(0.1)


def _is_harmless(line: str) -> bool:
    # The topics of the OMA binding bring the server its own messages as well.
    return 'outcome="accepted"' in line or 'outcome="duplicate"' in line or 'reason="echo"' in line
