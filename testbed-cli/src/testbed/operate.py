"""`testbed status` and `down`."""

from dataclasses import asdict
from typing import Annotated

import orjson
import typer

from iiot.errors import KafkaError
from iiot.topics import TELEMETRY
from testbed import arrivals, view
from testbed.engines import choose
from testbed.engines.base import Engine
from testbed.engines.native import leftovers, paths
from testbed.engines.native.engine import NativeEngine

EXIT_NOT_HEALTHY = 1
EXIT_NOT_RUNNING = 3


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print the status as JSON.")] = False,
) -> None:
    """Show every part and how many records each Kafka topic has received.

    Exit status: 0 everything is healthy; 1 something is not; 3 the testbed is not running.
    """
    engine = choose.in_use() or NativeEngine()
    parts = engine.status()
    topics = _counts(engine) if parts else {}
    left = 0 if parts else leftovers.here(paths.state())
    healthy = bool(parts) and all(part.good for part in parts)
    if as_json:
        document = {
            "engine": engine.name,
            "running": bool(parts),
            "left_over": left,
            "healthy": healthy,
            "parts": [asdict(part) for part in parts],
            "topics": topics,
        }
        typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    elif parts:
        view.console().print(view.parts_table(parts), view.topics_table(topics))
    elif left:
        typer.echo(f"The testbed runs, {left} processes, but its state was deleted: ./testbed down ends it")
    else:
        typer.echo("The testbed is not running; start it with ./testbed up")
        for line in leftovers.elsewhere(paths.state()):
            typer.echo(line)
    if not healthy:
        raise typer.Exit(EXIT_NOT_HEALTHY if parts or left else EXIT_NOT_RUNNING)


def down() -> None:
    """Stop everything; data, logs and certificates stay in the state directory."""
    engine = choose.in_use() or NativeEngine()
    with view.console().status("stopping the testbed"):
        problems = engine.stop()
    for problem in problems:
        typer.echo(f"down: {problem}", err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo("The testbed is down.")
    for line in leftovers.elsewhere(paths.state()):
        typer.echo(line)


def _counts(engine: Engine) -> dict[str, int]:
    try:
        return arrivals.counts(view.brokers(engine), TELEMETRY, engine.started_ms())
    except KafkaError:
        return {}
