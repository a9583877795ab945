"""Settings of the runner; every one of them is also a variable of the configuration file."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from iiot.settings import KafkaSettings, ServiceSettings


class ConnectSettings(ServiceSettings, KafkaSettings):
    """Where the events come from, where cursors are kept, and which engine runs the file."""

    http_port: int = Field(default=8087, ge=0, le=65535)
    lwm2m_server_url: str = Field(default="http://localhost:8080", pattern="^https?://")
    lwm2m_server_ws_url: str = Field(default="", pattern="^(wss?://.*)?$")
    """Empty: as `lwm2m_server_url`."""
    cursor_dir: Path = Path("connect-cursor")
    """Made when missing; one running instance per directory."""
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
        }
