"""Settings of the exporter."""

from pathlib import Path

from pydantic import Field, field_validator

from iiot.settings import MqttSettings, ServiceSettings
from testbed.experiments.places import Places
from testbed.exporter.disks import parse_places


class ExporterSettings(ServiceSettings, MqttSettings, Places):
    """Environment variables of the exporter, beside those of every service."""

    http_port: int = Field(default=8089, ge=0, le=65535)
    # The plain listener lets anyone on this network read $SYS, so no identity is needed; the `testbed`
    # certificate would also do, but its one session belongs to people's tools.
    mqtt_port: int = Field(default=1883, ge=1, le=65535)
    mqtt_tls: bool = False
    mqtt_cert: Path | None = None
    kafka_interval: float = Field(default=5.0, ge=0.5, le=3600)
    """s between looks at the topics."""
    ledger: bool = True
    """Follow every record and balance it against the devices' counts: about 8 µs of CPU per record."""
    ledger_patience: float = Field(default=300.0, ge=5, le=86_400)
    """s after which a message that is not in Kafka counts as lost."""
    supervisor_dir: Path | None = None
    """State directory of the native engine, whose supervisor breaks parts for experiments; none: nobody."""
    disks: str = ""
    """`name=/path` list of directories whose file systems are watched for room."""

    @field_validator("disks")
    @classmethod
    def _are_places(cls, text: str) -> str:
        parse_places(text)
        return text
