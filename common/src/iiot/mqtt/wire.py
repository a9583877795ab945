"""The packets on the hot path, encoded and taken apart without intermediate objects (MQTT 5 §2-3)."""

import struct
from typing import Any

from gmqtt.mqtt.constants import MQTTCommands
from gmqtt.mqtt.property import Property
from gmqtt.mqtt.utils import unpack_variable_byte_integer

from iiot.mqtt.options import Subscription


def encode_publish(
    topic: str, payload: bytes, qos: int, retain: bool, mid: int | None, properties: bytes
) -> bytes:
    """A PUBLISH packet; `mid` is None for QoS 0, `properties` their block in MQTT 5 and empty before."""
    name = topic.encode()
    head = struct.pack("!H", len(name)) + name
    if mid is not None:
        head += struct.pack("!H", mid)
    head += properties
    first = MQTTCommands.PUBLISH | qos << 1 | retain
    return bytes((first,)) + encode_length(len(head) + len(payload)) + head + payload


def encode_subscribe(mid: int, subscriptions: tuple[Subscription, ...], is_v5: bool) -> bytes:
    """A SUBSCRIBE packet with all filters; MQTT 3.1.1 knows only the QoS of the options."""
    body = struct.pack("!H", mid) + (b"\x00" if is_v5 else b"")
    for subscription in subscriptions:
        name = subscription.topic_filter.encode()
        options = subscription.qos
        if is_v5:
            options |= subscription.no_local << 2 | subscription.retain_as_published << 3
            options |= subscription.retain_handling << 4
        body += struct.pack("!H", len(name)) + name + bytes((options,))
    return bytes((MQTTCommands.SUBSCRIBE | 2,)) + encode_length(len(body)) + body


def encode_unsubscribe(mid: int, filters: tuple[str, ...], is_v5: bool) -> bytes:
    """An UNSUBSCRIBE packet with all filters."""
    body = struct.pack("!H", mid) + (b"\x00" if is_v5 else b"")
    for topic_filter in filters:
        name = topic_filter.encode()
        body += struct.pack("!H", len(name)) + name
    return bytes((MQTTCommands.UNSUBSCRIBE | 2,)) + encode_length(len(body)) + body


def encode_length(length: int) -> bytes:
    """A Variable Byte Integer (MQTT 5 §1.5.5)."""
    if length < 128:
        return bytes((length,))
    encoded = bytearray()
    while length:
        length, low = divmod(length, 128)
        encoded.append(low | (0x80 if length else 0))
    return bytes(encoded)


def skip_properties(data: bytes, at: int) -> int:
    """Position behind the property block that begins at `at`."""
    if not data[at]:
        return at + 1
    length, rest = unpack_variable_byte_integer(data[at:])
    return len(data) - len(rest) + int(length)


def parse_properties(data: bytes) -> dict[str, Any]:
    """The properties at the start of `data` by the library's names.

    Raises:
        ValueError: a property that MQTT 5 does not define.
    """
    if not data:
        return {}
    length, rest = unpack_variable_byte_integer(data)
    rest, found = rest[:length], {}
    while rest:
        kind = Property.factory(id_=rest[0])
        if kind is None:
            raise ValueError(f"unknown property 0x{rest[0]:02x}")
        values, rest = kind.loads(rest[1:])
        found.update(values)
    return found
