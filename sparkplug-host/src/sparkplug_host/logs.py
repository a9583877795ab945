"""Warnings that a flood of bad messages cannot turn into a flood of lines."""

from iiot.telemetry import Logger


class LimitedWarnings:
    """Logs each kind of event at most once per `interval` seconds, with the number left out since."""

    def __init__(self, log: Logger, interval: float = 10.0) -> None:
        self._log = log
        self._interval = interval
        self._next: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def __call__(self, event: str, now: float, **details: object) -> None:
        """Report an event at `now` (s)."""
        if now < self._next.get(event, 0.0):
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return
        self._next[event] = now + self._interval
        self._log.warning(event, left_out=self._left_out.pop(event, 0), **details)
