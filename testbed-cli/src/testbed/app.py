"""The command line as Typer knows it."""

from collections.abc import Iterable
from importlib import import_module

import typer

from testbed.commands import ABOUT, COMMANDS


def make_app(names: Iterable[str]) -> typer.Typer:
    """The program with these commands; the code of others is not loaded."""
    made = typer.Typer(
        name="./testbed",
        help=ABOUT,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
    )
    made.callback()(_keep_names)
    for name in names:
        entry = COMMANDS[name]
        found = getattr(import_module(entry.module), entry.attribute)
        if entry.group:
            made.add_typer(found, name=name)
        else:
            made.command(name, hidden=entry.hidden)(found)
    return made


def _keep_names() -> None:
    """Makes Typer ask for a command's name also where there is only one command."""


def __getattr__(name: str) -> typer.Typer:
    if name == "app":
        return make_app(COMMANDS)
    raise AttributeError(name)
