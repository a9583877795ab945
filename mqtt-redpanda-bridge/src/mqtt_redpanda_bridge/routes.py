"""Routes: which MQTT topic filters go to which Kafka topic, with which key and in which format."""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from iiot.errors import InvalidValueError, SettingsError
from iiot.identity import is_reserved
from iiot.topics import dlq
from mqtt_redpanda_bridge import filters

_KAFKA_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_LEVEL_KEY = re.compile(r"level:([1-9][0-9]?)")


class Format(StrEnum):
    """What becomes of a message's payload."""

    SPARKPLUG_JSON = "sparkplug-json"
    """Decoded to JSON, metric names and types resolved."""
    SPARKPLUG_PROTOBUF = "sparkplug-protobuf"
    """Checked to be a Sparkplug payload, passed on byte by byte."""
    LWM2M_JSON = "lwm2m-json"
    """The JSON payload in an envelope with endpoint and operation."""
    LWM2M_OMA = "lwm2m-oma"
    """What devices say in the OMA profile, in the words of the JSON profile and the same envelope."""
    RAW = "raw"
    """Any payload, passed on byte by byte."""


_LWM2M = (Format.LWM2M_JSON, Format.LWM2M_OMA)


class WireFormat(StrEnum):
    """What surrounds a record's value."""

    PLAIN = "plain"
    """Nothing."""
    CONFLUENT = "confluent"
    """Preceded by the id of its schema in the schema registry."""


def _filter(text: str) -> str:
    try:
        return filters.check_filter(text)
    except InvalidValueError as exc:
        raise ValueError(f"allowed: {exc.allowed}") from exc


def _kafka_topic(text: str) -> str:
    if not _KAFKA_TOPIC.fullmatch(dlq(text)) or text in (".", ".."):
        raise ValueError("allowed: 1 to 245 of A-Z a-z 0-9 . _ - (so that the dead-letter topic fits, too)")
    return text


def _key(text: str) -> str:
    if text not in ("device", "topic") and not _LEVEL_KEY.fullmatch(text):
        raise ValueError("allowed: device, topic, level:N (the N-th level of the MQTT topic, from 1)")
    return text


class Route(BaseModel):
    """One route.

    Attributes:
        name: label in metrics and logs.
        filters: MQTT topic filters.
        topic: Kafka topic; undeliverable messages go to its `.dlq` sibling.
        registration_topic: Kafka topic of Register and De-register in format `lwm2m-oma`, where one MQTT
            topic carries all of a device's messages; None: `topic`.
        format: see `Format`.
        key: `device` (edge node id or endpoint), `topic`, or `level:N`.
        wire_format: see `WireFormat`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    filters: Annotated[tuple[Annotated[str, AfterValidator(_filter)], ...], Field(min_length=1)]
    topic: Annotated[str, AfterValidator(_kafka_topic)]
    format: Format
    registration_topic: Annotated[str, AfterValidator(_kafka_topic)] | None = None
    key: Annotated[str, AfterValidator(_key)] = "device"
    wire_format: WireFormat = WireFormat.PLAIN

    @model_validator(mode="after")
    def _key_is_known(self) -> "Route":
        if self.key == "device" and self.format is Format.RAW:
            raise ValueError("key: device is unknown in format raw, allowed: topic, level:N")
        if self.wire_format is WireFormat.CONFLUENT and self.format is Format.RAW:
            raise ValueError("wire_format: confluent needs a schema, format raw has none")
        return self

    @model_validator(mode="after")
    def _registrations_can_be_told_apart(self) -> "Route":
        if self.registration_topic is not None and self.format is not Format.LWM2M_OMA:
            raise ValueError("registration_topic: for format lwm2m-oma only")
        return self

    @property
    def topics(self) -> tuple[str, ...]:
        """The Kafka topics that its records go to."""
        return (self.topic,) if self.registration_topic is None else (self.topic, self.registration_topic)

    def below(self, prefix: str) -> "Route":
        """The route with its LwM2M filters below a topic level."""
        if not prefix or self.format not in _LWM2M:
            return self
        return self.model_copy(update={"filters": tuple(f"{prefix}/{one}" for one in self.filters)})

    def key_of(self, topic: str) -> str:
        """The key that the topic alone gives (`topic` and `level:N`); a missing level gives the topic."""
        match = _LEVEL_KEY.fullmatch(self.key)
        levels = topic.split("/")
        return levels[int(match[1]) - 1] if match and int(match[1]) <= len(levels) else topic


class RouteTable:
    """The routes of a bridge, in order; the first that matches wins.

    Attributes:
        routes: as configured.
        subscriptions: the filters to subscribe to. One that another covers is left out, since the broker
            sends a message once for each subscription that it matches.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._filters = [(topic_filter, route) for route in routes for topic_filter in route.filters]
        problems = [*self._conflicts(), *self._repeated_names(), *self._mixed_topics()]
        if problems:
            raise SettingsError(problems)
        distinct = [topic_filter for topic_filter, _ in self._filters]
        self.subscriptions = tuple(
            one
            for one in distinct
            if not any(one != other and filters.covers(other, one) for other in distinct)
        )

    def match(self, topic: str) -> Route | None:
        """The route of an MQTT topic."""
        return next((route for one, route in self._filters if filters.matches(one, topic)), None)

    def _conflicts(self) -> Iterator[str]:
        for at, (later, route) in enumerate(self._filters):
            for earlier, first in self._filters[:at]:
                if filters.covers(earlier, later):
                    yield (
                        f"route {route.name}: filter {later} never matches, "
                        f"{earlier} of route {first.name} takes all of it"
                    )
                elif not filters.covers(later, earlier) and _share_topics(earlier, later):
                    yield (
                        f"route {route.name}: filter {later} overlaps {earlier} of route {first.name} "
                        "in part: the broker would send such messages twice"
                    )

    def _repeated_names(self) -> Iterator[str]:
        names = [route.name for route in self.routes]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"route {name}: the name is used {names.count(name)} times"

    def _mixed_topics(self) -> Iterator[str]:
        for route in self.routes:
            if route.wire_format is not WireFormat.CONFLUENT:
                continue
            for topic in route.topics:
                others = {other.format for other in self.routes if topic in other.topics} - {route.format}
                if others and not {route.format, *others} <= set(_LWM2M):
                    yield (
                        f"route {route.name}: wire_format confluent needs one schema for topic {topic}, "
                        f"which has format {', '.join(sorted(others))} as well"
                    )


def _share_topics(one: str, other: str) -> bool:
    """Whether a topic matches both, other than of a device whose id is reserved so that it cannot exist."""
    if not filters.overlap(one, other):
        return False
    common = filters.common_topic(one, other)
    return common is None or not is_reserved(common.rpartition("/")[2])


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    routes: Annotated[list[Route], Field(min_length=1)]


def load_routes(path: Path | None, prefix: str = "") -> RouteTable:
    """Read the routes from a YAML file; None means the built-in defaults.

    Args:
        path: the file.
        prefix: topic level before `lwm2m`, put in front of the filters of both LwM2M formats.

    Raises:
        SettingsError: a line for each thing that is wrong.
    """
    source = path or resources.files("mqtt_redpanda_bridge").joinpath("routes.yaml")
    try:
        content: Any = yaml.safe_load(source.read_text("utf-8"))
        return RouteTable([route.below(prefix) for route in _File.model_validate(content).routes])
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise SettingsError([" ".join(str(exc).split())]) from exc
    except ValidationError as exc:
        raise SettingsError([_problem(error) for error in exc.errors()]) from exc


def _problem(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"]) or "file"
    reason = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{place}={error['input']!r:.200}: {reason}"
