"""The shape of the Kafka topics: one list of settings, whoever creates them."""

from collections.abc import Iterable
from typing import Final, Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from iiot.budgets import BATCH_BYTES
from iiot.kafka import TopicSpec
from iiot.topics import DEVICE_STATE, dlq

DEAD_LETTER_RETENTION_HOURS: Final = 7 * 24
"""Dead letters are few, and wait for a person."""
COMPACT_AFTER_MS: Final = 3_600_000
"""Kafka compacts a segment once it has closed it."""


class TopicSettings(BaseSettings):
    """What can be set about topics. Mix into the settings of whoever creates them."""

    topic_partitions: int = Field(default=6, ge=1, le=1_000)
    """Of every topic but the dead letters: only with one number for all is a device in the same partition
    everywhere."""
    topic_retention_hours: int = Field(default=24, ge=1)
    topic_compression: Literal["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"] = "producer"
    """How Kafka stores the records of topics it creates; `producer`: as they come."""


def topic_specs(
    names: Iterable[str], settings: TopicSettings, *, device_states: bool = False
) -> list[TopicSpec]:
    """The topics, each with its dead-letter sibling, and that of the device states if wanted."""
    hours = settings.topic_retention_hours
    # The broker's own time of storing, so that latency needs no trust in devices' or our clock.
    common = {
        "message.timestamp.type": "LogAppendTime",
        "compression.type": settings.topic_compression,
        "max.message.bytes": str(BATCH_BYTES),
    }
    found = []
    for name in dict.fromkeys(names):
        found.append(TopicSpec(name, settings.topic_partitions, {**common, **_retention(hours)}))
        dead_letter_hours = max(hours, DEAD_LETTER_RETENTION_HOURS)
        found.append(TopicSpec(dlq(name), 1, {**common, **_retention(dead_letter_hours)}))
    if device_states:
        compacted = {"cleanup.policy": "compact", "segment.ms": str(COMPACT_AFTER_MS)}
        found.append(TopicSpec(DEVICE_STATE, settings.topic_partitions, {**common, **compacted}))
    return found


def _retention(hours: int) -> dict[str, str]:
    return {"retention.ms": str(hours * 3_600_000)}
