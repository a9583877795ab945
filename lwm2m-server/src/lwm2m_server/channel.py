"""What the two profiles' channels share: their contract, the size limit, and the log of refusals."""

import time
from typing import Final, Protocol

from iiot.errors import InvalidValueError
from iiot.lwm2m.message import Downlink
from iiot.mqtt import Message, Subscription
from iiot.sparing import SparingLog
from iiot.telemetry import get_logger

MAX_MESSAGE_BYTES: Final = 256 * 1024
"""Largest message taken from a device (4.13 above)."""
MAX_DOWNLINK_BYTES: Final = 1_000_000
"""Largest message sent to a device: brokers end connections over more than they allow (ours: 1 MiB)."""

log = get_logger("lwm2m_server.transport")
sparing = SparingLog(log, time.monotonic)


class Channel(Protocol):
    """One profile on the server's MQTT session: subscriptions, what arrives, what leaves."""

    name: str

    def subscriptions(self) -> tuple[Subscription, ...]:
        """What the profile listens to."""

    def owns(self, topic: str) -> bool:
        """Whether a topic is one of the profile's."""

    def handle(self, message: Message) -> None:
        """Act on a message on an own topic; it is acknowledged when its effect is durable."""

    def encode(self, endpoint: str, message: Downlink) -> tuple[str, bytes]:
        """Topic and payload for a device.

        Raises:
            InvalidValueError: the profile cannot express it, or it is too large.
        """

    def sent(self, topic: str, payload: bytes) -> None:
        """Told what leaves on one of the profile's topics."""


class Metrics(Protocol):
    """What is counted here."""

    def foreign(self, reason: str) -> None:
        """A message was dropped, and why: one of `metrics.DROPPED`."""


def drop(metrics: Metrics, message: Message, reason: str) -> None:
    """Count, log and acknowledge a message that has no effect."""
    metrics.foreign(reason)
    if reason != "echo":
        sparing.warning("message_dropped", reason=reason, topic=message.topic[:200])
    message.ack()


def check_size(payload: bytes) -> None:
    """Refuse what is too large to be taken from a device.

    Raises:
        InvalidValueError: too large (4.13).
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        raise InvalidValueError("payload", f"{len(payload)} bytes", f"at most {MAX_MESSAGE_BYTES} bytes")


def sendable(topic: str, payload: bytes) -> tuple[str, bytes]:
    """Topic and payload, when they are small enough to be sent.

    Raises:
        InvalidValueError: too large.
    """
    if len(payload) > MAX_DOWNLINK_BYTES:
        raise InvalidValueError("message", f"{len(payload)} bytes", f"at most {MAX_DOWNLINK_BYTES} bytes")
    return topic, payload
