"""The event feed with the names and shapes of Leshan's demo server, for scripts made for that."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from iiot.lwm2m import json_values
from iiot.lwm2m.message import Record
from iiot.lwm2m.path import Path
from iiot.rest import Batch, Event
from lwm2m_server.descriptions import describe
from lwm2m_server.event_source import FeedSource
from lwm2m_server.models import Models
from lwm2m_server.nodes import to_node, to_nodes
from lwm2m_server.registry import Registry

NAMES: Final = {
    "registered": "REGISTRATION",
    "updated": "UPDATED",
    "deregistered": "DEREGISTRATION",
    "expired": "DEREGISTRATION",
    "awake": "AWAKE",
    "sleeping": "SLEEPING",
    "notification": "NOTIFICATION",
    "send": "SEND",
    "response": "REQUEST_RESPONSE",
    "bootstrap": "BSSESSION",
}
"""Leshan's name of each type of event; it has none for the others."""
NAMELESS: Final = ""
"""Type of the events that Leshan does not know: they keep their place and are sent to nobody."""


class LeshanSource:
    """The feed, translated as it is read.

    Args:
        feed: the events.
        registry: what is registered now.
        models: known objects in the versions of a device, for types of values.
        secure: devices come over TLS.
    """

    def __init__(self, feed: FeedSource, registry: Registry, models: Models, secure: bool) -> None:
        self._feed = feed
        self._registry = registry
        self._models = models
        self._secure = secure

    @property
    def oldest(self) -> int:
        """Id of the oldest event kept; `latest + 1` when there is none."""
        return self._feed.oldest

    @property
    def latest(self) -> int:
        """Id of the newest visible event."""
        return self._feed.latest

    async def read(self, after: int, limit: int) -> Batch:
        """The events behind `after`; a cursor of another database starts at the oldest.

        Raises:
            StoreError: the disk says no.
        """
        batch = await self._feed.read(after, limit)
        return Batch([*map(self._translated, batch.events)], batch.next, batch.skipped)

    async def changed(self) -> None:
        """Wait until there may be a new event."""
        await self._feed.changed()

    def _translated(self, event: Event) -> Event:
        name = NAMES.get(event.type, NAMELESS)
        if name == NAMELESS:
            return event._replace(type=NAMELESS, body=b"")
        body = orjson.loads(event.body)
        return event._replace(type=name, body=orjson.dumps(self._told(name, event.endpoint, body)))

    def _told(self, name: str, endpoint: str, event: Mapping[str, Any]) -> dict[str, Any]:
        data: Mapping[str, Any] = event["data"]
        match name:
            case "REGISTRATION" | "DEREGISTRATION":
                return self._registration(endpoint, data)
            case "UPDATED":
                update = {
                    key: data[key] for key in ("registrationId", "lifetime", "bindingMode") if key in data
                }
                return {"registration": self._registration(endpoint, data), "update": update}
            case "NOTIFICATION":
                return {"ep": endpoint, **self._notification(endpoint, data)}
            case "SEND":
                return {"ep": endpoint, "val": self._nodes(endpoint, _newest(data))}
            case "REQUEST_RESPONSE":
                told = {key: data.get(key) for key in ("path", "requestId", "response", "failure")}
                return {"ep": endpoint, **told, "delayed": True}
            case "BSSESSION":
                return _session(endpoint, event)
        return {"ep": endpoint}

    def _registration(self, endpoint: str, data: Mapping[str, Any]) -> dict[str, Any]:
        known = self._registry.get(endpoint)
        if known is not None and known.id == data.get("registrationId"):
            return describe(known, secure=self._secure)
        names = {"version": "lwM2mVersion", "profile": "profile", "lifetime": "lifetime"}
        names |= {"bindingMode": "bindingMode", "registrationId": "registrationId"}
        return {"endpoint": endpoint} | {names[key]: value for key, value in data.items() if key in names}

    def _notification(self, endpoint: str, data: Mapping[str, Any]) -> dict[str, Any]:
        definitions = self._models.of(endpoint)
        records, paths = _newest(data), [*map(Path.parse, data["paths"])]
        if data["kind"] == "composite":
            values = to_nodes(paths, records, definitions)
            return {"kind": "composite", "val": values, "paths": data["paths"]}
        node = to_node(paths[0], records, definitions)
        return {"kind": "single", "res": str(paths[0]), "val": node}

    def _nodes(self, endpoint: str, records: list[Record]) -> dict[str, Any]:
        paths = dict.fromkeys(Path(record.path.ids[:3]) for record in records)
        return to_nodes(paths, records, self._models.of(endpoint))


def _newest(data: Mapping[str, Any]) -> list[Record]:
    # Of values with times the last of each path, as Leshan does.
    return [*{record.path: record for record in json_values.records(data)}.values()]


def _session(endpoint: str, event: Mapping[str, Any]) -> dict[str, Any]:
    data = event["data"]
    details = [f"{key}: {value}" for key, value in data.items() if key != "state" and value is not None]
    told = {"name": data["state"], "endpoint": endpoint, "time": event["timestamp"]}
    return told | {"message": ", ".join(details)}
