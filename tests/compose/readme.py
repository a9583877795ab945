"""The README's commands, as a user would copy them.

A line `<!-- run: compose -->` above a fenced bash block says that the tests type it against the compose
stack; `<!-- run: compose, 10 s -->` that its last command goes on until one stops it, here after 10 s.
"""

import re
from dataclasses import dataclass

_BLOCK = re.compile(r"^<!-- run: compose(?:, (\d+) s)? -->\n+```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """Commands of one fenced block."""

    line: int
    """Where it stands, counted from 1."""
    commands: str
    seconds: int | None
    """After how long the commands are interrupted; None: they end by themselves."""


def blocks(text: str) -> list[Block]:
    """The marked blocks of a Markdown document, in order."""
    return [
        Block(text.count("\n", 0, found.start(2)), found[2], int(found[1]) if found[1] else None)
        for found in _BLOCK.finditer(text)
    ]
