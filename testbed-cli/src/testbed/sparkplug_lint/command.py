"""The command `sparkplug-lint`."""

import asyncio
import os
import uuid
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from iiot import certs
from iiot.errors import IiotError, SettingsError
from iiot.mqtt import ConnectOptions
from iiot.settings import MqttSettings, load
from iiot.sparkplug.lint.linter import Linter
from iiot.sparkplug.lint.report import as_json, violations
from testbed import view
from testbed.engines.native import paths
from testbed.engines.native.ports import Ports
from testbed.finite import finite
from testbed.sparkplug_lint import observe, show

EXIT_VIOLATIONS: Final = 1
EXIT_CANNOT_LOOK: Final = 2
_IDENTITY: Final = "testbed"
_TLS_PORT: Final = 8883


def sparkplug_lint(
    host: Annotated[str | None, typer.Option(help="A broker; the testbed's own when left out.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="8883 means TLS, as do certificates.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file: who vouches for the broker.")
    ] = None,
    cert: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file: who we are.")
    ] = None,
    key: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Its key.")] = None,
    username: Annotated[str | None, typer.Option(envvar="MQTT_USERNAME")] = None,
    password: Annotated[
        str | None, typer.Option(envvar="MQTT_PASSWORD", help="Better given by the variable.")
    ] = None,
    mqtt_version: Annotated[
        str, typer.Option(help="5, or 3.1.1, which hides whether STATE is retained.")
    ] = "5",
    seconds: Annotated[float, typer.Option(callback=finite, min=0.1, help="How long to watch.")] = 30.0,
    group: Annotated[str | None, typer.Option(help="Only this Sparkplug group, and all hosts.")] = None,
    primary_host: Annotated[
        str | None, typer.Option(help="Id of the host that all edge nodes are configured to wait for.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Keep the traffic in this file, as JSON lines.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Judge a recording, not a broker.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as violations.")] = False,
    as_json_: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="Only list the rules and their assertions.")] = False,
) -> None:
    """Watch a broker and report what breaks the Sparkplug 3.0 specification.

    Nothing is published. Any broker will do; without options it is the testbed's own. Ctrl-C ends the
    observation early, with its report.

    Exit status: 0 nothing is wrong; 1 violations; 2 the broker or the recording cannot be read.
    """
    console, errors = view.console(), Console(emoji=False, stderr=True)
    if rules:
        show.print_rules(console)
        return
    try:
        if replay is not None:
            linter, now = observe.judge(replay, primary_host), None
        else:
            options = _options(host, port, (ca, cert, key), (username, password), mqtt_version)
            linter, now = (
                _watch(observe.Plan(options, seconds, group, primary_host), record, errors),
                observe.now_ms(),
            )
    except (IiotError, OSError) as exc:
        view.complain(f"sparkplug-lint: {exc}")
        raise typer.Exit(EXIT_CANNOT_LOOK) from exc
    findings = linter.finish(now)
    if as_json_:
        typer.echo(orjson.dumps(as_json(linter, findings), option=orjson.OPT_INDENT_2))
    else:
        show.print_report(console, linter, findings)
    if violations(findings) or (strict and findings):
        raise typer.Exit(EXIT_VIOLATIONS)


def _options(
    host: str | None,
    port: int | None,
    files: tuple[Path | None, Path | None, Path | None],
    user: tuple[str | None, str | None],
    version: str,
) -> ConnectOptions:
    """How to reach the broker.

    Raises:
        SettingsError: an option makes no sense.
    """
    own_tls_port = Ports.from_environment().of("mosquitto")["mqtts"]
    if host is None and not any(files) and port in (None, own_tls_port):
        directory = Path(os.environ.get("CERTS_DIR") or paths.state() / "certs")
        identity = certs.service_identity(directory, _IDENTITY)
        if not identity.cert.exists():
            raise SettingsError(
                [f"no testbed was started here ({directory} is missing); name a broker: --host"]
            )
        files, port = (identity.ca, identity.cert, identity.key), own_tls_port
    port = port or (_TLS_PORT if any(files) else 1883)
    settings = load(
        MqttSettings,
        mqtt_host=host or "localhost",
        mqtt_port=port,
        mqtt_tls=any(files) or port == _TLS_PORT,
        mqtt_ca=files[0],
        mqtt_cert=files[1],
        mqtt_key=files[2],
        mqtt_version=version,
    )
    client_id = f"sparkplug-lint-{uuid.uuid4().hex[:8]}"
    return ConnectOptions(client_id, settings, username=user[0], password=user[1])


def _watch(plan: observe.Plan, record: Path | None, console: Console) -> Linter:
    linter = Linter(plan.vantage, plan.primary_host)
    columns = (TextColumn("watching"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}"))
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
        _opened(record) as file,
    ):
        task = bar.add_task("", total=plan.seconds, note="")

        def progress(passed: float) -> None:
            note = f"{linter.messages:,} messages, {len(linter.nodes):,} edge nodes"
            bar.update(task, completed=passed, note=note)

        asyncio.run(observe.watch(plan, linter, file, progress))
    return linter


def _opened(record: Path | None) -> BinaryIO | nullcontext[None]:
    return nullcontext() if record is None else record.open("wb")
