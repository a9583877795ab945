"""Numbers of the LwM2M MQTT binding: keys of its CBOR maps and operation codes (Transport 8.3, 8.7)."""

from enum import IntEnum
from typing import Final

from iiot.lwm2m.message import Operation


class Key(IntEnum):
    """Keys of a message (Transport table 8.7-1)."""

    OPERATION = 1
    TOKEN = 2
    ENDPOINT = 3
    FORMAT_WISH = 4
    URI = 5
    PATHS = 6
    PAYLOAD = 7
    LIFETIME = 8
    VERSION = 9
    BINDING = 10
    SMS = 11
    PMIN = 12
    PMAX = 13
    GT = 14
    ST = 15
    EPMIN = 16
    EPMAX = 17
    RESULT = 18
    CONTENT_FORMAT = 19
    EDGE = 20
    HQMAX = 21
    DEPTH = 22


class Up(IntEnum):
    """Operations that devices send; 6 means one thing on `bs` and another on `rd`."""

    BOOTSTRAP_REQUEST = 0
    REGISTER = 6
    BOOTSTRAP_PACK = 6
    UPDATE = 7
    DEREGISTER = 8
    NOTIFY = 23
    SEND = 24


COMMANDS: Final[dict[Operation, tuple[str, int]]] = {
    Operation.BOOTSTRAP_WRITE: ("bs", 1),
    Operation.BOOTSTRAP_READ: ("bs", 2),
    Operation.BOOTSTRAP_DELETE: ("bs", 3),
    Operation.BOOTSTRAP_DISCOVER: ("bs", 4),
    Operation.BOOTSTRAP_FINISH: ("bs", 5),
    Operation.READ: ("rd", 9),
    Operation.READ_COMPOSITE: ("rd", 10),
    Operation.DISCOVER: ("rd", 11),
    Operation.WRITE: ("rd", 12),
    Operation.WRITE_PARTIAL: ("rd", 13),
    Operation.WRITE_ATTRIBUTES: ("rd", 14),
    Operation.WRITE_COMPOSITE: ("rd", 15),
    Operation.EXECUTE: ("rd", 16),
    Operation.CREATE: ("rd", 17),
    Operation.DELETE: ("rd", 18),
    Operation.OBSERVE: ("rd", 20),
    Operation.OBSERVE_COMPOSITE: ("rd", 21),
    Operation.CANCEL_OBSERVE: ("rd", 22),
}
"""What servers send: topic kind and operation code."""

ATTRIBUTES: Final[dict[str, Key]] = {
    "pmin": Key.PMIN,
    "pmax": Key.PMAX,
    "gt": Key.GT,
    "st": Key.ST,
    "epmin": Key.EPMIN,
    "epmax": Key.EPMAX,
    "edge": Key.EDGE,
    "hqmax": Key.HQMAX,
}
"""Notification attributes that have a key; `lt` and `con` have none (an erratum)."""
