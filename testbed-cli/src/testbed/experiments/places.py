"""Where an experiment finds the parts, and what it may use."""

from pydantic import Field, field_validator

from iiot import certs
from iiot.errors import SettingsError
from iiot.rest import ApiSettings
from iiot.settings import KafkaSettings, MqttSettings, OptionalPath
from testbed.verify.devices import parse_addresses


class Places(KafkaSettings, ApiSettings):
    """Environment variables of experiments. Mix into a service's settings."""

    simulators: str = "localhost:8083"
    """`host:port` list of those that count; a name stands for all its addresses."""
    mqtt_host: str = Field(default="localhost", min_length=1)
    broker_tls_port: int = Field(default=8883, ge=0, le=65535)
    """Where the broker shows its certificate, and where an experiment's own devices connect; 0: nowhere."""
    lwm2m_server_url: str = "http://localhost:8080"
    sparkplug_host_url: str = "http://localhost:8081"
    prometheus_url: str = "http://localhost:9090"
    device_ca_dir: OptionalPath = None
    """The device authority; without it an experiment can have no devices of its own."""
    experiments_dir: OptionalPath = None
    """Where reports and the certificates of experiments' devices are kept; without it there are none."""

    @field_validator("simulators")
    @classmethod
    def _are_addresses(cls, text: str) -> str:
        parse_addresses(text)
        return text


class Factory:
    """Certificates for an experiment's own devices.

    Args:
        places: where the device authority and the directory for what it issues are.
    """

    def __init__(self, places: Places) -> None:
        self._places = places

    def __call__(self, name: str) -> MqttSettings:
        """MQTT settings of one device; takes a millisecond for a new certificate.

        Raises:
            SettingsError: there is no authority, or nowhere to keep what it issues.
        """
        places = self._places
        if places.device_ca_dir is None or places.experiments_dir is None or not places.broker_tls_port:
            raise SettingsError(
                ["DEVICE_CA_DIR, EXPERIMENTS_DIR, BROKER_TLS_PORT: devices of an experiment need all three"]
            )
        try:
            identity = certs.issue(
                places.device_ca_dir.resolve().parent, name, devices=places.experiments_dir / "devices"
            )
        except OSError as exc:
            raise SettingsError([f"DEVICE_CA_DIR={str(places.device_ca_dir)!r}: {exc}"]) from exc
        return MqttSettings(
            mqtt_host=places.mqtt_host,
            mqtt_port=places.broker_tls_port,
            mqtt_tls=True,
            mqtt_ca=identity.ca,
            mqtt_cert=identity.cert,
            mqtt_key=identity.key,
        )
