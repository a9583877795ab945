"""What a fleet keeps over restarts: each edge node's bdSeq (Sparkplug 3.0 §6.4.19), the ledger's place."""

import json
import os
from pathlib import Path
from typing import Final

from iiot.sparkplug.sequence import MODULO, successor

RESERVED: Final = 1_000_000
"""Numbers that the ledger may give out before the file is told again: one second of its µs."""
_LEDGER: Final = "/ledger"  # no edge node can have this name


class BdSeqStore:
    """One file per fleet: a JSON snapshot line, then one appended line per CONNECT or half a million numbers.

    A line is written with a single append, so a crash leaves at most a torn last line, which reading
    ignores; opening replaces the file by a fresh snapshot (write beside, rename).

    Args:
        path: the file; its directory is made when missing.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._last, self._numbers_end = _read(path)
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(self._last | {_LEDGER: self._numbers_end}) + "\n", encoding="utf-8")
        beside.replace(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)

    def upcoming(self, edge_node: str) -> int:
        """The number for this edge node's next CONNECT, 0 for its first ever."""
        return successor(self._last[edge_node]) if edge_node in self._last else 0

    def record(self, edge_node: str, number: int) -> None:
        """Keep the number of the CONNECT that is about to leave."""
        self._last[edge_node] = number
        self._append(edge_node, number)

    def first_number(self, now: int) -> int:
        """The ledger's first number of this run: `now`, in µs since 1970, unless an earlier run was there.

        That is so when the clock was set back since.
        """
        first = max(now, self._numbers_end)
        self._reserve(first)
        return first

    def keep_ahead(self, last: int) -> None:
        """Reserve more numbers for the ledger before those up to `last` use up what is reserved.

        Raises:
            OSError: the file cannot be written; to be tried again.
        """
        if last >= self._numbers_end - RESERVED // 2:
            self._reserve(last)

    def _reserve(self, start: int) -> None:
        self._append(_LEDGER, start + RESERVED)
        self._numbers_end = start + RESERVED

    def _append(self, key: str, value: int) -> None:
        os.write(self._file, (json.dumps({key: value}) + "\n").encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _read(path: Path) -> tuple[dict[str, int], int]:
    """The last bdSeq of each edge node, and the end of the numbers that the ledger may have used."""
    last: dict[str, int] = {}
    numbers_end = 0
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return last, numbers_end
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            end = entry.pop(_LEDGER, 0)
            numbers_end = max(numbers_end, end if type(end) is int else 0)
            last |= {k: v for k, v in entry.items() if type(v) is int and 0 <= v < MODULO}
    return last, numbers_end
