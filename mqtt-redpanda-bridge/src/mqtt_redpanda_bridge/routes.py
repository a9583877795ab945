"""Routes: which MQTT topic filters go to which Kafka topic, with which key and in which format."""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from iiot.errors import InvalidValueError, SettingsError
from iiot.identity import is_reserved
from iiot.topics import DEVICE_STATE, dlq
from iiot.yamlfile import StrictModel, load_yaml
from mqtt_redpanda_bridge import filters

BUILT_IN = Path(__file__).with_name("routes.yaml")
_KAFKA_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_DLQ = dlq("")
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
_ROOTS: dict[Format, tuple[str, ...]] = {
    Format.SPARKPLUG_JSON: ("spBv1.0/#",),
    Format.SPARKPLUG_PROTOBUF: ("spBv1.0/#",),
    Format.LWM2M_JSON: ("lwm2m/#", "+/lwm2m/#"),
    Format.LWM2M_OMA: ("lwm2m/rd/+", "+/lwm2m/rd/+"),
}
"""Where the messages of a format are, without and with a tenant's prefix."""


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
        raise ValueError(exc.allowed) from exc


def _some(listed: tuple[str, ...]) -> tuple[str, ...]:
    # Field(min_length=1) would count only the good ones.
    if not listed:
        raise ValueError("at least one filter")
    return listed


def _kafka_topic(text: str) -> str:
    if not _KAFKA_TOPIC.fullmatch(dlq(text)) or text in (".", ".."):
        raise ValueError("1 to 245 of A-Z a-z 0-9 . _ - (so that the dead-letter topic fits, too)")
    if text == DEVICE_STATE:
        raise ValueError("any but the topic of the device states, which Kafka compacts")
    return text


def _key(text: str) -> str:
    if text not in ("device", "topic") and not _LEVEL_KEY.fullmatch(text):
        raise ValueError("device, topic, level:N (the N-th level of the MQTT topic, from 1)")
    return text


class Route(StrictModel):
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

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    filters: Annotated[tuple[Annotated[str, AfterValidator(_filter)], ...], AfterValidator(_some)]
    topic: Annotated[str, AfterValidator(_kafka_topic)]
    format: Format
    registration_topic: Annotated[str, AfterValidator(_kafka_topic)] | None = None
    key: Annotated[str, AfterValidator(_key), Field(validate_default=True)] = "device"
    wire_format: WireFormat = WireFormat.PLAIN

    @field_validator("key")
    @classmethod
    def _key_is_known(cls, key: str, info: ValidationInfo) -> str:
        if key == "device" and info.data.get("format") is Format.RAW:
            raise ValueError("topic, level:N; the device is unknown in format raw")
        if match := _LEVEL_KEY.fullmatch(key):
            for one in info.data.get("filters", ()):
                levels = one.count("/") + 1
                if "#" not in one and levels < int(match[1]):
                    raise ValueError(f"a level that topics have; filter {one} has {levels}")
        return key

    @field_validator("wire_format")
    @classmethod
    def _has_a_schema(cls, wire_format: WireFormat, info: ValidationInfo) -> WireFormat:
        if wire_format is WireFormat.CONFLUENT and info.data.get("format") is Format.RAW:
            raise ValueError("plain; format raw has no schema")
        return wire_format

    @field_validator("registration_topic")
    @classmethod
    def _registrations_can_be_told_apart(cls, topic: str | None, info: ValidationInfo) -> str | None:
        if topic is not None and info.data.get("format") not in (Format.LWM2M_OMA, None):
            raise ValueError("in format lwm2m-oma only")
        return topic

    @field_validator("format")
    @classmethod
    def _filters_can_match(cls, wanted: Format, info: ValidationInfo) -> Format:
        for one in info.data.get("filters", ()) if wanted in _ROOTS else ():
            roots = _ROOTS[wanted]
            if not any(filters.overlap(one, root) for root in roots):
                raise ValueError(f"another format for filter {one}; topics of {wanted} are like {roots[0]}")
        return wanted

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
        problems = [
            *self._conflicts(),
            *self._repeated_names(),
            *self._mixed_schemas(),
            *self._mixed_wire_formats(),
            *self._topics_in_the_way(),
        ]
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

    def _mixed_schemas(self) -> Iterator[str]:
        for route, topic, others in self._confluent_topics():
            formats = {other.format for other in others} - {route.format}
            if formats and not {route.format, *formats} <= set(_LWM2M):
                yield (
                    f"route {route.name}: wire_format confluent needs one schema for topic {topic}, "
                    f"which has format {', '.join(sorted(formats))} as well"
                )

    def _mixed_wire_formats(self) -> Iterator[str]:
        for route, topic, others in self._confluent_topics():
            for other in others:
                if other.wire_format is WireFormat.PLAIN:
                    yield (
                        f"route {other.name}: wire_format plain for topic {topic}, "
                        f"confluent in route {route.name}: a topic has one"
                    )

    def _confluent_topics(self) -> Iterator[tuple[Route, str, list[Route]]]:
        """Each topic of each route in Confluent's wire format, with the other routes that write to it."""
        for route in self.routes:
            if route.wire_format is WireFormat.CONFLUENT:
                others = [other for other in self.routes if other is not route]
                for topic in route.topics:
                    yield route, topic, [other for other in others if topic in other.topics]

    def _topics_in_the_way(self) -> Iterator[str]:
        """Topics that are others' dead-letter topics, and those that Kafka does not keep apart."""
        topics = {topic: route.name for route in self.routes for topic in route.topics}
        alike: dict[str, str] = {DEVICE_STATE.replace(".", "_"): DEVICE_STATE}
        for topic, route in topics.items():
            if topic.endswith(_DLQ) and topic.removesuffix(_DLQ) in topics:
                yield f"route {route}: topic {topic} is where the dead letters of another route go"
            first = alike.setdefault(topic.replace(".", "_"), topic)
            if first != topic:
                yield f"route {route}: topic {topic} and {first} are one name to Kafka's metrics"


def _share_topics(one: str, other: str) -> bool:
    """Whether a topic matches both, other than of a device whose id is reserved so that it cannot exist."""
    if not filters.overlap(one, other):
        return False
    common = filters.common_topic(one, other)
    return common is None or not is_reserved(common.rpartition("/")[2])


class _File(StrictModel):
    routes: Annotated[list[Route], Field(min_length=1)]


def load_routes(path: Path | None, prefix: str = "") -> RouteTable:
    """Read the routes from a YAML file; None means the built-in defaults.

    Args:
        path: the file.
        prefix: topic level before `lwm2m`, put in front of the filters of both LwM2M formats.

    Raises:
        SettingsError: with a line for each thing that is wrong.
    """
    path = path or BUILT_IN
    routes = load_yaml(path, _File).routes
    try:
        return RouteTable([route.below(prefix) for route in routes])
    except SettingsError as exc:
        raise SettingsError([f"{path}: {problem}" for problem in exc.problems]) from exc
