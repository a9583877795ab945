"""Schemas of the values in Kafka: an interface, so a published version never changes and the next reads it.

`{name}.v{N}.json` is version N of a JSON Schema (draft 7, which every schema registry knows). Objects that
the testbed makes are closed, so that a member can be added; what devices say is open.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final, Literal

from iiot.topics import (
    DEVICE_STATE,
    LWM2M_HTTP,
    LWM2M_REGISTRATION,
    LWM2M_UPDATES,
    LWM2M_WEBSOCKET,
    SPARKPLUG_DATA,
    is_dlq,
)

SPARKPLUG_JSON: Final = "sparkplug-data"
LWM2M_JSON: Final = "lwm2m-message"
LWM2M_EVENT: Final = "lwm2m-event"
DEAD_LETTER: Final = "dead-letter"
STATE: Final = "device-state"
NAMES: Final = (SPARKPLUG_JSON, LWM2M_JSON, LWM2M_EVENT, DEAD_LETTER, STATE)

_URI: Final = "urn:iot-testbed:schema:"

_BY_TOPIC: Final = {
    SPARKPLUG_DATA: SPARKPLUG_JSON,
    LWM2M_REGISTRATION: LWM2M_JSON,
    LWM2M_UPDATES: LWM2M_JSON,
    LWM2M_HTTP: LWM2M_EVENT,
    LWM2M_WEBSOCKET: LWM2M_EVENT,
    DEVICE_STATE: STATE,
}


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema as registries take it: its kind and its text."""

    kind: Literal["JSON", "PROTOBUF"]
    text: str


def name_of(topic: str) -> str | None:
    """The name of the schema of a topic's values, with the topics' default routes; None for other topics."""
    return DEAD_LETTER if is_dlq(topic) else _BY_TOPIC.get(topic)


@cache
def versions(name: str) -> tuple[Schema, ...]:
    """All versions of a JSON Schema, the oldest first."""
    found = {}
    for file in resources.files(__name__).iterdir():
        stem, _, version = file.name.removesuffix(".json").rpartition(".v")
        if stem == name:
            found[int(version)] = Schema("JSON", file.read_text("utf-8"))
    return tuple(found[version] for version in sorted(found))


def current(name: str) -> Schema:
    """The version that is written now."""
    return versions(name)[-1]


@cache
def uri(name: str) -> str:
    """Names the version of a JSON Schema that is written now, for CloudEvents' `dataschema`."""
    return f"{_URI}{name}.v{len(versions(name))}"


SPARKPLUG_PROTOBUF_URI: Final = f"{_URI}sparkplug_b.proto"
"""Names the schema of Sparkplug B payloads."""


@cache
def sparkplug_protobuf() -> Schema:
    """The specification's own schema of Sparkplug B payloads; `Payload` is its first message."""
    return Schema("PROTOBUF", resources.files(__name__).joinpath("sparkplug_b.proto").read_text("utf-8"))
