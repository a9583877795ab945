"""Settings of the runner; every one of them is also a variable of the configuration file."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from iiot.settings import KafkaSettings, ServiceSettings
from iiot.topics import LWM2M_HTTP, LWM2M_WEBSOCKET

ConsumerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
"""Of a connector, which is also the name under which the LwM2M server knows its position."""
TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,245}$")]
"""With room for `.dlq`."""


class ConnectTopics(BaseSettings):
    """The topics that Redpanda Connect writes. Mix into a service's settings."""

    lwm2m_http_topic: TopicName = LWM2M_HTTP
    lwm2m_websocket_topic: TopicName = LWM2M_WEBSOCKET


class ConnectSettings(ServiceSettings, KafkaSettings, ConnectTopics):
    """Where the events come from, where cursors are kept, and which engine runs the file."""

    http_port: int = Field(default=8087, ge=0, le=65535)
    lwm2m_server_url: str = Field(default="http://localhost:8080", pattern="^https?://")
    lwm2m_server_ws_url: str = Field(default="", pattern="^(wss?://.*)?$")
    """Empty: as `lwm2m_server_url`."""
    cursor_dir: Path = Path("connect-cursor")
    """Made when missing; one running instance per directory."""
    lwm2m_http_consumer: ConsumerName = "lwm2m-http-source"
    lwm2m_websocket_consumer: ConsumerName = "lwm2m-websocket-source"
    connect_engine: Literal["auto", "redpanda-connect", "embedded"] = "auto"

    def variables(self) -> dict[str, str]:
        """The values by the names that the configuration file uses."""
        return {
            "HTTP_HOST": self.http_host,
            "HTTP_PORT": str(self.http_port),
            "KAFKA_BROKERS": self.kafka_brokers,
            "LWM2M_SERVER_URL": self.lwm2m_server_url,
            "LWM2M_SERVER_WS_URL": self.lwm2m_server_ws_url
            or "ws" + self.lwm2m_server_url.removeprefix("http"),
            "CURSOR_DIR": str(self.cursor_dir),
            "LWM2M_HTTP_CONSUMER": self.lwm2m_http_consumer,
            "LWM2M_HTTP_TOPIC": self.lwm2m_http_topic,
            "LWM2M_WEBSOCKET_CONSUMER": self.lwm2m_websocket_consumer,
            "LWM2M_WEBSOCKET_TOPIC": self.lwm2m_websocket_topic,
        }
