"""Settings of the bridge, from environment variables."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from iiot.budgets import METRICS
from iiot.errors import SettingsError
from iiot.rest import ApiSettings
from iiot.settings import KafkaSettings, MqttSettings, ServiceSettings, TopicPrefix
from iiot.topic_shape import TopicSettings
from mqtt_redpanda_bridge.devices import MAX_DEVICES
from mqtt_redpanda_bridge.routes import WireFormat, load_routes

Address = tuple[str, int]


class BridgeSettings(ServiceSettings, MqttSettings, KafkaSettings, TopicSettings, ApiSettings):
    """Everything that can be set, with the defaults of the testbed."""

    http_port: int = Field(default=8082, ge=0, le=65535)
    mqtt_client_id: str = Field(default="mqtt-redpanda-bridge", min_length=1, max_length=64)
    """Names the broker's queue for this bridge: keep it over restarts, never use it twice at a time."""
    session_expiry: int = Field(default=7 * 86_400, ge=60, le=0xFFFF_FFFE)
    """Seconds that the broker queues for an absent bridge."""
    receive_maximum: int = Field(default=4_000, ge=1, le=65_535)
    """Messages in flight: the most that a kill of the bridge can duplicate."""
    max_in_flight_bytes: int = Field(default=64 << 20, ge=1 << 20)
    """Payload bytes in flight beyond which the bridge stops reading from the broker."""
    routes_file: Path | None = None
    """YAML file with routes; None: the built-in ones."""
    lwm2m_prefix: TopicPrefix = ""
    """Topic level before `lwm2m`, put in front of the filters of both LwM2M formats."""
    schema_registry_url: str | None = Field(default=None, pattern=r"^https?://.", validate_default=True)
    """Where the schemas of the topics are registered; None: nowhere."""
    state_file: Path | None = None
    """SQLite file that keeps births and the session's filters over restarts; None: they are forgotten."""
    peers: str = ""
    """`host:port` list of the bridges that share the devices; a name stands for all its addresses."""
    peer_port: int = Field(default=8092, ge=1, le=65535)
    """Where the others find this bridge, on `http_host`."""
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    """Of record batches. Readers need the codec's library for all but none and gzip."""
    create_topics: bool = True
    """Create missing Kafka topics, also when one is deleted while the bridge runs."""
    device_states: bool = True
    """Keep the latest state of each device in `iot.state.devices`."""
    device_state_interval: float = Field(default=10.0, ge=0.1, le=86_400)
    """Seconds between records of a device that tell only that it was seen."""
    max_metrics: int = Field(default=METRICS, ge=1, le=1_000_000)
    """Metrics that one Sparkplug message may hold; one with more becomes a dead letter."""
    max_devices: int = Field(default=MAX_DEVICES, ge=1, le=10_000_000)
    """Devices whose state is kept in memory; beyond it the one silent for longest is forgotten."""

    @field_validator("routes_file")
    @classmethod
    def _routes_are_right(cls, path: Path | None) -> Path | None:
        try:
            load_routes(path)
        except SettingsError as exc:
            raise ValueError(str(exc)) from exc
        return path

    @field_validator("schema_registry_url")
    @classmethod
    def _registry_is_there_if_needed(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is None and "routes_file" in info.data:
            for route in load_routes(info.data["routes_file"]).routes:
                if route.wire_format is WireFormat.CONFLUENT:
                    raise ValueError(f"required by wire_format confluent of route {route.name}")
        return url

    @field_validator("state_file")
    @classmethod
    def _state_file_can_be_written(cls, path: Path | None) -> Path | None:
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"must be in a directory that exists; {path.parent} does not")
        return path

    @field_validator("peers")
    @classmethod
    def _are_addresses(cls, text: str) -> str:
        parse_peers(text)
        return text


def parse_peers(text: str) -> list[Address]:
    """The addresses in a comma-separated `host:port` list.

    Raises:
        ValueError: something else stands there.
    """
    found = []
    for part in filter(None, map(str.strip, text.split(","))):
        host, _, port = part.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("allowed: host:port, more after commas")
        found.append((host.strip("[]"), int(port)))
    return found
