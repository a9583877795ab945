"""The bdSeq of every edge node of a fleet, kept over restarts (Sparkplug 3.0 §6.4.19)."""

import json
import os
from pathlib import Path

from iiot.sparkplug.sequence import MODULO, successor


class BdSeqStore:
    """One file per fleet: a JSON snapshot line, then one appended line per CONNECT.

    A line is written with a single append, so a crash leaves at most a torn last line, which reading
    ignores; opening replaces the file by a fresh snapshot (write beside, rename).

    Args:
        path: the file; its directory is made when missing.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._last = _read(path)
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(self._last) + "\n", encoding="utf-8")
        beside.replace(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)

    def upcoming(self, edge_node: str) -> int:
        """The number for this edge node's next CONNECT, 0 for its first ever."""
        return successor(self._last[edge_node]) if edge_node in self._last else 0

    def record(self, edge_node: str, number: int) -> None:
        """Keep the number of the CONNECT that is about to leave."""
        self._last[edge_node] = number
        os.write(self._file, (json.dumps({edge_node: number}) + "\n").encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _read(path: Path) -> dict[str, int]:
    last: dict[str, int] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return last
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            last |= {k: v for k, v in entry.items() if isinstance(v, int) and 0 <= v < MODULO}
    return last
