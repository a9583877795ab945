"""The LwM2M server's parts without broker, disk and HTTP: what unit tests of several of them share."""

from typing import Any

import cbor2

from iiot.lwm2m import model
from lwm2m_rig import Clock
from lwm2m_server.duplicates import Duplicates
from lwm2m_server.oma_channel import OmaChannel
from lwm2m_server.operations import Operations
from lwm2m_server.registry import Registry
from lwm2m_server.uplink import Uplink


class Log:
    """An event log whose events become durable when the test says so."""

    def __init__(self):
        self.events, self.waiting = [], []

    def append(
        self, kind, endpoint, data, *, seq=None, registration=None, deregistered=False, on_durable=None
    ):
        self.events.append((kind, endpoint, data, seq, registration is not None, deregistered))
        self.waiting.append(on_durable)
        return len(self.events)

    def settle(self):
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            if callback is not None:
                callback()

    @property
    def kinds(self):
        return [event[0] for event in self.events]


class Counts(list):
    """What was counted, in order."""

    def message(self, operation, outcome):
        self.append((operation, outcome))

    def foreign(self, reason):
        self.append(reason)

    def command(self, operation, outcome, seconds):
        assert seconds >= 0
        self.append((operation, outcome))

    def unmatched_response(self):
        self.append("unmatched")


class Message:
    """A message from the broker."""

    def __init__(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self.topic, self.payload, self.retain, self.duplicate = topic, payload, retain, False
        self.acked = 0

    def ack(self) -> None:
        self.acked += 1


class OmaBench:
    """The OMA channel with registry, uplink and operations behind it."""

    def __init__(self, extensions: bool = True, prefix: str = "") -> None:
        self.clock, self.log, self.counts = Clock(), Log(), Counts()
        self.published: list[tuple[str, bytes]] = []
        self.registry = Registry(self.clock)
        definitions = model.built_in()
        self.uplink = Uplink(self.registry, self.log, Duplicates(), definitions, self.counts)
        self.operations = Operations(
            self.registry,
            definitions,
            lambda r, c: self.published.append(self.channel.encode(r.endpoint, c)),
            self.counts,
        )
        self.channel = OmaChannel(
            prefix,
            extensions,
            definitions,
            self.uplink,
            self.operations,
            lambda endpoint, token: None,
            lambda topic, payload: self.published.append((topic, payload)),
            self.counts,
            self.clock.monotonic,
        )

    def says(self, payload: bytes | str, topic: str = "lwm2m/rd/d1") -> Message:
        """Hand over a message and let it become durable."""
        message = Message(topic, bytes.fromhex(payload) if isinstance(payload, str) else payload)
        self.channel.handle(message)
        self.log.settle()
        return message

    def answers(self) -> list[dict[int, Any]]:
        """What was published since the last call, as CBOR maps."""
        published, self.published = self.published, []
        return [cbor2.loads(payload) for _, payload in published]
