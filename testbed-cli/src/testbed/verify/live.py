"""`./testbed verify --watch`: the books on a terminal, as lines, or as JSON lines."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import orjson
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from testbed.verify import report
from testbed.verify.histogram import Histogram
from testbed.verify.ledger import PathTotals, Verdict
from testbed.verify.stop import Stop
from testbed.verify.watch import Snapshot, WatchPlan, watch
from testbed.verify.window import Result

HINT: Final = "Ctrl-C ends it and says how it was; once more does not wait for what is on its way"


def run_watch(plan: WatchPlan, console: Console, *, as_json: bool) -> Result:
    """Watch until the time is over or Ctrl-C; one line or picture for each snapshot.

    Raises:
        IiotError: as `watch`.
    """
    if as_json:
        return asyncio.run(_run(plan, _print_json))
    if not console.is_terminal:
        return asyncio.run(_run(plan, lambda one: typer.echo(as_line(one), err=console.stderr)))
    with Live(Text("starting"), console=console, transient=True) as live:
        return asyncio.run(_run(plan, lambda one: live.update(as_picture(one))))


async def _run(plan: WatchPlan, show: Callable[[Snapshot], None]) -> Result:
    return await watch(plan, Stop.on_signals(), show)


def as_json(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot by the names of the final result, except that `on_the_way` is not yet `lost`."""
    verdict = snapshot.verdict
    return {
        "final": False,
        "seconds": round(snapshot.seconds, 3),
        "rate": round(snapshot.rate, 1),
        **_figures(verdict, _merged(snapshot)),
        "paths": {name: _figures(totals, snapshot.recent[name]) for name, totals in verdict.paths.items()},
        "devices": verdict.devices,
        "problems": list(snapshot.problems),
    }


def _figures(totals: Verdict | PathTotals, recent: Histogram) -> dict[str, Any]:
    figures = report.figures(totals)
    return {
        **figures,
        "lost": totals.given_up,
        "on_the_way": totals.lost - totals.given_up,
        "latency_ms": report.latency_ms(recent),
    }


def as_line(snapshot: Snapshot) -> str:
    """A snapshot in one line."""
    verdict, latency = snapshot.verdict, report.latency_ms(_merged(snapshot))
    return (
        f"{_clock(snapshot.seconds)}  {verdict.devices} devices  {snapshot.rate:,.1f} messages/s  "
        f"sent {verdict.sent:,}  on the way {verdict.lost - verdict.given_up:,}  lost {verdict.given_up:,}  "
        f"duplicated {verdict.duplicated:,}  reordered {verdict.reordered:,}  "
        f"p50 {latency['p50']} ms  p99 {latency['p99']} ms"
        + "".join(f"  ({problem})" for problem in snapshot.problems)
    )


def as_picture(snapshot: Snapshot) -> RenderableType:
    """A snapshot as a table, with what is wrong below it."""
    verdict = snapshot.verdict
    table = Table(
        title=f"{verdict.devices} devices, {_clock(snapshot.seconds)}, {snapshot.rate:,.1f} messages/s sent",
        caption=HINT,
        box=None,
        pad_edge=False,
        header_style="bold",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("path")
    for column in ("sent", "delivered", "on the way", "lost", "duplicated", "reordered", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    for name, totals in verdict.paths.items():
        table.add_row(name, *_cells(totals, snapshot.recent[name]))
    table.add_row("messages", *_cells(verdict, _merged(snapshot)), style="bold")
    return Group(table, *(Text(f"note: {problem}", style="yellow") for problem in snapshot.problems))


def _cells(totals: Verdict | PathTotals, recent: Histogram) -> list[str | Text]:
    lost = totals.given_up
    on_the_way = totals.lost - lost
    sent, delivered, _, *repeats = report.count_cells(totals)
    return [
        sent,
        delivered,
        f"{on_the_way:,}",
        Text(f"{lost:,}", style="bold red" if lost else ""),
        *repeats,
        *report.latency_cells(recent),
    ]


def _merged(snapshot: Snapshot) -> Histogram:
    latency = Histogram()
    for recent in snapshot.recent.values():
        latency.merge(recent)
    return latency


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _print_json(snapshot: Snapshot) -> None:
    typer.echo(orjson.dumps(as_json(snapshot)))
