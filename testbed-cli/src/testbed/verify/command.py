"""`./testbed verify`: measure a window and say whether anything was lost."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from pydantic import AfterValidator
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from iiot.errors import IiotError, KafkaError, SettingsError
from iiot.settings import KafkaSettings, load_with_defaults
from testbed import view
from testbed.engines import choose
from testbed.engines.base import Engine, EngineError
from testbed.engines.docker import DockerEngine
from testbed.engines.native.engine import NativeEngine
from testbed.engines.native.ports import Ports
from testbed.finite import finite
from testbed.verify import report, window
from testbed.verify.devices import SimulatorsError, parse_addresses
from testbed.verify.live import run_watch
from testbed.verify.plot import as_svg
from testbed.verify.stop import Stop
from testbed.verify.watch import WatchPlan

EXIT_LOST: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOT_RUNNING: Final = 3
EXIT_NOTHING_SENT: Final = 4


def _checked(addresses: str) -> str:
    parse_addresses(addresses)
    return addresses


class VerifySettings(KafkaSettings):
    """Where to look; see `_settings` for what holds without variables."""

    simulators: Annotated[str, AfterValidator(_checked)]
    """Comma-separated `host:port`; a name stands for all its addresses, so for a scaled service."""


def verify(
    seconds: Annotated[
        float | None,
        typer.Option(
            callback=finite, min=0.5, help="Length.", show_default="60, or with --watch until Ctrl-C"
        ),
    ] = None,
    patience: Annotated[
        float,
        typer.Option(
            callback=finite, min=0.5, help="Seconds without an arrival until what is missing counts as lost."
        ),
    ] = 30.0,
    watch: Annotated[bool, typer.Option("--watch", help="Show all the time how the books stand.")] = False,
    every: Annotated[
        float, typer.Option(callback=finite, min=0.5, max=3600, help="Seconds between looks of --watch.")
    ] = 5.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON; with --watch a line for each look.")
    ] = False,
    plot: Annotated[bool, typer.Option("--plot", help="Show how the latencies spread as well.")] = False,
    plot_file: Annotated[
        Path | None,
        typer.Option(help="Draw latencies, and what was missing when, into this .svg; -: standard output."),
    ] = None,
) -> None:
    """Account in Kafka for every message that every device sends during a window.

    Ctrl-C ends the window early, with its result; once more does not wait for what is on its way.

    Exit status: 0 everything arrived; 1 something was lost; 2 wrong usage; 3 the testbed is not running;
    4 no device sent anything.
    """
    to_stdout = str(plot_file) == "-"
    _check_plot_file(plot_file, as_json=as_json)
    # What is drawn on standard output stays alone there.
    console, errors = Console(emoji=False, stderr=to_stdout), Console(emoji=False, stderr=True)
    try:
        engine = choose.unless_told(*map(str.upper, VerifySettings.model_fields))
        if isinstance(engine, DockerEngine):
            flags = [*["--json"] * as_json, *["--plot"] * plot, *["--watch", f"--every={every}"] * watch]
            length = [f"--seconds={seconds}"] if seconds is not None else []
            raise typer.Exit(_in_container(engine, [*length, f"--patience={patience}", *flags], plot_file))
        settings = _settings(engine)
        where = (settings.kafka_brokers, settings.simulators)
        if watch:
            result = run_watch(WatchPlan(*where, every, seconds, patience), console, as_json=as_json)
        else:
            result = _measure(window.Plan(*where, seconds or 60.0, patience), errors)
    except IiotError as exc:
        status, hint = _explain(exc)
        view.complain(f"verify: {exc}{hint}")
        raise typer.Exit(status) from exc
    if as_json:
        _print_json(report.as_json(result), in_one_line=watch)
    else:
        console.print(report.as_table(result))
        if plot:
            console.print(report.as_plot(result))
    if plot_file:
        _draw(result, plot_file)
    if result.verdict.lost:
        raise typer.Exit(EXIT_LOST)


def _check_plot_file(file: Path | None, *, as_json: bool) -> None:
    if file is None:
        return
    if str(file) == "-":
        if as_json:
            raise typer.BadParameter("standard output takes the plot or --json, not both")
    elif file.suffix != ".svg":
        raise typer.BadParameter(f"--plot-file {file}: must end in .svg, or be -")
    elif not file.absolute().parent.is_dir():
        raise typer.BadParameter(f"--plot-file {file}: there is no directory {file.absolute().parent}")


def _print_json(result: dict[str, Any], *, in_one_line: bool) -> None:
    if in_one_line:
        typer.echo(orjson.dumps({"final": True, **result}))
    else:
        typer.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2))


def _draw(result: window.Result, file: Path) -> None:
    drawn = as_svg(result)
    if str(file) == "-":
        typer.echo(drawn, nl=False)
    else:
        file.write_text(drawn, "utf-8")


def _in_container(engine: DockerEngine, options: list[str], plot_file: Path | None) -> int:
    if not engine.status():
        raise EngineError("no container is running")
    if plot_file is None or str(plot_file) == "-":
        return engine.run_tool("verify", *options, *(["--plot-file=-"] if plot_file else []))
    if "--json" in options:
        raise typer.BadParameter("with containers --plot-file takes a file without --json, or -")
    with plot_file.open("wb") as file:
        return engine.run_tool("verify", *options, "--plot-file=-", stdout=file)


def _settings(engine: Engine | None) -> VerifySettings:
    """The running testbed's ports, as far as no variable names other places."""
    ports = Ports((engine or NativeEngine()).port_offset())
    defaults = {
        "kafka_brokers": f"localhost:{ports.of('kafka')['kafka']}",
        "simulators": f"localhost:{ports.http('device-simulator')}",
    }
    return load_with_defaults(VerifySettings, defaults, os.environ)


def _measure(plan: window.Plan, console: Console) -> window.Result:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=plan.seconds, note="")

        def show(progress: window.Progress) -> None:
            waiting = progress.phase == "waiting"
            bar.update(
                task,
                description="waiting for the last messages" if waiting else "measuring",
                completed=plan.seconds if waiting else progress.elapsed,
                note=f"{progress.delivered:,} records",
            )

        return asyncio.run(_interruptible(plan, show))


async def _interruptible(plan: window.Plan, show: window.ProgressHandler) -> window.Result:
    return await window.measure(plan, show, Stop.on_signals())


def _explain(error: IiotError) -> tuple[int, str]:
    if isinstance(error, KafkaError | SimulatorsError | EngineError):
        return EXIT_NOT_RUNNING, ". Is the testbed running? Start it with ./testbed up"
    if isinstance(error, window.NothingSentError):
        return EXIT_NOTHING_SENT, ". See ./testbed status"
    if isinstance(error, SettingsError):
        return EXIT_USAGE, ""
    raise error
