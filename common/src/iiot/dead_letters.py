"""Dead letters: what could not be delivered, in the `.dlq` sibling of the topic that it was meant for.

The value is JSON of schema `dead-letter`. `payload_base64` holds the payload, whole up to
`LETTER_PAYLOAD_BYTES`; where `size` says more, the rest is gone.
"""

import base64
from dataclasses import dataclass
from typing import Final

import orjson

from iiot.budgets import LETTER_PAYLOAD_BYTES
from iiot.errors import DecodeError

SIZES: Final = (LETTER_PAYLOAD_BYTES, 64 * 1024, 1024, 0)
"""Bytes of the payload that a letter carries; the next one is for a topic that takes no such letter."""
REASON_CHARS: Final = 500
TRIES: Final = 30
"""How often a letter is offered to a topic that does not exist, a second apart, before it is given up."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter that was read.

    Attributes:
        topic: the MQTT topic of the message, or the Kafka topic of the record.
        reason: why it was not delivered.
        size: bytes of the payload as it was.
        payload: as much of it as the letter has.
    """

    topic: str
    reason: str
    size: int
    payload: bytes

    @property
    def is_whole(self) -> bool:
        """Whether the letter has all of the payload."""
        return len(self.payload) == self.size


def write(topic: str, payload: bytes, reason: str, limit: int = LETTER_PAYLOAD_BYTES) -> bytes:
    """The value of a dead letter with at most `limit` bytes of the payload."""
    return _dump(topic, payload[:limit], reason, len(payload))


def read(value: bytes) -> DeadLetter:
    """The dead letter in a record's value.

    Raises:
        DecodeError: it is none.
    """
    try:
        found = orjson.loads(value)
        letter = DeadLetter(
            found["topic"],
            found["reason"],
            found["size"],
            base64.b64decode(found["payload_base64"], validate=True),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise DecodeError(f"not a dead letter: {exc!r}") from exc
    if not (isinstance(letter.topic, str) and isinstance(letter.reason, str) and type(letter.size) is int):
        raise DecodeError("not a dead letter: topic, reason or size has another type")
    return letter


def shrink(value: bytes) -> bytes | None:
    """A dead letter with less of the payload, after its topic refused this one as too large.

    None when it has nothing of the payload, or is no dead letter.
    """
    try:
        letter = read(value)
    except DecodeError:
        return None
    limit = next((size for size in SIZES if size < len(letter.payload)), None)
    return None if limit is None else _dump(letter.topic, letter.payload[:limit], letter.reason, letter.size)


def _dump(topic: str, payload: bytes, reason: str, size: int) -> bytes:
    return orjson.dumps(
        {
            "topic": topic,
            "reason": reason[:REASON_CHARS],
            "size": size,
            "payload_base64": base64.b64encode(payload).decode(),
        }
    )
