"""Connections of ours, and an independent client that watches them."""

import asyncio
import queue
from contextlib import asynccontextmanager, contextmanager

import paho.mqtt.client as paho
import pytest

from iiot.mqtt import Connection, ConnectOptions
from iiot.settings import MqttSettings
from scripted_broker import PUBLISH, scripted_broker
from support import eventually

both_versions = pytest.mark.parametrize("version", ["5", "3.1.1"])
NOT_AUTHORISED = 0x87


def nothing(_message):
    pass


def plain(port, **changes):
    return MqttSettings(mqtt_host="127.0.0.1", mqtt_port=port, mqtt_tls=False, **changes)


@asynccontextmanager
async def connected(options, on_message=nothing):
    connection = await Connection.open(options, on_message)
    try:
        yield connection
    finally:
        await connection.disconnect()


@asynccontextmanager
async def scripted(connack=b"\0\0\0", on_packet=lambda broker, packet: None, on_message=nothing, **settings):
    async with scripted_broker(connack, on_packet) as broker:
        options = ConnectOptions("scripted", plain(broker.port, **settings))
        async with connected(options, on_message) as connection:
            yield broker, connection


@contextmanager
def observer(mosquitto, *filters):
    """An independent client on the plain listener; yields a queue of what it receives."""
    received, subscribed = queue.Queue(), queue.Queue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _c, _u, message: received.put(message)
    client.on_subscribe = lambda *_: subscribed.put(True)
    client.connect("127.0.0.1", mosquitto.plain_port)
    client.loop_start()
    try:
        for topic_filter in filters:
            client.subscribe(topic_filter, qos=1)
            subscribed.get(timeout=5)
        yield received
    finally:
        client.disconnect()
        client.loop_stop()


async def next_of(received):
    return await asyncio.to_thread(received.get, timeout=5)


def options_of(mosquitto, name):
    """Options of a client on the TLS listener, by version and changes."""
    settings = mosquitto.client_settings(name)
    return lambda version="5", **changes: ConnectOptions(
        name, settings.model_copy(update={"mqtt_version": version}), **changes
    )


async def acknowledge_all(broker, count):
    """Acknowledge everything as it comes until `count` publishes have been seen."""
    done = 0
    while done < count:
        await eventually(lambda at=done: len(broker.of(PUBLISH)) > at, f"publish {done + 1} of {count}")
        packets = broker.of(PUBLISH)
        for packet in packets[done:]:
            broker.puback(packet.mid)
        done = len(packets)
