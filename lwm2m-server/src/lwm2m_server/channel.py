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


class TooLargeError(InvalidValueError):
    """A device's message is larger than the server takes (4.13)."""

    def __init__(self, size: int) -> None:
        super().__init__("payload", f"{size} bytes", f"at most {MAX_MESSAGE_BYTES} bytes")


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

    def budget_exceeded(self, budget: str) -> None:
        """A message was refused since it would cost more than `budget` allows."""


def drop(metrics: Metrics, message: Message, reason: str) -> None:
    """Count, log and acknowledge a message that has no effect."""
    metrics.foreign(reason)
    if reason != "echo":
        sparing.warning("message_dropped", reason=reason, topic=message.topic[:200])
    message.ack()


def fail(metrics: Metrics, message: Message, error: Exception) -> None:
    """Count, log and acknowledge a message on which the server itself failed: others must go on."""
    metrics.foreign("failed")
    sparing.failure("message_failed", error, topic=message.topic[:200], size=len(message.payload))
    message.ack()


def check_size(payload: bytes) -> None:
    """Refuse what is too large to be taken from a device.

    Raises:
        TooLargeError: too large.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        raise TooLargeError(len(payload))


def sendable(topic: str, payload: bytes) -> tuple[str, bytes]:
    """Topic and payload, when they are small enough to be sent.

    Raises:
        InvalidValueError: too large.
    """
    if len(payload) > MAX_DOWNLINK_BYTES:
        raise InvalidValueError("message", f"{len(payload)} bytes", f"at most {MAX_DOWNLINK_BYTES} bytes")
    return topic, payload
