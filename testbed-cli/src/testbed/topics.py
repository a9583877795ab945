"""`testbed topics`: create the Kafka topics that do not exist yet, with their dead-letter siblings."""

import asyncio

import typer
from pydantic import Field

from iiot import schema_registry, schemas
from iiot.errors import KafkaError, SettingsError
from iiot.kafka import ensure_topics, raise_size_limits
from iiot.schema_registry import RegistryError
from iiot.schemas import Schema
from iiot.settings import KafkaSettings, load
from iiot.topic_shape import TopicSettings, topic_specs
from iiot.topics import LWM2M_HTTP, LWM2M_WEBSOCKET, TELEMETRY, dlq
from testbed.connect.settings import ConnectTopics


class Settings(KafkaSettings, TopicSettings, ConnectTopics):
    """Where Kafka is, and the shape of its topics; variables as the bridge and Redpanda Connect have them."""

    schema_registry_url: str | None = Field(default=None, pattern=r"^https?://.")
    """Where the schemas of Redpanda Connect's topics are registered; the bridge registers its own."""


def names(settings: ConnectTopics) -> list[str]:
    """The telemetry topics; those of Redpanda Connect under the names that it was given."""
    given = {LWM2M_HTTP: settings.lwm2m_http_topic, LWM2M_WEBSOCKET: settings.lwm2m_websocket_topic}
    return [given.get(name, name) for name in TELEMETRY]


def connect_schemas(settings: ConnectTopics) -> dict[str, Schema]:
    """The schemas of what Redpanda Connect writes, which cannot register them itself, by topic."""
    written = (settings.lwm2m_http_topic, settings.lwm2m_websocket_topic)
    kinds = dict.fromkeys(written, schemas.LWM2M_EVENT) | {dlq(n): schemas.DEAD_LETTER for n in written}
    return {topic: schemas.current(name) for topic, name in kinds.items()}


def topics() -> None:
    """Create missing Kafka topics, and let the others take records of the largest size.

    Variables: KAFKA_BROKERS, TOPIC_PARTITIONS, TOPIC_RETENTION_HOURS, TOPIC_COMPRESSION (docs/topics.md).

    With SCHEMA_REGISTRY_URL also register the schemas of Redpanda Connect's topics.
    """
    try:
        settings = load(Settings)
        specs = topic_specs(names(settings), settings)
        created = asyncio.run(ensure_topics(settings.kafka_brokers, specs))
        existing = [spec for spec in specs if spec.name not in created]
        raised = asyncio.run(raise_size_limits(settings.kafka_brokers, existing))
    except (KafkaError, SettingsError) as exc:
        typer.echo(f"topics: {exc}", err=True)
        raise typer.Exit(1) from exc
    typer.echo(f"created: {', '.join(created) or 'nothing, all exist'}")
    if raised:
        typer.echo(f"take larger records now: {', '.join(raised)}")
    if settings.schema_registry_url is not None:
        try:
            ids = asyncio.run(
                schema_registry.register(settings.schema_registry_url, connect_schemas(settings))
            )
            typer.echo(f"registered: {len(ids)} schemas")
        except RegistryError as exc:
            # Nothing waits for a schema: a start does not fail for it.
            typer.echo(f"topics: schemas are not registered: {exc}", err=True)
