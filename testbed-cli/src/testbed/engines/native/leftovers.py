"""Processes whose testbed's state directory was deleted under them: `git clean -xdf`, or a clone removed."""

import shlex
from pathlib import Path

from testbed.engines.native.process import owned, owners
from testbed.engines.native.state import RunState


def here(directory: Path) -> int:
    """Processes that run for this state directory though nothing in it tells of them."""
    return 0 if RunState.load(directory) else len(owned(directory))


def elsewhere(directory: Path) -> list[str]:
    """A line for each other testbed that has processes and no state directory any more."""
    own = str(directory.resolve())
    return [
        f"{count} processes of a testbed still run whose state directory is gone, {path}: "
        f"TESTBED_STATE={shlex.quote(path)} ./testbed down ends them"
        for path, count in sorted(owners().items())
        if path != own and _is_gone(Path(path))
    ]


def _is_gone(directory: Path) -> bool:
    # Parts that start again make the directories of their data anew.
    return not directory.is_dir() or {entry.name for entry in directory.iterdir()} <= {"data"}
