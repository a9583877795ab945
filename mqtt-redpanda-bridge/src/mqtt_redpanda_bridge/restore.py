"""The device states that bridges have written so far, read back from their compacted topic."""

import asyncio
from contextlib import closing
from typing import Final

from iiot.errors import KafkaError
from iiot.kafka_reader import TopicReader
from iiot.telemetry import get_logger
from iiot.topics import DEVICE_STATE
from mqtt_redpanda_bridge.devices import DeviceStates
from mqtt_redpanda_bridge.settings import BridgeSettings

RETRY_DELAY: Final = 1.0
"""Seconds between tries."""

log = get_logger(__name__)


async def restore(states: DeviceStates, settings: BridgeSettings) -> None:
    """Have `states` go on from what was written; tries until Kafka answers."""
    if not settings.device_states:
        return
    while True:
        try:
            found = await asyncio.to_thread(_read, settings)
            break
        except KafkaError as exc:
            log.warning("device_states_unread", error=str(exc))
            await asyncio.sleep(RETRY_DELAY)
    states.adopt(found)
    log.info("device_states_restored", count=found.count)


def _read(settings: BridgeSettings) -> DeviceStates:
    # All in the thread that uses it, the states too: a stop may come while it reads.
    found = DeviceStates(0, settings.max_devices)
    with closing(TopicReader(settings.kafka_brokers, settings.mqtt_client_id)) as reader:
        for key, value in reader.read_all(DEVICE_STATE):
            found.restore(key, value)
    return found
