"""MQTT 5 and 3.1.1 sessions for asyncio: the only place that knows the MQTT library.

The library (gmqtt) supplies packet formats, the TLS socket and keep-alive. Its client is left aside:
it reconnects with the old will and spends a task per message, while a Sparkplug edge node needs a
new will for each CONNECT and the bridge acknowledges tens of thousands of messages a second.
"""

from iiot.mqtt.connection import Connection
from iiot.mqtt.message import Message, MessageHandler
from iiot.mqtt.options import ConnectOptions, Subscription, Will
from iiot.mqtt.reconnect import Backoff, StateHandler, keep_connected

__all__ = [
    "Backoff",
    "ConnectOptions",
    "Connection",
    "Message",
    "MessageHandler",
    "StateHandler",
    "Subscription",
    "Will",
    "keep_connected",
]
