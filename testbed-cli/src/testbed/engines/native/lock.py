"""One `up` at a time in a state directory, and a way for `down` to end it."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from testbed.engines.base import EngineError

_FILE = "up.lock"


@contextmanager
def starting(directory: Path) -> Iterator[None]:
    """Hold the right to start the testbed; it ends with the process, however that ends.

    Raises:
        EngineError: another process holds it.
    """
    with (directory / _FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise EngineError(
                f"another up is at work here (process {_holder(directory)}): wait, or ./testbed down"
            ) from exc
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def interrupt_start(directory: Path, seconds: float = 30.0) -> None:
    """Ask an `up` that is at work to give up, and wait until it has cleaned up; then take it down."""
    number, deadline = signal.SIGTERM, time.monotonic() + seconds
    while _is_held(directory):
        pid = _holder(directory)
        if pid is None or pid == os.getpid():
            return
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        ends = time.monotonic() + seconds
        while _is_held(directory) and time.monotonic() < ends:
            time.sleep(0.1)
        if time.monotonic() > deadline + seconds:
            return
        number = signal.SIGKILL


def _is_held(directory: Path) -> bool:
    try:
        with (directory / _FILE).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _holder(directory: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int((directory / _FILE).read_text())
    return None
