"""Where the parts of a testbed answer."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from iiot.settings import load_with_defaults
from testbed.engines.native.ports import Ports


class Places(BaseSettings):
    """Addresses to look at, each to be set by the variable of its name."""

    model_config = SettingsConfigDict(env_prefix="", extra="ignore", frozen=True)

    kafka_brokers: str = Field(min_length=3)
    mqtt_host: str = Field(min_length=1)
    mqtt_port: int = Field(ge=1, le=65535)
    """The plain listener: the monitor only looks whether the broker answers."""
    lwm2m_server_url: str
    sparkplug_host_url: str
    bridge_url: str
    simulator_url: str
    connect_url: str
    prometheus_url: str


def find(offset: int, environment: dict[str, str]) -> Places:
    """The places of a testbed on this machine.

    Args:
        offset: by how much its ports differ from the defaults.
        environment: variables that name other places.

    Raises:
        SettingsError: a variable holds something unusable.
    """
    ports = Ports(offset)
    defaults = {
        "kafka_brokers": f"localhost:{ports.of('kafka')['kafka']}",
        "mqtt_host": "localhost",
        "mqtt_port": ports.of("mosquitto")["mqtt"],
        "lwm2m_server_url": f"http://localhost:{ports.http('lwm2m-server')}",
        "sparkplug_host_url": f"http://localhost:{ports.http('sparkplug-host')}",
        "bridge_url": f"http://localhost:{ports.http('mqtt-redpanda-bridge')}",
        "simulator_url": f"http://localhost:{ports.http('device-simulator')}",
        "connect_url": f"http://localhost:{ports.http('redpanda-connect')}",
        "prometheus_url": f"http://localhost:{ports.http('prometheus')}",
    }
    return load_with_defaults(Places, defaults, environment)
