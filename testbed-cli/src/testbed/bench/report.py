"""The result of a benchmark: medians over its runs, the machine, and how both are shown."""

import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import typer
from rich.console import Console
from rich.table import Table

Figures: TypeAlias = Mapping[str, "float | Figures | None"]
"""What one run measured, by name; figures that belong together stand in a mapping of their own."""


def show(options: Mapping[str, object], runs: Sequence[Figures], *, as_json: bool) -> None:
    """Print options, machine, medians and each run as JSON, or the figures as a table."""
    if as_json:
        result = {"options": options, "machine": machine(), "median": medians(runs), "runs": runs}
        typer.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    else:
        Console(emoji=False).print(_table(runs))


def machine() -> dict[str, Any]:
    """The machine that the figures belong to."""
    text = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return {
        "cpu": models[0] if models else "unknown",
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def medians(runs: Sequence[Figures]) -> dict[str, Any]:
    """The median of each figure; None where no run has it."""
    found: dict[str, Any] = {}
    for name, value in runs[0].items():
        if isinstance(value, Mapping):
            found[name] = medians([run[name] for run in runs])  # type: ignore[misc]
        else:
            found[name] = _median([run[name] for run in runs])  # type: ignore[misc]
    return found


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _table(runs: Sequence[Figures]) -> Table:
    table = Table("figure", "median", "lowest", "highest")
    for column in table.columns[1:]:
        column.justify = "right"
    flat = [dict(_flatten(run)) for run in runs]
    for name in flat[0]:
        values = [value for run in flat if (value := run[name]) is not None]
        cells = (statistics.median(values), min(values), max(values)) if values else ()
        table.add_row(name, *map(_text, cells))
    return table


def _flatten(figures: Figures, above: str = "") -> Iterator[tuple[str, float | None]]:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{above}{name} ")
        else:
            yield above + name, value


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"
