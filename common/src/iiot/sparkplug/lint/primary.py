"""Judges edge nodes that are said to wait for a primary host; messages do not tell that they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iiot.errors import DecodeError
from iiot.sparkplug.state import PrimaryHost, decode_state
from iiot.sparkplug.topic import MessageType

if TYPE_CHECKING:
    from iiot.sparkplug.lint.events import Publish
    from iiot.sparkplug.lint.findings import Findings
    from iiot.sparkplug.lint.node import NodeWatch

PATIENCE: Final = 5_000
"""ms in which an edge node hears of the host, and acts."""


class PrimaryWatch:
    """The primary host that all edge nodes wait for.

    Args:
        host_id: its id.
        findings: takes what is wrong.
        known: whether a host without STATE is known to have none.
    """

    def __init__(self, host_id: str, findings: Findings, *, known: bool) -> None:
        self.topic = PrimaryHost(host_id).topic
        self._host = PrimaryHost(host_id)
        self._findings = findings
        self._known = known
        self._changed = 0
        self._ignored: int | None = None
        self._born_without: set[NodeWatch] = set()

    def reset(self) -> None:
        """The observer missed messages."""
        self._host = PrimaryHost(self.topic.rpartition("/")[2])
        self._known, self._ignored = False, None

    def on_state(self, event: Publish) -> None:
        """Take in a STATE message on `topic`."""
        try:
            state = decode_state(event.payload)
        except DecodeError:
            return
        was_online = self._host.online
        changed = self._host.on_state(state)
        self._known = True
        if changed is not None:
            self._changed, self._ignored = event.time, None
            self._born_without.clear()
        elif was_online and not state.online:
            self._ignored = event.time  # older than the birth: edge nodes have to stay

    def check(self, verb: MessageType, node: NodeWatch, event: Publish) -> None:
        """Judge a message of an edge node by what the host says."""
        if verb is MessageType.NDEATH:
            if self._ignored is not None and node.alive and event.time - self._ignored < PATIENCE:
                self._findings.report("primary-host-old-state", node.subject, "NDEATH after older STATE")
            return
        if not self._known or self._host.online:
            return
        since = event.time - self._changed
        if verb is MessageType.NBIRTH and since > PATIENCE:
            self._born_without.add(node)
            self._findings.report("primary-host-not-awaited", node.subject, "NBIRTH while it is offline")
        elif since > PATIENCE and node.alive and node not in self._born_without:
            detail = f"{verb} {since / 1000:.1f} s after it went offline"
            self._findings.report("primary-host-left", node.subject, detail)
