"""Decodes messages in the order of their arrival, large ones in a worker thread."""

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from iiot.errors import DecodeError
from iiot.in_order import LARGE_BYTES, InOrder, Runner, in_thread
from iiot.sparkplug.compression import most_bytes
from iiot.sparkplug.payload import Payload, decode_payload
from iiot.sparkplug.wire import PayloadBudget

WAITING_BYTES: Final = 16 * 1024 * 1024
"""Payloads that may wait behind a large one; beyond, nothing more is read from the broker."""

Content: TypeAlias = Payload | DecodeError
"""What a payload holds, or why it cannot be read."""


class Inbox:
    """Hands over what messages hold, in the order of their arrival.

    Args:
        budget: what a message may hold.
        on_pressure: told when too many bytes wait, and when no longer.
        run: where large messages are decoded.
    """

    def __init__(
        self, budget: PayloadBudget, on_pressure: Callable[[bool], None], run: Runner = in_thread
    ) -> None:
        self.under_pressure = False
        self._budget = budget
        self._on_pressure = on_pressure
        self._order = InOrder(run)
        self._waiting = 0

    def add(self, data: bytes, then: Callable[[Content], None]) -> None:
        """Decode a payload; `then` gets what it holds, on the event loop."""
        work = most_bytes(data)
        if self._order.is_idle and work <= LARGE_BYTES:
            then(self._read(data))
            return
        found: list[Content] = []
        self._weigh(len(data))
        self._order.add(
            work, lambda: found.append(self._read(data)), partial(self._hand_over, found, len(data), then)
        )

    def after_all(self, step: Callable[[], None]) -> None:
        """Call `step` when all messages that arrived are handed over; at once if none waits."""
        self._order.add(0, _nothing, step)

    def _read(self, data: bytes) -> Content:
        try:
            return decode_payload(data, self._budget)
        except DecodeError as exc:
            return exc

    def _hand_over(self, found: list[Content], size: int, then: Callable[[Content], None]) -> None:
        self._weigh(-size)
        then(found[0] if found else DecodeError("decoding failed"))

    def _weigh(self, size: int) -> None:
        self._waiting += size
        limit = WAITING_BYTES // 2 if self.under_pressure else WAITING_BYTES
        if (self._waiting > limit) != self.under_pressure:
            self.under_pressure = not self.under_pressure
            self._on_pressure(self.under_pressure)


def _nothing() -> None:
    pass
