"""Settings of the console."""

from typing import Annotated

from pydantic import AfterValidator, Field

from iiot.rest import ApiSettings
from iiot.settings import KafkaSettings, MqttSettings, OptionalPath, ServiceSettings


def _http_url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return text.rstrip("/")


Url = Annotated[str, AfterValidator(_http_url)]


class Settings(ServiceSettings, MqttSettings, KafkaSettings, ApiSettings):
    """Environment variables of the console, beside those of every service, of MQTT, Kafka and the API."""

    http_port: int = Field(default=8088, ge=0, le=65535)
    mqtt_client_id: str = Field(default="console", min_length=1)
    lwm2m_server_url: Url = "http://localhost:8080"
    sparkplug_host_url: Url = "http://localhost:8081"
    bridge_url: Url = "http://localhost:8082"
    """A name with several addresses, or several URLs with commas between, mean several bridges."""
    simulator_url: Url = "http://localhost:8083"
    connect_url: Url = "http://localhost:8087"
    prometheus_url: Url = "http://localhost:9090"
    experiments_url: Url = "http://localhost:8089"
    upstream_timeout: float = Field(default=5.0, gt=0, le=60)
    """s to wait for an answer of another part, unless the request says `timeout`."""
    alerts_token_file: OptionalPath = None
    """File that holds the token of Alertmanager's webhook; without it the webhook takes nothing."""
    alerts_keep: int = Field(default=500, ge=1, le=10_000)
    """Alerts received by webhook that are kept at most."""
    max_lookers: int = Field(default=32, ge=1, le=1000)
    """Live streams open at the same time, of all pages together."""
