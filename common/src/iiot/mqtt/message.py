"""Messages from the broker: handed over in order, acknowledged in order, and never too many at a time."""

from collections import deque
from collections.abc import Callable
from typing import Final

from gmqtt.mqtt.constants import MQTTCommands

from iiot import correlation
from iiot.telemetry import MESSAGE_FAILURES, get_logger

_PUBACK_V4_AND_V5: Final = bytes((MQTTCommands.PUBACK, 2))
"""A PUBACK without reason code means success in MQTT 5, too."""

_PUBACK_SIZE: Final = 4

log = get_logger(__name__)


class Message:
    """A message from the broker; QoS 1 messages must be acknowledged with `ack`.

    Attributes:
        correlation_id: of the request that the sender published it for; empty when it told none.
    """

    __slots__ = (
        "_done",
        "_mid",
        "_window",
        "correlation_id",
        "duplicate",
        "payload",
        "qos",
        "retain",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        payload: bytes,
        header: int,
        mid: int,
        window: "ReceiveWindow",
        correlation_id: str = "",
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = (header >> 1) & 3
        self.retain = bool(header & 1)
        self.duplicate = bool(header & 8)
        self.correlation_id = correlation_id
        self._mid = mid
        self._window = window
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
            self._window.acknowledge()


MessageHandler = Callable[[Message], None]


class ReceiveWindow:
    """The messages between the broker and the handler.

    A broker may not send more than Receive Maximum messages ahead of our acknowledgements (MQTT 5 §4.9).
    Mosquitto 2.0.11 does once it has a backlog, and MQTT 3.1.1 has no such limit: what exceeds it
    is kept here, and `set_full(True)` asks to stop reading, until PUBACKs made room.

    Args:
        limit: Receive Maximum.
        on_message: takes the messages in order, each in the context of its request; must not raise.
        write: sends bytes to the broker.
        set_full: told when messages have to be kept here, and when no longer.
        call_soon: runs `flush` after all acknowledgements of this turn of the event loop.
    """

    def __init__(
        self,
        limit: int,
        on_message: MessageHandler,
        write: Callable[[bytes], None],
        set_full: Callable[[bool], None],
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self._limit = limit
        self._on_message = on_message
        self._write = write
        self._set_full = set_full
        self._call_soon = call_soon
        self._unacknowledged: deque[Message] = deque()
        self._kept: deque[Message] = deque()
        self._pubacks = bytearray()
        self._flush_is_due = False

    def arrive(self, message: Message) -> None:
        """Hand over a message, or keep it while the window is full."""
        # A PUBACK that has not left yet counts: a kill at this moment has the broker send its message again.
        if self._kept or len(self._unacknowledged) + len(self._pubacks) // _PUBACK_SIZE >= self._limit:
            self._kept.append(message)
            if len(self._kept) == 1:
                self._set_full(True)
        else:
            self._hand_over(message)

    def acknowledge(self) -> None:
        """Note the PUBACKs of all leading messages that are done."""
        pending = self._unacknowledged
        while pending and pending[0]._done:  # noqa: SLF001 - the other half of this class
            self._pubacks += _PUBACK_V4_AND_V5 + pending.popleft()._mid.to_bytes(2)  # noqa: SLF001
        if self._pubacks and not self._flush_is_due:
            self._flush_is_due = True
            self._call_soon(self.flush)

    def flush(self) -> None:
        """Send the PUBACKs, then hand over what was kept as far as there is room now."""
        self._flush_is_due = False
        if self._pubacks:
            self._write(bytes(self._pubacks))
            self._pubacks.clear()
        kept = self._kept
        if not kept:
            return
        while kept and len(self._unacknowledged) < self._limit:
            self._hand_over(kept.popleft())
        if not kept:
            self._set_full(False)

    def close(self) -> None:
        """Forget what was kept: the broker sends it again."""
        self._kept.clear()

    def _hand_over(self, message: Message) -> None:
        if message.qos:
            self._unacknowledged.append(message)
        try:
            if message.correlation_id:
                with correlation.bound(message.correlation_id):
                    self._on_message(message)
            else:
                self._on_message(message)
        except Exception:  # one bad message must not stop the stream of the others
            MESSAGE_FAILURES.inc()
            log.exception("mqtt_message_handler_failed", topic=message.topic, size=len(message.payload))
            message.ack()
