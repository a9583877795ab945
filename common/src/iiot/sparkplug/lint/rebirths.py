"""Judges how one edge node answers the rebirth requests of hosts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from iiot.sparkplug.topic import DATA, MessageType

if TYPE_CHECKING:
    from iiot.sparkplug.lint.events import Publish
    from iiot.sparkplug.lint.timers import Timers

REBIRTH_PATIENCE: Final = 10_000
"""ms for a complete answer to a rebirth request."""
DATA_PATIENCE: Final = 5_000
"""ms that a rebirth request may need to reach the edge node, in which it goes on sending data."""
DEATH_PATIENCE: Final = 120_000
"""ms after a request in which an NDEATH shows that the edge node was gone: the will of a connection that
was lost comes after one and a half keep-alives."""
_LONGEST_QUEUE: Final = 60_000
"""ms after a request from which on an NBIRTH is no late answer any more."""
_RECENT_DEATH: Final = 3_000


class Report(Protocol):
    """Takes a violation of the edge node: rule, detail, and the event that shows it."""

    def __call__(self, key: str, detail: str, event: Publish | None = None) -> None:
        """Report that the rule `key` is broken; without `event` the current one shows it."""


class RebirthWatch:
    """The requests to one edge node.

    Attributes:
        requested: one came since the latest NBIRTH or NDEATH.
        asked: when the one came that still waits for its answer, ms; None without one.
        death_by_request: the latest NDEATH came just after a request.
    """

    def __init__(self, report: Report, timers: Timers) -> None:
        self.requested = False
        self.asked: int | None = None
        self.death_by_request = False
        self._report = report
        self._timers = timers
        self._went_on = False
        self._number = 0
        self._overdue: Publish | None = None

    @property
    def pending(self) -> bool:
        """Whether a request waits for its answer, and not for too long yet."""
        return self.asked is not None and self._overdue is None

    def reset(self) -> None:
        """The observer missed messages."""
        self.requested, self.asked, self._overdue = False, None, None

    def request(self, event: Publish, *, alive: bool) -> None:
        """A host asked for a rebirth; `alive` when the edge node is known to be there."""
        self.requested = True
        if self.asked is not None:
            return
        self.asked, self._went_on = event.time, False
        self._number += 1
        if alive:
            self._timers.at(event.time + REBIRTH_PATIENCE, partial(self._no_answer, self._number, event))

    def born(self, now: int, *, same_session: bool) -> None:
        """An NBIRTH came; one of another session does not answer: the edge node may have been gone."""
        if same_session and self.asked is not None and now - self.asked > _LONGEST_QUEUE:
            self._report_overdue()
        self.reset()

    def died(self, now: int) -> None:
        """An NDEATH of the session came: who is gone does not answer."""
        since = None if self.asked is None else now - self.asked
        self.death_by_request = since is not None and since < _RECENT_DEATH
        if since is not None and since > DEATH_PATIENCE:
            self._report_overdue()
        self.reset()

    def heard(self, verb: MessageType, made_at: int) -> None:
        """Another message came, made at that time, ms, and still no NBIRTH."""
        if self.asked is None:
            return
        since = made_at - self.asked
        detail = f"{verb} {since / 1000:.1f} s after the request, no NBIRTH"
        if verb in DATA and since > DATA_PATIENCE and not self._went_on:
            self._went_on = True
            self._report("rebirth-data-goes-on", detail)
        if since > REBIRTH_PATIENCE:
            self.asked, self._overdue = None, None
            self._report("rebirth-unanswered", detail)

    def finish(self) -> None:
        """Nothing more will come."""
        self._report_overdue()

    def _no_answer(self, number: int, event: Publish) -> None:
        """Judged once it is known whether an NDEATH follows."""
        if self._number == number and self.asked is not None:
            self._overdue = event

    def _report_overdue(self) -> None:
        event, self._overdue = self._overdue, None
        if event is not None:
            detail = f"no NBIRTH within {REBIRTH_PATIENCE // 1000} s of the request"
            self._report("rebirth-unanswered", detail, event)
