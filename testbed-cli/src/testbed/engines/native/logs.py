"""Reading the parts' log files while they grow."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path


def read(files: Sequence[Path], *, follow: bool, lines: int) -> Iterator[str]:
    """The last lines of each file; with `follow` then every new line, until the caller stops.

    With several files each line starts with the part's name.
    """
    width = max((len(file.stem) for file in files), default=0) if len(files) > 1 else 0
    positions = {}
    for file in files:
        prefix = f"{file.stem:<{width}} | " if width else ""
        with file.open("rb") as stream:
            for line in deque(stream, maxlen=lines):
                yield prefix + _text(line)
            positions[file] = (stream.tell(), prefix)
    while follow:
        time.sleep(0.3)
        for file, (position, prefix) in positions.items():
            size = file.stat().st_size
            with file.open("rb") as stream:
                stream.seek(position if size >= position else 0)  # smaller: set aside and begun anew
                for line in stream:
                    yield prefix + _text(line)
                positions[file] = (stream.tell(), prefix)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\n")
