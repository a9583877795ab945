"""Names of the Kafka topics: the interface towards stream processing."""

SPARKPLUG_DATA = "iot.telemetry.sparkplug.data"
LWM2M_REGISTRATION = "iot.telemetry.lwm2m.registration"
LWM2M_UPDATES = "iot.telemetry.lwm2m.updates"
LWM2M_HTTP = "iot.telemetry.lwm2m.http"
LWM2M_WEBSOCKET = "iot.telemetry.lwm2m.websocket"

DEVICE_STATE = "iot.state.devices"
"""Compacted: the latest state of each device."""

REPLAYED = "iot.state.replayed-letters"
"""Compacted: which dead letters were replayed."""

TELEMETRY = (SPARKPLUG_DATA, LWM2M_REGISTRATION, LWM2M_UPDATES, LWM2M_HTTP, LWM2M_WEBSOCKET)


def dlq(topic: str) -> str:
    """Name of the dead-letter sibling of a topic."""
    return f"{topic}.dlq"


def is_dlq(topic: str) -> bool:
    """Whether a topic is one of dead letters."""
    return topic.endswith(dlq(""))
