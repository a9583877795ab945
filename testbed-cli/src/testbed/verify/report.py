"""The verdict for people (a table) and for scripts (JSON)."""

from itertools import pairwise
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from testbed.verify.histogram import Histogram
from testbed.verify.ledger import PathTotals, Verdict
from testbed.verify.window import Result


def as_json(result: Result) -> dict[str, Any]:
    """The result by stable names; latencies in ms, null when nothing was measured."""
    verdict = result.verdict
    return {
        **figures(verdict),
        "paths": {name: figures(totals) for name, totals in verdict.paths.items()},
        "devices": verdict.devices,
        "seconds": round(result.seconds, 3),
        "missing": [missing._asdict() for missing in verdict.missing],
        "problems": result.problems,
    }


PLOT_BOUNDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000)
"""Upper ends in ms of the plot's bars; one more bar is for what took longer."""
PLOT_WIDTH: Final = 50


def as_plot(result: Result) -> RenderableType:
    """The latencies of all paths together as bars, which needs no colours and no terminal."""
    latency = result.verdict.latency
    below = latency.up_to(PLOT_BOUNDS)
    counts = [later - earlier for earlier, later in pairwise((0, *below, latency.count))]
    labels = [*(f"to {bound:,} ms" for bound in PLOT_BOUNDS), "more"]
    filled = [at for at, count in enumerate(counts) if count]
    highest = max(counts)
    table = Table(title="latency", box=None, pad_edge=False, show_header=False, title_justify="left")
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column(no_wrap=True)
    for at in range(filled[0], filled[-1] + 1) if filled else ():
        bar = "█" * -(-PLOT_WIDTH * counts[at] // highest)
        table.add_row(labels[at], f"{counts[at]:,}", bar)
    return table


def as_table(result: Result) -> RenderableType:
    """The result as a table, a line for each run of missing numbers, and one line that says it all."""
    verdict = result.verdict
    table = Table(
        title=f"{verdict.devices} devices, {result.seconds:.0f} s, "
        f"{verdict.sent / result.seconds:,.1f} messages/s sent",
        box=None,
        pad_edge=False,
        header_style="bold",
        title_justify="left",
    )
    table.add_column("path")
    for column in ("sent", "delivered", "lost", "duplicated", "reordered", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    for name, totals in verdict.paths.items():
        table.add_row(name, *_cells(totals))
    table.add_row("messages", *_cells(verdict), style="bold")
    lines: list[RenderableType] = [table]
    lines += [
        Text(f"missing: {m.device} on {m.path}: {m.last - m.first + 1:,} from number {m.first}", style="red")
        for m in verdict.missing
    ]
    lines += [Text(f"note: {problem}", style="yellow") for problem in result.problems]
    if verdict.lost:
        lines.append(Text(f"{verdict.lost:,} of {verdict.sent:,} messages are LOST", style="bold red"))
    else:
        lines.append(Text(f"All {verdict.sent:,} messages arrived on every path", style="bold green"))
    return Group(*lines)


def figures(totals: Verdict | PathTotals) -> dict[str, Any]:
    """Counts and latencies by stable names."""
    return {
        "sent": totals.sent,
        "delivered": totals.delivered,
        "lost": totals.lost,
        "duplicated": totals.duplicated,
        "reordered": totals.reordered,
        "latency_ms": latency_ms(totals.latency),
    }


def latency_ms(latency: Histogram) -> dict[str, int | None]:
    """Median and 99th percentile, in ms."""
    return {"p50": latency.quantile(0.5), "p99": latency.quantile(0.99)}


def _cells(totals: Verdict | PathTotals) -> list[str | Text]:
    return [*count_cells(totals), *latency_cells(totals.latency)]


def count_cells(totals: Verdict | PathTotals) -> list[str | Text]:
    """Sent, delivered, lost, duplicated, reordered."""
    return [
        f"{totals.sent:,}",
        f"{totals.delivered:,}",
        Text(f"{totals.lost:,}", style="bold red" if totals.lost else ""),
        Text(f"{totals.duplicated:,}", style="yellow" if totals.duplicated else ""),
        Text(f"{totals.reordered:,}", style="yellow" if totals.reordered else ""),
    ]


def latency_cells(latency: Histogram) -> list[str | Text]:
    """Median and 99th percentile."""
    return ["-" if value is None else f"{value:,}" for value in latency_ms(latency).values()]
