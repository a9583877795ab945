"""Options that all benchmarks share, and what surrounds each of them."""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from iiot.errors import IiotError
from testbed.bench.report import Figures, show
from testbed.finite import finite

Seconds = Annotated[float, typer.Option(callback=finite, min=0.5, help="Measured span of a run.")]
Settle = Annotated[
    float,
    typer.Option(
        "--settle",
        callback=finite,
        min=0,
        max=600,
        help="Seconds at most, at first, until Kafka gets no cheaper.",
    ),
]
Warmup = Annotated[float, typer.Option(callback=finite, min=0, help="Seconds of load before it.")]
Runs = Annotated[int, typer.Option(min=1, max=100, help="Runs; the median is reported.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Say = Callable[[str], None]
"""Shows what is being done now."""


@contextmanager
def in_good_order(first: str) -> Iterator[Say]:
    """Show progress; what goes wrong ends the program with status 3 and one line.

    Args:
        first: what is done at the beginning.
    """
    # As Ctrl-C does: by itself SIGTERM would end this process and leave the parts running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    errors = Console(emoji=False, stderr=True)
    try:
        with errors.status(first) as status:
            yield status.update
    except IiotError as exc:
        errors.print(f"bench: {exc}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(3) from exc


def conclude(options: Mapping[str, object], runs: Sequence[Figures], missing: int, *, as_json: bool) -> None:
    """Print the result; exit status 1 when anything is missing."""
    show(options, runs, as_json=as_json)
    if missing:
        raise typer.Exit(1)
