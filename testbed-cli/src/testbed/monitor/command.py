"""`./testbed monitor`: the live view on a terminal, plain text elsewhere."""

import asyncio
import os
import sys
from typing import Annotated, Final

import typer
from rich.console import Console

from iiot.errors import SettingsError
from testbed.engines import choose
from testbed.engines.native.engine import NativeEngine
from testbed.finite import finite
from testbed.monitor import view
from testbed.monitor.collect import Collector
from testbed.monitor.places import Places, find

EXIT_USAGE: Final = 2
RATE_SAMPLE: Final = 1.0
"""Seconds between the two looks that a rate needs."""
_NO_TERMINAL: Final = (
    "monitor: this is no terminal that can be drawn on, so a look every {:g} s comes as text until Ctrl-C; "
    "--once prints one"
)


def monitor(
    interval: Annotated[
        float, typer.Option(callback=finite, min=0.2, max=60, help="Seconds between two looks.")
    ] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one look as text and end.")] = False,
) -> None:
    """Watch connections, rates, topics and the newest messages.

    Without a terminal it prints a look every INTERVAL seconds until it is interrupted.
    """
    try:
        engine = choose.in_use() or NativeEngine()
        places = find(engine.port_offset(), dict(os.environ))
    except SettingsError as exc:
        for problem in exc.problems:
            typer.echo(f"monitor: {problem}", err=True)
        raise typer.Exit(EXIT_USAGE) from exc
    console = Console(emoji=False)
    try:
        if once:
            asyncio.run(_print(console, places, None))
        elif console.is_terminal and not console.is_dumb_terminal and sys.stderr.isatty():
            asyncio.run(_show(places, interval))
        else:
            typer.echo(_NO_TERMINAL.format(interval), err=True)
            asyncio.run(_print(console, places, interval))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _show(places: Places, interval: float) -> None:
    from testbed.monitor.screen import Monitor

    async with Collector(places) as collector:
        await Monitor(collector, interval).run_async()


async def _print(console: Console, places: Places, interval: float | None) -> None:
    async with Collector(places) as collector:
        await collector.snapshot()
        await asyncio.sleep(min(RATE_SAMPLE, interval or RATE_SAMPLE))
        while True:
            console.print(view.plain(await collector.snapshot()), soft_wrap=False)
            if interval is None:
                return
            await asyncio.sleep(interval)
