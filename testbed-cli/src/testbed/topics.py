"""`testbed topics`: create the Kafka topics that do not exist yet, with their dead-letter siblings."""

import asyncio

import typer
from pydantic import Field

from iiot import schema_registry, schemas
from iiot.errors import KafkaError, SettingsError
from iiot.kafka import TopicSpec, ensure_topics
from iiot.schema_registry import RegistryError
from iiot.schemas import Schema
from iiot.settings import KafkaSettings, load
from iiot.topics import LWM2M_HTTP, LWM2M_WEBSOCKET, TELEMETRY, dlq

DEAD_LETTER_HOURS = 7 * 24
"""Dead letters are few, and wait for a person."""


class TopicSettings(KafkaSettings):
    """Shape of the topics; variables as the bridge has them."""

    topic_partitions: int = Field(default=6, ge=1, le=1_000)
    topic_retention_hours: int = Field(default=24, ge=1)
    schema_registry_url: str | None = Field(default=None, pattern=r"^https?://.")
    """Where the schemas of Redpanda Connect's topics are registered; the bridge registers its own."""


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


def connect_schemas() -> dict[str, Schema]:
    """The schemas of what Redpanda Connect writes, which cannot register them itself, by topic."""
    written = (LWM2M_HTTP, LWM2M_WEBSOCKET)
    names = dict.fromkeys(written, schemas.LWM2M_EVENT) | {dlq(n): schemas.DEAD_LETTER for n in written}
    return {topic: schemas.current(name) for topic, name in names.items()}


def topics() -> None:
    """Create missing Kafka topics (KAFKA_BROKERS, TOPIC_PARTITIONS, TOPIC_RETENTION_HOURS).

    With SCHEMA_REGISTRY_URL also register the schemas of Redpanda Connect's topics.
    """
    try:
        settings = load(TopicSettings)
        created = asyncio.run(ensure_topics(settings.kafka_brokers, specs(settings)))
    except (KafkaError, SettingsError) as exc:
        typer.echo(f"topics: {exc}", err=True)
        raise typer.Exit(1) from exc
    typer.echo(f"created: {', '.join(created) or 'nothing, all exist'}")
    if settings.schema_registry_url is not None:
        try:
            ids = asyncio.run(schema_registry.register(settings.schema_registry_url, connect_schemas()))
            typer.echo(f"registered: {len(ids)} schemas")
        except RegistryError as exc:
            # Nothing waits for a schema: a start does not fail for it.
            typer.echo(f"topics: schemas are not registered: {exc}", err=True)
