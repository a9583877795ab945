"""Our one user property: the id of the request that a message is published for (MQTT 5 §3.3.2.3.7)."""

import struct
from typing import Final

from gmqtt.mqtt.property import Property
from gmqtt.mqtt.utils import unpack_variable_byte_integer

from iiot import correlation
from iiot.mqtt.wire import encode_length

_NONE: Final = b"\x00"
_USER_PROPERTY: Final = 0x26
_NAME: Final = correlation.PROPERTY.encode()


def publish_properties() -> bytes:
    """The property block of a PUBLISH that leaves now."""
    correlation_id = correlation.current().encode()
    if not correlation_id:
        return _NONE
    body = bytes((_USER_PROPERTY,))
    for text in (_NAME, correlation_id):
        body += struct.pack("!H", len(text)) + text
    return encode_length(len(body)) + body


def correlation_id(block: bytes) -> str:
    """The id in a property block; empty when there is none, it is illegal, or the block malformed."""
    if _NAME not in block:
        return ""
    try:
        length, rest = unpack_variable_byte_integer(block)
        rest = rest[:length]
        while rest:
            values, rest = Property.factory(id_=rest[0]).loads(rest[1:])
            name, value = values.get("user_property", ("", ""))
            if name == correlation.PROPERTY:
                return correlation.legal(value)
    except (AttributeError, IndexError, ValueError, struct.error):
        return ""
    return ""
