"""Registers what the routes write with a schema registry, once one answers."""

import asyncio
from collections.abc import Mapping
from typing import Final

from iiot import schema_registry, schemas
from iiot.schema_registry import RegistryError, frame
from iiot.schemas import Schema
from iiot.telemetry import get_logger
from iiot.topics import DEVICE_STATE, dlq
from mqtt_redpanda_bridge.routes import Format, Route, RouteTable, WireFormat

RETRY_DELAY: Final = 5.0
"""Seconds between tries."""

log = get_logger(__name__)


def schema_of(route: Route) -> Schema | None:
    """The schema of the records of a route; None for `raw`."""
    match route.format:
        case Format.SPARKPLUG_JSON:
            return schemas.current(schemas.SPARKPLUG_JSON)
        case Format.SPARKPLUG_PROTOBUF:
            return schemas.sparkplug_protobuf()
        case Format.LWM2M_JSON | Format.LWM2M_OMA:
            return schemas.current(schemas.LWM2M_JSON)
        case Format.RAW:
            return None


def schemas_by_topic(table: RouteTable) -> dict[str, Schema]:
    """The schemas of the routes' topics that hold one kind of records, of dead letters, of states."""
    found: dict[str, Schema] = {}
    for topic in dict.fromkeys(topic for route in table.routes for topic in route.topics):
        kinds = {schema_of(route) for route in table.routes if topic in route.topics}
        schema = kinds.pop()
        if schema is not None and not kinds:
            found[topic] = schema
        found[dlq(topic)] = schemas.current(schemas.DEAD_LETTER)
    found[DEVICE_STATE] = schemas.current(schemas.STATE)
    return found


class Registration:
    """Registers until it worked. Records in the Confluent wire format have to wait for that.

    Attributes:
        done: set once everything is registered, or at once where there is no registry.
        error: why the latest try failed.
    """

    def __init__(self, table: RouteTable, url: str | None, prefixes: dict[str, bytes]) -> None:
        self.done = asyncio.Event()
        self.error = ""
        self.is_needed = any(route.wire_format is WireFormat.CONFLUENT for route in table.routes)
        self._table = table
        self._url = url
        self._prefixes = prefixes
        if url is None:
            self.done.set()

    @property
    def state(self) -> str:
        """For people: how far it is."""
        if self._url is None:
            return "no registry"
        return "registered" if self.done.is_set() else self.error or "not registered yet"

    async def run(self) -> None:
        """Try until it worked; then `prefixes` holds what precedes the values of routes that ask for it."""
        by_topic = schemas_by_topic(self._table)
        while self._url is not None and not self.done.is_set():
            try:
                self._use(await schema_registry.register(self._url, by_topic), by_topic)
            except RegistryError as exc:
                if str(exc) != self.error:
                    log.warning("schemas_not_registered", error=str(exc))
                self.error = str(exc)
                await asyncio.sleep(RETRY_DELAY)

    def _use(self, ids: Mapping[str, int], by_topic: Mapping[str, Schema]) -> None:
        for route in self._table.routes:
            if route.wire_format is WireFormat.CONFLUENT:
                self._prefixes[route.name] = frame(ids[route.topic], by_topic[route.topic])
        log.info("schemas_registered", subjects=len(ids))
        self.error = ""
        self.done.set()
