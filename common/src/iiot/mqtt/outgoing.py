"""What one connection publishes with QoS 1: in order, never more without PUBACK than the broker takes."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gmqtt.mqtt.utils import IdGenerator

from iiot.errors import MqttError
from iiot.mqtt.reasons import FAILURE, reason_text
from iiot.mqtt.wire import encode_publish
from iiot.telemetry import get_logger

log = get_logger(__name__)


@dataclass(slots=True)
class Outgoing:
    """A publish, and who waits for its PUBACK."""

    topic: str
    payload: bytes
    retain: bool
    waiter: asyncio.Future[None] | None
    properties: bytes


class SendWindow:
    """QoS 1 publishes without PUBACK: those sent, and those that wait for room.

    Args:
        client_id: for the log.
        ids: where packet identifiers come from and go back to.
        write: takes an encoded packet.

    Attributes:
        size: publishes that may be without PUBACK at a time.
        refused: publishes that the broker refused, usually by its access control.
    """

    def __init__(
        self, client_id: str, ids: IdGenerator, write: Callable[[bytes | bytearray], None], size: int
    ) -> None:
        self.size = size
        self.refused = 0
        self._client_id = client_id
        self._ids = ids
        self._write = write
        self._in_flight: dict[int, Outgoing] = {}
        self._waiting: deque[Outgoing] = deque()

    def __len__(self) -> int:
        """Publishes without PUBACK."""
        return len(self._in_flight) + len(self._waiting)

    def __iter__(self) -> Iterator[Outgoing]:
        """Publishes without PUBACK, in order."""
        yield from self._in_flight.values()
        yield from self._waiting

    def publish(self, outgoing: Outgoing) -> None:
        """Send now, or when there is room."""
        if len(self._in_flight) < self.size:
            self._send(outgoing)
        else:
            self._waiting.append(outgoing)

    def handle_puback(self, _: int, data: bytes) -> None:
        """Take in the broker's answer to a publish."""
        mid = data[0] << 8 | data[1]
        code = data[2] if len(data) > 2 else 0
        outgoing = self._in_flight.pop(mid, None)
        if outgoing is None:
            return
        self._ids.free_id(mid)
        if code >= FAILURE:
            self._refuse(outgoing, code)
        elif outgoing.waiter is not None and not outgoing.waiter.done():
            outgoing.waiter.set_result(None)
        if self._waiting:
            self._send(self._waiting.popleft())

    def _send(self, out: Outgoing) -> None:
        mid = self._ids.next_id()
        self._in_flight[mid] = out
        self._write(encode_publish(out.topic, out.payload, 1, out.retain, mid, out.properties))

    def _refuse(self, outgoing: Outgoing, code: int) -> None:
        self.refused += 1
        reason = reason_text(code)
        log.warning("mqtt_publish_refused", client_id=self._client_id, topic=outgoing.topic, reason=reason)
        if outgoing.waiter is not None and not outgoing.waiter.done():
            outgoing.waiter.set_exception(MqttError(f"publish to {outgoing.topic} refused: {reason}"))
