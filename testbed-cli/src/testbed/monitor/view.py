"""Snapshots as text: the same pieces for the live view and for plain output."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from testbed.monitor.model import Check, RouteLine, Snapshot, State, TopicLine

STYLES: Final = {"up": "green", "down": "bold red", "unknown": "yellow"}
_PREFIX: Final = "iot.telemetry."


def short_name(topic: str) -> str:
    """A topic's name without what all telemetry topics share."""
    return topic.removeprefix(_PREFIX)


def rate(value: float | None) -> str:
    """Messages per second."""
    return "-" if value is None else f"{value:,.1f}"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long something is past, in one unit."""
    if moment is None:
        return "-"
    seconds = max(0, (now - moment).total_seconds())
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds // 86_400:,.0f} d"


def mark(state: State) -> Text:
    """A sign for a state, which can be told without colours."""
    return Text("●" if state == "up" else "✖" if state == "down" else "?", STYLES[state])


def checks(found: Sequence[Check], columns: int = 2) -> RenderableType:
    """A mark, a name and how it is, for each connection, in columns that are read downwards."""
    grid = Table.grid(padding=(0, 1), expand=True)
    for _ in range(columns):
        grid.add_column(width=1)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    height = -(-len(found) // columns)
    for row in range(height):
        cells: list[Text] = []
        for check in found[row::height]:
            style = STYLES[check.state]
            cells += [mark(check.state), Text(check.name)]
            cells.append(Text(check.detail, "dim" if check.state == "up" else style))
        grid.add_row(*cells)
    return grid


def routes(found: Sequence[RouteLine]) -> RenderableType:
    """What the bridge takes and delivers, by route."""
    if not found:
        return Text("no figures of the bridge: neither it nor Prometheus answers", "yellow")
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    table.add_column("bridge route", no_wrap=True)
    for column in ("in/s", "out/s", "received", "delivered", "in flight", "dead"):
        table.add_column(column, justify="right", no_wrap=True)
    for route in found:
        table.add_row(
            route.name,
            rate(route.received_rate),
            rate(route.delivered_rate),
            f"{route.received:,}",
            f"{route.delivered:,}",
            f"{route.in_flight:,}",
            Text(f"{route.dead_lettered:,}", "bold red" if route.dead_lettered else ""),
        )
    return table


def topics(found: Sequence[TopicLine]) -> RenderableType:
    """Records and arrivals of every topic."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Kafka topic", no_wrap=True)
    table.add_column("records", justify="right")
    table.add_column("per second", justify="right")
    for topic in found:
        table.add_row(topic.name, f"{topic.records:,}", rate(topic.rate))
    return table


def plain(snapshot: Snapshot) -> RenderableType:
    """A whole snapshot, for output that is no terminal."""
    return Group(
        Text(f"{snapshot.at:%Y-%m-%d %H:%M:%S}  {rate(snapshot.rate)} records/s into Kafka"),
        Text(),
        *(Text(f"{check.state:<8}{check.name:<18}{check.detail}") for check in snapshot.checks),
        Text(),
        routes(snapshot.routes),
        Text(),
        topics(snapshot.topics),
        Text(),
    )
