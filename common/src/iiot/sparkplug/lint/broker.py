"""Judges the MQTT server: wills, what it says of itself, the births that a Sparkplug-aware one stores."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from iiot.errors import DecodeError
from iiot.sparkplug.lint.findings import Findings, Kind, Subject
from iiot.sparkplug.topic import BIRTHS, CERTIFICATES, NAMESPACE, Topic, parse_topic

if TYPE_CHECKING:
    from iiot.sparkplug.lint.events import Connect, ConnectWill, Disconnect, Publish, Vantage
    from iiot.sparkplug.lint.timers import Timers

SERVER: Final = Subject(Kind.OTHER, name="MQTT server")
WILL_PATIENCE: Final = 5_000
"""ms in which the will of a lost connection has to be seen."""
STORE_PATIENCE: Final = 5_000
"""ms in which a Sparkplug-aware server has to offer a birth that passed through."""


class BrokerWatch:
    """The MQTT server between all the others.

    Args:
        findings: takes what is wrong.
        timers: calls back.
        vantage: what the server told the observer.
    """

    def __init__(self, findings: Findings, timers: Timers, vantage: Vantage) -> None:
        self._findings = findings
        self._timers = timers
        self._vantage = vantage
        self._wills: dict[str, ConnectWill] = {}
        self._awaited: dict[tuple[str, bytes], int] = {}
        self._aware = False
        self._offered: set[str] = set()

    def reset(self) -> None:
        """The observer missed messages."""
        self._wills.clear()
        self._awaited.clear()
        self._offered.clear()

    def begin(self) -> None:
        """The observation begins: judge what the server said of itself."""
        if self._vantage.maximum_qos < 1:
            self._findings.report("server-qos", SERVER, f"Maximum QoS {self._vantage.maximum_qos}")
        if not self._vantage.retain_available:
            self._findings.report("server-retain", SERVER, "Retain Available 0")

    def connected(self, event: Connect) -> None:
        """Remember the will of a CONNECT."""
        self._wills.pop(event.client, None)
        if event.will is not None and event.will.topic.startswith(f"{NAMESPACE}/"):
            self._wills[event.client] = event.will

    def disconnected(self, event: Disconnect) -> None:
        """A connection that ends without DISCONNECT has its will published."""
        will = self._wills.pop(event.client, None)
        if will is None or event.reason is not None:
            return
        key = (will.topic, will.payload)
        self._awaited[key] = self._awaited.get(key, 0) + 1
        self._timers.at(event.time + WILL_PATIENCE, partial(self._check_will, key, event))

    def published(self, event: Publish) -> None:
        """A message that is not below `$sparkplug`."""
        if self._awaited:
            self._awaited.pop((event.topic, event.payload), None)
        if self._aware and not event.retain and _is_birth(event.topic):
            self._timers.at(event.time + STORE_PATIENCE, partial(self._check_stored, event))

    def offered(self, event: Publish) -> None:
        """A message below `$sparkplug/certificates/`."""
        self._aware = True
        name = event.topic.removeprefix(CERTIFICATES)
        self._offered.add(name)
        if not _is_birth(name):
            self._findings.report("certificate-topic", SERVER, event.topic)
        elif self._vantage.retain_as_published and not event.retain:
            self._findings.report("certificate-not-retained", SERVER, event.topic, name.split("/")[2])

    def _check_will(self, key: tuple[str, bytes], event: Disconnect) -> None:
        if self._awaited.pop(key, None):
            detail = f"the connection of {event.client!r} was lost, and nothing came on {key[0]}"
            self._findings.report("server-will", SERVER, detail, event=event)

    def _check_stored(self, event: Publish) -> None:
        if event.topic not in self._offered:
            detail = f"nothing on {CERTIFICATES}{event.topic}"
            self._findings.report("certificate-missing", SERVER, detail, event.topic.split("/")[2], event)


def _is_birth(name: str) -> bool:
    try:
        topic = parse_topic(name)
    except DecodeError:
        return False
    return isinstance(topic, Topic) and topic.message_type in BIRTHS
