"""When a device registers again (Core 6.2.1): attempts further and further apart, in sequences.

Resources 17 to 20 of /1/0 say how many attempts a sequence has, how long the first pause is (it doubles), how
long the pause between two sequences is, and how many sequences there are. This device comes with shorter
pauses than the specification's 60 s and one day, and with sequences that never run out, so that a testbed
comes back by itself; a server, or its bootstrap server, writes others.
"""

import random
from collections.abc import Mapping
from math import inf
from typing import Final

from iiot.lwm2m.message import Value
from iiot.lwm2m.path import Path

ATTEMPTS: Final = Path.of(1, 0, 17)
PAUSE: Final = Path.of(1, 0, 18)
SEQUENCE_PAUSE: Final = Path.of(1, 0, 19)
SEQUENCES: Final = Path.of(1, 0, 20)
PRESETS: Final[Mapping[Path, int]] = {ATTEMPTS: 5, PAUSE: 10, SEQUENCE_PAUSE: 300, SEQUENCES: 65_535}
"""Values of the four resources until they are written; pauses in s."""
LONGEST_PAUSE: Final = 86_400
"""s; the specification's own pause between two sequences. No attempt is further away from the one before."""
_SPREAD: Final = 0.2
"""Part of a pause that is added at random, so that a fleet does not come back in step."""


class Retry:
    """Counts attempts to register.

    Args:
        written: what servers wrote to resources, by path.

    Attributes:
        at: monotonic s of the next attempt; None when registered, infinite when all were in vain.
    """

    __slots__ = ("_attempt", "_sequence", "_written", "at")

    def __init__(self, written: Mapping[Path, Value]) -> None:
        self._written = written
        self._attempt = self._sequence = 0
        self.at: float | None = None

    @property
    def has_failed(self) -> bool:
        """All sequences were in vain."""
        return self.at == inf

    def begin(self) -> None:
        """Count from the first attempt again."""
        self._attempt = self._sequence = 0

    def attempted(self, now: float) -> None:
        """An attempt was made at `now` (monotonic s): plan the next one."""
        self._attempt += 1
        if self._attempt < self._preset(ATTEMPTS):
            pause = min(self._preset(PAUSE) * 2.0 ** min(self._attempt - 1, 60), LONGEST_PAUSE)
        else:
            self._attempt = 0
            self._sequence += 1
            pause = self._preset(SEQUENCE_PAUSE) if self._sequence < self._preset(SEQUENCES) else inf
        self.at = now + pause * random.uniform(1.0, 1.0 + _SPREAD)  # noqa: S311 - jitter

    def succeeded(self) -> None:
        """The device is registered."""
        self.begin()
        self.at = None

    def _preset(self, path: Path) -> int:
        value = self._written.get(path, PRESETS[path])
        return value if isinstance(value, int) else PRESETS[path]
