"""`testbed certs`: the authorities, and certificates for devices of the user's own."""

import os
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from iiot import certs
from iiot.errors import IiotError
from iiot.identity import check_device_id
from iiot.token_file import ensure_token
from testbed.engines import choose
from testbed.engines.docker import DockerEngine
from testbed.engines.native import paths

app = typer.Typer(help="Certificates of the testbed.", no_args_is_help=True)


@app.command()
def init() -> None:
    """Make what is missing: the authorities, and certificates of broker and services."""
    directory = _directory()
    try:
        certs.create_authority(directory)
        # In containers Alertmanager reads it by its group: another user than ours.
        ensure_token(directory / "alerts" / "token", 0o640 if _is_container() else 0o600)
    except OSError as exc:
        raise _refuse(f"cannot write to {directory}: {exc.strerror}") from exc
    typer.echo(f"certificates are in {directory}")


@app.command()
def issue(
    device_id: Annotated[
        str, typer.Argument(help="LwM2M endpoint, MQTT client id and Sparkplug edge node id.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the paths as JSON.")] = False,
) -> None:
    """Make a device's certificate, or show the one it has; with it any MQTT client can join on 8883."""
    try:
        check_device_id(device_id)
        identity = _issue(device_id)
    except (IiotError, OSError) as exc:
        raise _refuse(str(exc)) from exc
    files = {"ca": str(identity.ca), "cert": str(identity.cert), "key": str(identity.key)}
    if as_json:
        typer.echo(orjson.dumps(files, option=orjson.OPT_INDENT_2))
        return
    console = Console(emoji=False)
    for name, path in files.items():
        console.print(f"{name:<5}{path}", markup=False, highlight=False, soft_wrap=True)


def _issue(device_id: str) -> certs.Identity:
    directory = _directory()
    if _is_container():
        return certs.issue(directory, device_id)
    engine = choose.in_use()
    if isinstance(engine, DockerEngine):
        # Another authority than the native engine's: it lives in the containers' volumes.
        copied = paths.state() / "docker-certs" / certs.directory_name(device_id)
        engine.issue_certificate(device_id, copied)
        return certs.identity_in(copied)
    certs.create_authority(directory)
    return certs.issue(directory, device_id)


def _directory() -> Path:
    return Path(os.environ.get("CERTS_DIR") or paths.state() / "certs").absolute()


def _is_container() -> bool:
    # With CERTS_DIR the root's key is somebody else's to keep: Compose mounts only the device authority.
    return "CERTS_DIR" in os.environ


def _refuse(problem: str) -> typer.Exit:
    typer.echo(f"certs: {problem}", err=True)
    return typer.Exit(2)
