"""Settings of the LwM2M server; DESIGN and README list the variables shared by all services."""

from pathlib import Path

from pydantic import Field

from iiot.rest import ApiSettings
from iiot.settings import Directory, MqttSettings, ServiceSettings, TopicPrefix


class Settings(ServiceSettings, MqttSettings, ApiSettings):
    """Environment variables of the server, beside those of every service and of MQTT."""

    http_port: int = Field(default=8080, ge=0, le=65535)
    mqtt_client_id: str = Field(default="lwm2m-server", min_length=1, max_length=64)
    mqtt_session_expiry: int = Field(default=7 * 86400, ge=0, le=2**32 - 1)
    """Seconds for which the broker queues for a stopped server (MQTT 5)."""
    mqtt_receive_maximum: int = Field(default=2000, ge=1, le=65535)
    """Messages on their way into the store at most; the broker queues the rest (MQTT 5)."""
    lwm2m_prefix: TopicPrefix = ""
    """Topic level before `lwm2m`, to separate tenants; empty for none."""
    lwm2m_extensions: bool = True
    """Fill the holes of the OMA MQTT binding (`docs/lwm2m.md`); without, refuse what it cannot say."""
    lwm2m_objects: Directory = None
    """Directory with a user's object definitions, beside the testbed's own; YAML or OMA's XML."""
    models_dir: Directory = None
    """Another one, which counts before it; the simulator has a setting of the same name."""
    lwm2m_awake_seconds: float = Field(default=93.0, gt=0, le=86_400)
    """Seconds for which a device in queue mode listens after each of its messages (Core 6.5)."""
    lwm2m_queue_ttl: float = Field(default=86_400.0, gt=0, le=30 * 86_400)
    """Seconds for which a request waits for a device that sleeps or is offline."""
    history_per_resource: int = Field(default=100, ge=1, le=100_000)
    """Values kept in memory of each resource at most."""
    history_points: int = Field(default=250_000, ge=1000, le=50_000_000)
    """Values kept in memory of all devices together; of many resources each keeps fewer."""
    firmware_max_mb: int = Field(default=64, ge=1, le=1024)
    """Megabytes of the largest firmware package."""
    firmware_https_port: int | None = Field(default=None, ge=0, le=65535)
    """Serve packages by HTTPS too, with the certificate that MQTT uses."""
    firmware_url: str = Field(default="", pattern=r"^(https?://[^\s/]+(/[^\s]*)?)?$")
    """Where devices reach the server to fetch packages, such as `https://lwm2m-server:8443`."""
    database: Path = Path("data/lwm2m-server.db")
    """SQLite file with registrations and events; its directory is made when missing."""
    events_keep: int = Field(default=1_000_000, ge=1, le=100_000_000)
    """Events kept on disk at most."""
    events_keep_mb: int = Field(default=1024, ge=1, le=1_000_000)
    """Megabytes of events kept on disk at most."""
    events_memory_mb: int = Field(default=64, ge=1, le=16_384)
    """Megabytes of the newest events kept in memory as well."""
