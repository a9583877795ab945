"""`./testbed experiment`: start an experiment on the running testbed, watch it, keep its report."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from iiot.errors import IiotError, InvalidValueError
from testbed import view
from testbed.engines import choose
from testbed.engines.base import Engine, EngineError
from testbed.engines.docker import DockerEngine
from testbed.engines.native import paths
from testbed.engines.native.parts import Plan
from testbed.engines.native.ports import Ports
from testbed.experiments.catalog import EXPERIMENTS
from testbed.experiments.client import Client

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOT_RUNNING: Final = 3

app = typer.Typer(
    help="Loads, faults and comparisons with a verdict, on the running testbed.", no_args_is_help=True
)


@app.command("list")
def show(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Show all experiments with their parameters."""
    if as_json:
        everything = [one.as_json() for one in EXPERIMENTS.values()]
        typer.echo(orjson.dumps(everything, option=orjson.OPT_INDENT_2))
        return
    table = Table("experiment", "kind", "what it does", "parameters", box=None, pad_edge=False)
    for one in EXPERIMENTS.values():
        parameters = "\n".join(f"{parameter.name}={parameter.default}" for parameter in one.parameters)
        table.add_row(one.name, one.kind, one.does, parameters)
    Console(emoji=False).print(table)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="As `list` names it.")],
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter; may be repeated.")
    ] = None,
    seconds: Annotated[int | None, typer.Option(help="The parameter `seconds`.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Run an experiment and print its report. Ctrl-C ends it early; it cleans up.

    Exit status: 0 passed; 1 not passed; 2 wrong usage; 3 the testbed is not running.
    """
    errors = Console(emoji=False, stderr=True)
    try:
        parameters = _parameters(given or [], seconds)
        if name not in EXPERIMENTS:
            raise InvalidValueError("experiment", name, f"one of {', '.join(EXPERIMENTS)}")
        EXPERIMENTS[name].check(parameters)
    except IiotError as exc:
        raise _refuse(exc, EXIT_USAGE) from exc
    try:
        engine = choose.in_use()
        if engine is None or not engine.status():
            raise EngineError("the testbed is not running; start it with ./testbed up")
        client = Client(f"http://127.0.0.1:{Ports(engine.port_offset()).http('console')}", _token(engine))
        report = _carry_out(client, engine, name, parameters, errors)
    except IiotError as exc:
        raise _refuse(exc, EXIT_NOT_RUNNING) from exc
    if as_json:
        typer.echo(orjson.dumps(report["json"], option=orjson.OPT_INDENT_2))
    else:
        Console(emoji=False).print(Markdown(report["text"]))
        typer.echo(f"report: {report['file']}")
    if report["json"]["verdict"] != "passed":
        raise typer.Exit(EXIT_FAILED)


def _carry_out(
    client: Client, engine: Engine, name: str, parameters: Mapping[str, Any], errors: Console
) -> dict[str, Any]:
    hands = "caller" if isinstance(engine, DockerEngine) else "engine"
    started = client.post("/runs", {"name": name, "parameters": parameters, "hands": hands})
    run_id = started["id"]
    try:
        with errors.status(f"{name}: starting") as status:
            for kind, event in client.events(run_id, started["after"]):
                _follow(client, engine, run_id, kind, event, status)
    except KeyboardInterrupt:
        errors.print("ending it early")
        client.post(f"/runs/{run_id}/abort")
        for _ in client.events(run_id, started["after"]):
            pass
    found, text = client.get(f"/runs/{run_id}"), client.text(f"/runs/{run_id}/report.md")
    return {"json": found, "text": text, "file": _keep(run_id, found, text)}


def _follow(
    client: Client, engine: Engine, run_id: str, kind: str, event: Mapping[str, Any], status: Any
) -> None:
    if kind == "sample":
        latency = "-" if event["p99"] is None else f"{event['p99']:,} ms"
        status.update(
            f"{event['phase']}: {event['records']:,.0f} records/s, p99 {latency}, "
            f"{event['outstanding']:,} on their way"
        )
    elif kind == "note":
        status.console.print(f"{event['seconds']:6.1f} s  {event['text']}", style="dim", highlight=False)
    elif kind == "fault" and isinstance(engine, DockerEngine):
        error = None
        try:
            engine.break_part(event["kind"], event["part"], event["seconds"])
        except EngineError as exc:
            error = str(exc)
        client.post(f"/runs/{run_id}/faults", {"fault": event["fault"], "error": error})


def _keep(run_id: str, report: Mapping[str, Any], text: str) -> Path:
    directory = paths.state() / "experiments" / "reports"
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{run_id}.md"
    if not file.exists():  # the native engine's desk has written it there
        (directory / f"{run_id}.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
        file.write_text(text)
    return file


def _parameters(given: list[str], seconds: int | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise EngineError(f"--set {pair}: must be NAME=VALUE")
        found[name] = value
    return found if seconds is None else found | {"seconds": seconds}


def _token(engine: Engine) -> str | None:
    file = os.environ.get("API_TOKEN_FILE")
    if file is None and not isinstance(engine, DockerEngine):
        file = Plan.load(paths.state()).token_file
    try:
        return Path(file).read_text().strip() if file else None
    except (OSError, UnicodeDecodeError) as exc:
        raise EngineError(f"API_TOKEN_FILE={file!r}: cannot be read: {exc}") from exc


def _refuse(problem: IiotError, status: int) -> typer.Exit:
    view.complain(f"experiment: {problem}")
    return typer.Exit(status)
