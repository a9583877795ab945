"""`testbed topics`: create the Kafka topics that do not exist yet, with their dead-letter siblings."""

import asyncio

import typer
from pydantic import Field

from iiot.errors import KafkaError, SettingsError
from iiot.kafka import TopicSpec, ensure_topics
from iiot.settings import KafkaSettings, load
from iiot.topics import TELEMETRY, dlq

DEAD_LETTER_HOURS = 7 * 24
"""Dead letters are few, and wait for a person."""


class TopicSettings(KafkaSettings):
    """Shape of the topics; variables as the bridge has them."""

    topic_partitions: int = Field(default=6, ge=1, le=1_000)
    topic_retention_hours: int = Field(default=24, ge=1)


def specs(settings: TopicSettings) -> list[TopicSpec]:
    """The five telemetry topics and a dead-letter topic for each."""
    hours = settings.topic_retention_hours
    found = []
    for name in TELEMETRY:
        found.append(TopicSpec(name, settings.topic_partitions, _retention(hours)))
        found.append(TopicSpec(dlq(name), 1, _retention(max(hours, DEAD_LETTER_HOURS))))
    return found


def _retention(hours: int) -> dict[str, str]:
    return {"retention.ms": str(hours * 3_600_000), "message.timestamp.type": "LogAppendTime"}


def topics() -> None:
    """Create missing Kafka topics (KAFKA_BROKERS, TOPIC_PARTITIONS, TOPIC_RETENTION_HOURS)."""
    try:
        settings = load(TopicSettings)
        created = asyncio.run(ensure_topics(settings.kafka_brokers, specs(settings)))
    except (KafkaError, SettingsError) as exc:
        typer.echo(f"topics: {exc}", err=True)
        raise typer.Exit(1) from exc
    typer.echo(f"created: {', '.join(created) or 'nothing, all exist'}")
