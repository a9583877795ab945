"""The commands `dlq list`, `show` and `replay`."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Final

import orjson
import typer
from pydantic import Field

from iiot.errors import InvalidValueError, KafkaError, SettingsError
from iiot.replays import Place
from iiot.rest import ApiSettings
from iiot.settings import KafkaSettings, load_with_defaults
from testbed import view
from testbed.dlq import client, letters, show
from testbed.dlq.client import BridgeAwayError, RefusedError
from testbed.dlq.letters import Filter, Found, NoLettersError
from testbed.engines import choose
from testbed.engines.base import Engine, EngineError
from testbed.engines.docker import DockerEngine
from testbed.engines.native.engine import NativeEngine
from testbed.engines.native.ports import BRIDGE, Ports
from testbed.logs import since as moments

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOT_RUNNING: Final = 3
EXIT_INTERRUPTED: Final = 130

app = typer.Typer(help="What could not be delivered: list it, look at it, replay it.", no_args_is_help=True)

Topic = Annotated[str | None, typer.Option(help="Only of this topic, with or without .dlq.")]
Since = Annotated[str | None, typer.Option(help="Nothing older: 10m, 2h, 1d, 18:05, a date.")]
Device = Annotated[str | None, typer.Option(help="Only of this device, or other key.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="The newest of each topic at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class DlqSettings(KafkaSettings, ApiSettings):
    """Where to look; see `_settings` for what holds without variables."""

    bridge_url: str = Field(pattern="^https?://.")


@app.command("list")
def list_(
    topic: Topic = None,
    since: Since = None,
    device: Device = None,
    limit: Limit = 1000,
    each: Annotated[bool, typer.Option("--each", help="Every letter, not counts by reason.")] = False,
    as_json: AsJson = False,
) -> None:
    """Count dead letters by topic and reason, with the partition:offset of the newest.

    Exit status: 0; 2 wrong usage; 3 the testbed is not running.
    """

    def look(settings: DlqSettings) -> None:
        found = _read(settings, topic, since, device, limit)
        if as_json:
            _print_json([show.as_json(one) for one in found] if each else show.groups_as_json(found))
        else:
            (show.print_each if each else show.print_groups)(view.console(), found)

    arguments = _filters(topic, since, device, limit) + ["--each"] * each + ["--json"] * as_json
    _run("list", arguments, look)


@app.command("show")
def show_(
    letter: Annotated[str, typer.Argument(help="topic:partition:offset, as list --each prints it.")],
    as_json: AsJson = False,
) -> None:
    """Show a dead letter: why the message was not delivered, and the message decoded.

    Exit status: 0; 1 there is no such letter; 2 wrong usage; 3 the testbed is not running.
    """

    def look(settings: DlqSettings) -> None:
        place = Place.parse(letter)
        with letters.reading(settings.kafka_brokers) as reader:
            found = letters.read_one(reader, place)
        if as_json:
            value = found.record.value.decode(errors="replace")
            _print_json({**show.as_json(found), "value": value})
        else:
            show.print_one(view.console(), found)

    _run("show", [letter] + ["--json"] * as_json, look)


@app.command()
def replay(
    letter: Annotated[
        list[str] | None, typer.Argument(help="topic:partition:offset, as list --each prints it.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that the filters leave, oldest first.")] = False,
    topic: Topic = None,
    since: Since = None,
    device: Device = None,
    limit: Limit = 1000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be written.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was replayed before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write what dead letters hold to the topics that they were meant for, through the bridge.

    A letter is replayed once; --again repeats it. It stays in its topic.

    Exit status: 0 all were replayed; 1 at least one was not; 2 wrong usage; 3 the testbed is not running.
    """
    if bool(letter) == every:
        raise typer.BadParameter("name letters, or take --all with filters")

    def act(settings: DlqSettings) -> None:
        places = [Place.parse(text) for text in letter or ()]
        if every:
            found = _read(settings, topic, since, device, limit)
            places = [one.place for one in reversed(found) if again or one.replayed_ms is None]
        token = client.token_of(settings.api_token_file)
        refused = 0
        for place in places:
            try:
                done = client.replay(settings.bridge_url, token, place, dry_run=dry_run, again=again)
            except RefusedError as exc:
                refused += 1
                done = {"letter": str(place), "error": str(exc)}
            _print_replay(done, as_json=as_json)
        if refused:
            raise typer.Exit(EXIT_REFUSED)

    flags = ["--all"] * every + ["--dry-run"] * dry_run + ["--again"] * again + ["--json"] * as_json
    _run("replay", [*(letter or ()), *_filters(topic, since, device, limit), *flags], act)


def _read(
    settings: DlqSettings, topic: str | None, since: str | None, device: str | None, limit: int
) -> list[Found]:
    moment = None if since is None else moments.parse(since, datetime.now().astimezone())
    with letters.reading(settings.kafka_brokers) as reader:
        return letters.read(reader, Filter(topic, moment, device, limit))


def _filters(topic: str | None, since: str | None, device: str | None, limit: int) -> list[str]:
    given = {"topic": topic, "since": since, "device": device}
    return [f"--{name}={value}" for name, value in given.items() if value is not None] + [f"--limit={limit}"]


def _print_replay(done: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(done))
    elif "error" in done:
        typer.echo(f"not replayed: {done['error']}", err=True)
    else:
        verb = "would write" if done["dry_run"] else "replayed to"
        typer.echo(f"{done['letter']}\n  {verb} {done['topic']}, key {done['key']}, {done['bytes']} B")


def _print_json(value: object) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))


def _run(command: str, arguments: list[str], action: Callable[[DlqSettings], None]) -> None:
    """Do it here, or in the containers' network, where the bridge answers."""
    with _explained(command):
        engine = choose.unless_told("KAFKA_BROKERS", "BRIDGE_URL")
        if isinstance(engine, DockerEngine):
            if not engine.status():
                raise EngineError("no container is running")
            raise typer.Exit(engine.run_tool("dlq", command, *arguments))
        action(_settings(engine))


@contextmanager
def _explained(command: str) -> Iterator[None]:
    """Errors in a line, with the exit status that belongs to them."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except (SettingsError, InvalidValueError) as exc:
        status, text = EXIT_USAGE, str(exc)
    except NoLettersError as exc:
        status, text = EXIT_USAGE if str(exc).startswith("--") else EXIT_REFUSED, str(exc)
    except (KafkaError, BridgeAwayError, EngineError) as exc:
        status, text = EXIT_NOT_RUNNING, f"{exc}. Is the testbed running? Start it with ./testbed up"
    else:
        return
    view.complain(f"dlq {command}: {text}")
    raise typer.Exit(status)


def _settings(engine: Engine | None) -> DlqSettings:
    ports = Ports((engine or NativeEngine()).port_offset())
    defaults = {
        "kafka_brokers": f"localhost:{ports.of('kafka')['kafka']}",
        "bridge_url": f"http://localhost:{ports.http(BRIDGE)}",
    }
    return load_with_defaults(DlqSettings, defaults, os.environ)
