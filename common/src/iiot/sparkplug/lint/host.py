"""Judges the STATE messages of one host application."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from iiot.errors import DecodeError
from iiot.sparkplug.lint.findings import Findings, Kind, Subject
from iiot.sparkplug.lint.times import CLOCKS_AGREE, describe_wrong_unit
from iiot.sparkplug.state import State, decode_state

if TYPE_CHECKING:
    from iiot.sparkplug.lint.events import Publish
    from iiot.sparkplug.lint.timers import Timers

REPAIR_PATIENCE: Final = 5_000
"""ms in which a host answers STATE that says it is offline."""


class HostWatch:
    """One host application.

    Attributes:
        online: what its latest STATE said; None while there was none.
        since: when it said so for the first time.
        messages: STATE messages seen.
    """

    def __init__(self, host_id: str, findings: Findings, timers: Timers) -> None:
        self.subject = Subject(Kind.HOST, name=host_id)
        self.online: bool | None = None
        self.since = 0
        self.messages = 0
        self._findings = findings
        self._timers = timers
        self._born: int | None = None
        self._earlier: set[int] = set()
        self._state_number = 0

    def reset(self) -> None:
        """The observer missed messages."""
        self.online, self._born, self._earlier = None, None, set()
        self._state_number += 1

    def receive(self, event: Publish, *, stored: bool, retain_known: bool) -> None:
        """Judge a STATE message; `stored` when the broker kept it from before the observation."""
        self.messages += 1
        self._state_number += 1
        try:
            state = decode_state(event.payload)
        except DecodeError as exc:
            variant = "death" if b"false" in event.payload or b"OFFLINE" in event.payload else "birth"
            self._report("state-payload", str(exc), variant)
            self._check_delivery(event, variant, retain_known=retain_known)
            return
        variant = "birth" if state.online else "death"
        self._check_delivery(event, variant, retain_known=retain_known)
        self._check_time(state, event, variant, stored=stored)
        if state.online:
            self._birth(state)
        else:
            self._death(state, event, stored=stored)
        if self.online is not state.online:
            self.since = event.time
        self.online = state.online

    def _check_delivery(self, event: Publish, variant: str, *, retain_known: bool) -> None:
        if event.qos == 0:
            self._report("state-qos", "QoS 0", variant)
        if retain_known and not event.retain:
            self._report("state-not-retained", "published without the retain flag", variant)

    def _check_time(self, state: State, event: Publish, variant: str, *, stored: bool) -> None:
        wrong = describe_wrong_unit(state.timestamp)
        if wrong is None and state.timestamp - event.time > CLOCKS_AGREE and not stored:
            wrong = f"{(state.timestamp - event.time) / 60_000:.0f} min ahead of the observer"
        if wrong is not None:
            self._report("state-timestamp", wrong, variant)

    def _birth(self, state: State) -> None:
        born, time = self._born, state.timestamp
        if born is not None and time != born:
            if time in self._earlier and self.online:
                self._report("host-not-unique", f"births with {born} and {time} in turn")
            elif time < born and time not in self._earlier:
                self._report("state-clock-back", f"{time} after {born}")
            self._earlier.add(born)
        self._born = time

    def _death(self, state: State, event: Publish, *, stored: bool) -> None:
        if self._born is None or not self.online or stored:
            return
        if state.timestamp < self._born:
            check = partial(self._check_repaired, self._state_number, state.timestamp, self._born, event)
            self._timers.at(event.time + REPAIR_PATIENCE, check)
        elif state.timestamp != self._born and abs(event.time - state.timestamp) > CLOCKS_AGREE:
            late = (event.time - state.timestamp) / 60_000
            self._report("state-clean-timestamp", f"the time is {late:.0f} min off")

    def _check_repaired(self, number: int, died: int, born: int, event: Publish) -> None:
        """Offline is older than the birth: a late will, which hosts repair, or a will unlike the birth."""
        if self._state_number != number:
            return
        detail = f"offline with {died}, born with {born}; no birth followed"
        self._findings.report("state-not-repaired", self.subject, detail, event=event)
        self._findings.report("state-birth-timestamp", self.subject, detail, event=event)

    def _report(self, key: str, detail: str, variant: str = "") -> None:
        self._findings.report(key, self.subject, detail, variant)
