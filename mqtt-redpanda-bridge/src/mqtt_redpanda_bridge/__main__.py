"""`python -m mqtt_redpanda_bridge`: run the bridge until SIGTERM."""

from iiot import service
from mqtt_redpanda_bridge.bridge import Bridge
from mqtt_redpanda_bridge.settings import BridgeSettings


async def main(settings: BridgeSettings, running: service.Service) -> None:
    """Bridge until the service stops."""
    await Bridge(settings, running).run()


if __name__ == "__main__":
    service.run("mqtt-redpanda-bridge", BridgeSettings, main)
