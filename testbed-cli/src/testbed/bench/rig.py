"""Broker, Kafka and bridge for the bridge's benchmark."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from testbed.bench.fleet import wait_until
from testbed.bench.load import RAW_PREFIX
from testbed.bench.parts import Parts, free_ports, get_json, running_parts

RAW_TOPIC: Final = "bench.raw"
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
        pids: process ids by part: `bridge`, `broker`, `kafka`; of several bridges, `bridge` receives and
            `bridge-2` and so on deliver for it.
    """

    mqtt_port: int
    kafka_brokers: str
    pids: dict[str, int]


@contextmanager
def running_rig(
    *, form: str, partitions: int, receive_maximum: int, tls: bool, bridges: int = 1
) -> Iterator[Rig]:
    """Start all parts, yield when the bridges are healthy and share the devices, stop all.

    Raises:
        PartError: a part did not start.
    """
    with running_parts() as parts:
        ports = parts.broker()
        brokers = parts.kafka()
        routes = parts.directory / "routes.yaml"
        routes.write_text(_ROUTES)
        settings = parts.mqtt(ports.tls if tls else ports.plain, tls=tls, identity="mqtt-redpanda-bridge") | {
            "KAFKA_BROKERS": brokers,
            "TOPIC_PARTITIONS": partitions,
            "RECEIVE_MAXIMUM": receive_maximum,
        }
        if form == "raw":
            settings["ROUTES_FILE"] = routes
        names = ["bridge", *(f"bridge-{number}" for number in range(2, bridges + 1))]
        _start_bridges(parts, names, settings)
        yield Rig(ports.plain, brokers, {name: parts.pids[name] for name in (*names, "broker", "kafka")})


def _start_bridges(parts: Parts, names: Sequence[str], settings: dict[str, object]) -> None:
    """One after the other: the first finds nobody, so it becomes the receiver."""
    ports = free_ports(len(names))
    if len(names) > 1:
        settings = settings | {"PEERS": ",".join(f"127.0.0.1:{port}" for port in ports)}
    http = [
        parts.service(name, "mqtt_redpanda_bridge", settings | {"PEER_PORT": port})
        for name, port in zip(names, ports, strict=True)
    ]
    wait_until(
        lambda: bool(get_json(http[0], "/api/health")["group"]["members"] == len(names)),
        "bridge",
        "the bridges did not share the devices",
    )
