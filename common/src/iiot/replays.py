"""Which dead letters were replayed: a compacted topic, since a record in Kafka cannot be marked."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import orjson

from iiot.errors import InvalidValueError
from iiot.kafka import TopicSpec
from iiot.kafka_reader import Record
from iiot.topic_shape import DEAD_LETTER_RETENTION_HOURS
from iiot.topics import REPLAYED, is_dlq

MARKS: Final = TopicSpec(
    REPLAYED,
    1,
    {"cleanup.policy": "compact,delete", "retention.ms": str(DEAD_LETTER_RETENTION_HOURS * 3_600_000)},
)
"""The topic of the marks, which stay as long as the letters."""
_ALLOWED: Final = "topic:partition:offset of a dead letter, as iot.telemetry.lwm2m.updates.dlq:0:12"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a dead letter is."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `str` wrote.

        Raises:
            InvalidValueError: it is something else, or the topic is not one of dead letters.
        """
        topic, *numbers = text.split(":")
        right = [number for number in numbers if number.isascii() and number.isdigit() and len(number) < 19]
        if len(right) != 2 or right != numbers or not is_dlq(topic):
            raise InvalidValueError("letter", text[:300], _ALLOWED)
        return cls(topic, int(right[0]), int(right[1]))

    @classmethod
    def of(cls, record: Record) -> Self:
        """That of a record."""
        return cls(record.topic, record.partition, record.offset)

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.topic}:{self.partition}:{self.offset}"


def mark_key(record: Record) -> bytes:
    """The key of a letter's mark; with its time, since offsets begin anew when a topic is made again."""
    return f"{Place.of(record)}@{int(record.time.timestamp() * 1000)}".encode()


def mark(to: str, now_ms: int) -> bytes:
    """The value of a mark.

    Args:
        to: the topic that the record was written to.
        now_ms: UTC ms.
    """
    return orjson.dumps({"to": to, "time": now_ms})


def read_marks(records: Iterable[tuple[bytes, bytes]]) -> dict[bytes, int]:
    """When which letter was replayed, UTC ms, by the key of its mark; what is no mark is passed over."""
    found = {}
    for key, value in records:
        try:
            found[key] = int(orjson.loads(value)["time"])
        except (ValueError, KeyError, TypeError):
            continue
    return found
