"""Tables and addresses that several commands show."""

import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from testbed.engines.base import Engine, PartStatus
from testbed.engines.native.ports import Ports

_STYLES = {"healthy": "green", "done": "green", "absent": "dim", "unhealthy": "red", "stopped": "red"}


def console() -> Console:
    """Standard output; a pipe or a file has no width, so tables need not wrap there."""
    return Console() if sys.stdout.isatty() else Console(width=160)


def brokers(engine: Engine) -> str:
    """Where Kafka clients of this machine connect."""
    return f"localhost:{Ports(engine.port_offset()).of('kafka')['kafka']}"


def parts_table(parts: Sequence[PartStatus]) -> Table:
    """State of every part."""
    table = Table(
        "part", "state", "ports", "restarts", "detail", box=None, pad_edge=False, header_style="bold"
    )
    for part in parts:
        ports = " ".join(f"{port} {purpose}" for purpose, port in part.ports.items())
        state = f"[{_STYLES.get(part.state, 'yellow')}]{part.state}"
        table.add_row(part.name, state, ports, str(part.restarts or ""), part.detail)
    return table


def topics_table(topics: Mapping[str, int]) -> Table:
    """Records per Kafka topic since the start."""
    table = Table("Kafka topic", box=None, pad_edge=False, header_style="bold")
    table.add_column("records", justify="right")
    for name, count in topics.items():
        table.add_row(name, f"{count:,}" if count else "-")
    return table


def addresses(engine: Engine) -> Table:
    """What a person can open."""
    ports = Ports(engine.port_offset())
    here = {part.name: part for part in engine.status()}
    table = Table("where to look", "", box=None, pad_edge=False, header_style="bold")
    table.add_row("console", f"http://localhost:{ports.http('console')}")
    table.add_row("LwM2M server", f"http://localhost:{ports.http('lwm2m-server')}/api/clients")
    table.add_row("Sparkplug host", f"http://localhost:{ports.http('sparkplug-host')}/api/nodes")
    table.add_row("Redpanda Connect", f"http://localhost:{ports.http('redpanda-connect')}/connectors")
    for name in ("prometheus", "alertmanager", "grafana"):
        part = here.get(name)
        if part:
            table.add_row(
                name.title(),
                part.detail if part.state == "absent" else f"http://localhost:{ports.http(name)}",
            )
    mqtt = ports.of("mosquitto")
    table.add_row("MQTT", f"mosquitto_sub -p {mqtt['mqtt']} -t '#' -v   (TLS on {mqtt['mqtts']})")
    table.add_row("Kafka", brokers(engine))
    return table
