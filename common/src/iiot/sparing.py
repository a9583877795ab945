"""Bounded log lines about what others do: neither garbage nor a whole fleet that comes may fill the log."""

import traceback
from collections.abc import Callable
from typing import Final

from iiot.telemetry import Logger

LINES_PER_SECOND: Final = 20


class SparingLog:
    """At most `LINES_PER_SECOND` lines; a line tells how many were left out before it.

    Args:
        log: where the lines go.
        monotonic: the time in s.
    """

    def __init__(self, log: Logger, monotonic: Callable[[], float]) -> None:
        self._log = log
        self._monotonic = monotonic
        self._second = -1
        self._lines = 0
        self._left_out = 0

    def info(self, event: str, **fields: object) -> None:
        """Log what happened, or count it as left out."""
        if self._may_tell(fields):
            self._log.info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log a warning, or count it as left out."""
        if self._may_tell(fields):
            self._log.warning(event, **fields)

    def failure(self, event: str, error: Exception, **fields: object) -> None:
        """Log that our own code failed, and where, in one line; or count it as left out."""
        if self._may_tell(fields):
            frame = traceback.extract_tb(error.__traceback__)[-1:]
            place = f"{frame[0].filename}:{frame[0].lineno}" if frame else ""
            self._log.error(event, error=f"{type(error).__name__}: {error}"[:300], place=place, **fields)

    def _may_tell(self, fields: dict[str, object]) -> bool:
        second = int(self._monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= LINES_PER_SECOND:
            self._left_out += 1
            return False
        self._lines += 1
        if self._left_out:
            fields["left_out"], self._left_out = self._left_out, 0
        return True
