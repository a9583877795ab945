"""Broker, Kafka and bridge for the bridge's benchmark."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from testbed.bench.load import RAW_PREFIX
from testbed.bench.parts import running_parts

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
        parts.service("bridge", "mqtt_redpanda_bridge", settings)
        yield Rig(ports.plain, brokers, {name: parts.pids[name] for name in ("bridge", "broker", "kafka")})
