"""What the linter found, gathered by what it concerns and by rule."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from iiot.sparkplug.lint.events import Event, Publish
from iiot.sparkplug.lint.evidence import show
from iiot.sparkplug.lint.rule import Level, Rule
from iiot.sparkplug.lint.rules import RULES

KEPT_EVIDENCE = 3
"""Pieces of evidence kept for each finding; the count goes on."""


LONGEST_DETAIL = 1_000
"""Characters of a detail that are kept."""


class Kind(StrEnum):
    """What a finding is about."""

    EDGE_NODE = "edge_node"
    DEVICE = "device"
    HOST = "host"
    CLIENT = "client"
    OTHER = "other"


class Subject(NamedTuple):
    """An edge node, a device, a host application, a client that none of these is known to be, or a topic.

    The `name` of a client is its client id, and empty where the publisher is not known.
    """

    kind: Kind
    group: str = ""
    name: str = ""
    device: str = ""


class Evidence(NamedTuple):
    """One occurrence. `message` is the decoded payload, None where no message shows it."""

    time: int
    topic: str | None
    detail: str
    message: Any


@dataclass(slots=True)
class Finding:
    """A rule that a subject broke."""

    rule: Rule
    subject: Subject
    assertions: set[str] = field(default_factory=set)
    count: int = 0
    evidence: list[Evidence] = field(default_factory=list)


class Findings:
    """Collects violations.

    Attributes:
        event: the event being judged, the evidence of what is reported meanwhile.
        now: its time, UTC ms.
    """

    def __init__(self) -> None:
        self.event: Event | None = None
        self.now = 0
        self._found: dict[tuple[str, Subject], Finding] = {}
        self._shown: tuple[Publish, Any] | None = None

    def report(
        self, key: str, subject: Subject, detail: str, variant: str = "", event: Event | None = None
    ) -> None:
        """A subject broke the rule `key`; `event` when another event than the current one shows it."""
        finding = self._found.get((key, subject))
        if finding is None:
            finding = self._found[key, subject] = Finding(RULES[key], subject)
        finding.count += 1
        finding.assertions.update(finding.rule.identifiers(variant))
        if len(finding.evidence) < KEPT_EVIDENCE:
            finding.evidence.append(self._evidence(event or self.event, detail[:LONGEST_DETAIL]))

    def results(self, *, with_qos: bool) -> list[Finding]:
        """All findings; those that rest on the QoS only `with_qos`. Violations come before warnings."""
        shown = [found for found in self._found.values() if with_qos or not found.rule.needs_qos]
        return sorted(shown, key=lambda found: (found.subject, found.rule.level is Level.SHOULD))

    def _evidence(self, event: Event | None, detail: str) -> Evidence:
        if isinstance(event, Publish):
            if self._shown is None or self._shown[0] is not event:  # one message may break many rules
                self._shown = event, show(event.topic, event.payload)
            return Evidence(event.time, event.topic, detail, self._shown[1])
        return Evidence(self.now if event is None else event.time, None, detail, None)
