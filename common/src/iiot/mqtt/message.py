"""A message from the broker and its acknowledgement."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iiot.mqtt.connection import Connection


class Message:
    """A message from the broker; QoS 1 messages must be acknowledged with `ack`."""

    __slots__ = ("_connection", "_done", "_mid", "duplicate", "payload", "qos", "retain", "topic")

    def __init__(self, topic: str, payload: bytes, header: int, mid: int, connection: "Connection") -> None:
        self.topic = topic
        self.payload = payload
        self.qos = (header >> 1) & 3
        self.retain = bool(header & 1)
        self.duplicate = bool(header & 8)
        self._mid = mid
        self._connection = connection
        self._done = False

    def ack(self) -> None:
        """Acknowledge a QoS 1 message; nothing to do for QoS 0.

        PUBACKs leave in order of arrival (MQTT 5 §4.6): one waits until all before it are acknowledged.
        After a connection loss the broker sends the message again, so a late `ack` is harmless.
        """
        if self._done:
            return
        self._done = True
        if self.qos:
            self._connection._acknowledge(self)  # noqa: SLF001 - the other half of this class


MessageHandler = Callable[[Message], None]
