"""From the words of a command line to a command."""

import sys
from collections.abc import Sequence
from typing import Final

from testbed.commands import COMMANDS, PROGRAM, overview

EXIT_USAGE: Final = 2
_HELP: Final = ("--help", "-h", "help")


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit status."""
    if not arguments or arguments[0] in _HELP:
        return _show_overview() or (0 if arguments else EXIT_USAGE)
    from iiot.errors import IiotError  # these take longer than all that help needs
    from testbed.app import make_app

    # With a name that is none, all of them are there to compare it with.
    wanted = [arguments[0]] if arguments[0] in COMMANDS else [*COMMANDS]
    try:
        status = make_app(wanted)(list(arguments), prog_name=PROGRAM)
    except (IiotError, OSError) as exc:
        # What a command expects it explains itself; a directory that is gone is one line as well.
        sys.stderr.write(f"{arguments[0]}: {exc}\n")
        return 1
    return int(status or 0)


def _show_overview() -> int:
    try:
        print(overview(), flush=True)  # noqa: T201 - a closed standard output is none, which print knows
    except OSError as exc:
        sys.stdout = None  # or Python tries again at its end, and complains
        if not isinstance(exc, BrokenPipeError):  # whoever read has seen enough
            sys.stderr.write(f"help: {exc}\n")
        return 1
    return 0
