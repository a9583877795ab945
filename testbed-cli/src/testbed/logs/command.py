"""`testbed logs`."""

import sys
from datetime import datetime
from typing import Annotated, Final

import typer
from rich.console import Console

from iiot.errors import IiotError, InvalidValueError
from testbed.engines import choose
from testbed.engines.native.engine import NativeEngine
from testbed.logs import show
from testbed.logs.line import LogLine
from testbed.logs.since import parse

LINES: Final = 100
EXIT_USAGE: Final = 2


def logs(
    part: Annotated[
        str | None, typer.Argument(help="A part as `status` names it; all when left out.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[
        int | None,
        typer.Option(
            "--lines",
            "-n",
            min=0,
            help="Last lines of each part.",
            show_default=f"{LINES}; with --since or --grep all",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="From when on: an age (10m), a time (18:05) or a date (2026-11-25T18:05)."),
    ] = None,
    grep: Annotated[
        str | None, typer.Option(help="Only lines that contain this text, such as a correlation id.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="As written, also on a terminal.")] = False,
) -> None:
    """Show what the parts write, in the order in which it happened.

    On a terminal JSON lines are made readable; elsewhere, and with --raw, each line is as it was written.
    """
    console = Console(emoji=False, soft_wrap=True, highlight=False)
    now = datetime.now().astimezone()
    try:
        begin = parse(since, now) if since is not None else None
        if lines is None and begin is None and grep is None:
            lines = LINES
        engine = choose.in_use() or NativeEngine()
        for line in engine.logs(part, follow=follow, lines=lines, since=begin):
            if grep is None or _contains(line, grep, now):
                if console.is_terminal and not raw:
                    console.print(show.readable(line, with_part=part is None, today=now))
                else:
                    typer.echo(show.plain(line, with_part=part is None))
    except KeyboardInterrupt:
        return
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()
        raise typer.Exit from None
    except InvalidValueError as exc:
        typer.echo(f"logs: {exc}", err=True)
        raise typer.Exit(EXIT_USAGE) from exc
    except IiotError as exc:
        typer.echo(f"logs: {exc}", err=True)
        raise typer.Exit(1) from exc


def _contains(line: LogLine, text: str, now: datetime) -> bool:
    return text in line.text or text in show.readable(line, with_part=False, today=now).plain
