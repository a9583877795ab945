"""Bounded log lines about what others do wrong: a device that sends only garbage must not fill the log."""

from collections.abc import Callable
from typing import Final

from iiot.telemetry import Logger

LINES_PER_SECOND: Final = 20


class SparingLog:
    """Warnings, at most `LINES_PER_SECOND`; a line tells how many were left out before it.

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

    def warning(self, event: str, **fields: object) -> None:
        """Log a warning, or count it as left out."""
        second = int(self._monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= LINES_PER_SECOND:
            self._left_out += 1
            return
        self._lines += 1
        if self._left_out:
            fields["left_out"], self._left_out = self._left_out, 0
        self._log.warning(event, **fields)
