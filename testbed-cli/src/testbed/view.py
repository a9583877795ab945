"""Tables and addresses that several commands show."""

import json
import sys
import urllib.request
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from testbed.engines.base import Engine, PartStatus
from testbed.engines.native.ports import Ports

_STYLES = {"healthy": "green", "done": "green", "absent": "dim", "unhealthy": "red", "stopped": "red"}


def console() -> Console:
    """Standard output; a pipe or a file has no width, so tables need not wrap there."""
    return Console(emoji=False) if sys.stdout.isatty() else Console(emoji=False, width=160)


def complain(text: str) -> None:
    """An error in one line, as it is, on standard error."""
    Console(emoji=False, stderr=True).print(text, style="red", markup=False, highlight=False, soft_wrap=True)


def brokers(engine: Engine) -> str:
    """Where Kafka clients of this machine connect; an address, since some machines resolve no names."""
    return f"127.0.0.1:{Ports(engine.port_offset()).of('kafka')['kafka']}"


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
    table.add_row("Kafka", f"localhost:{ports.of('kafka')['kafka']}")
    table.add_row("REST writes", _who_may_write(ports.http("lwm2m-server")))
    return table


def _who_may_write(port: int) -> str:
    """What the LwM2M server says of its own access; the other APIs have the same setting."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2) as answer:
            access = json.load(answer)["api_writes"]
    except (OSError, ValueError, KeyError):
        return "unknown: the LwM2M server does not answer"
    if access == "open":
        return "open to everyone on this machine; set API_TOKEN_FILE to ask for a token"
    return "with the token of API_TOKEN_FILE"
