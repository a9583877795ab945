"""Reading the parts' log files, also while they grow."""

import heapq
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path

from testbed.logs.line import LogLine, dated

POLL = 0.3
"""s between looks for new lines."""


def read(
    files: Sequence[Path], *, follow: bool, lines: int | None, since: datetime | None
) -> Iterator[LogLine]:
    """The last lines of each file, in the order of their times; with `follow` then every new line.

    Args:
        files: one for each part; what was set aside as `<name>.1` belongs to it.
        follow: go on until the caller stops.
        lines: of each file at most, counted from its end; None for all.
        since: nothing older.
    """
    begin = since.timestamp() if since else 0.0
    ends: dict[Path, int] = {}
    parts = [_last(dated(file.stem, _written(file, ends), begin), lines) for file in files]
    yield from heapq.merge(*parts, key=lambda line: line.at)
    while follow:
        time.sleep(POLL)
        for file in files:
            yield from dated(file.stem, _new(file, ends))


def _last(found: Iterator[LogLine], lines: int | None) -> Iterable[LogLine]:
    return found if lines is None else deque(found, maxlen=lines)


def _written(file: Path, ends: dict[Path, int]) -> Iterator[str]:
    """All complete lines; notes in `ends` where the file ended."""
    before = file.with_name(f"{file.name}.1")
    older = _complete(before, {}) if before.exists() else ()
    yield from chain(older, _complete(file, ends))


def _new(file: Path, ends: dict[Path, int]) -> Iterator[str]:
    if file.stat().st_size < ends.get(file, 0):  # set aside, and begun anew
        ends[file] = 0
    yield from _complete(file, ends)


def _complete(file: Path, ends: dict[Path, int]) -> Iterator[str]:
    end = ends.get(file, 0)
    with file.open("rb") as stream:
        stream.seek(end)
        for line in stream:
            if not line.endswith(b"\n"):
                break  # it is still being written
            end += len(line)
            yield line.decode(errors="replace").rstrip("\r\n")
    ends[file] = end
