"""The device object of Leshan's and the specification's examples, and definitions for test objects."""

import cbor2

from iiot.lwm2m import model
from iiot.lwm2m.datatypes import Type
from iiot.lwm2m.message import Record, Value
from iiot.lwm2m.model import Definitions, Object, Resource
from iiot.lwm2m.path import Path

BIGNUM = b"\xc2\x59\x13\x88" + b"\xff" * 5000
"""An integer in CBOR that takes quadratic time to print."""


def senml_record(path: str, value: bytes) -> bytes:
    """A record in SenML CBOR, whose value is encoded already."""
    return b"\xa2\x00" + cbor2.dumps(path) + b"\x02" + value


def senml_pack(*records: bytes) -> bytes:
    """A pack of such records."""
    return bytes([0x80 + len(records)]) + b"".join(records)


def records(values: dict[str, Value | None]) -> tuple[Record, ...]:
    """Records from paths as text."""
    return tuple(Record(Path(tuple(map(int, path.split("/")[1:]))), value) for path, value in values.items())


DEVICE = records(
    {
        "/3/0/0": "Open Mobile Alliance",
        "/3/0/1": "Lightweight M2M Client",
        "/3/0/2": "345000123",
        "/3/0/3": "1.0",
        "/3/0/6/0": 1,
        "/3/0/6/1": 5,
        "/3/0/7/0": 3800,
        "/3/0/7/1": 5000,
        "/3/0/8/0": 125,
        "/3/0/8/1": 900,
        "/3/0/9": 100,
        "/3/0/10": 15,
        "/3/0/11/0": 0,
        "/3/0/13": 1367491215,
        "/3/0/14": "+02:00",
        "/3/0/16": "U",
    }
)


def _object(number: int, **kinds: Type) -> Object:
    resources = {int(name[1:]): Resource(int(name[1:]), name, kind, "RW") for name, kind in kinds.items()}
    return Object(number, f"Object {number}", "1.0", True, False, resources)


DEFINITIONS = Definitions(
    dict(model.built_in())
    | {
        2: _object(2, r0=Type.INTEGER, r1=Type.INTEGER, r2=Type.INTEGER, r3=Type.INTEGER),
        65: _object(65, r0=Type.OBJLNK, r1=Type.STRING, r2=Type.INTEGER),
        66: _object(66, r0=Type.STRING, r1=Type.STRING, r2=Type.OBJLNK),
        500: _object(
            500, r500=Type.INTEGER, r170=Type.INTEGER, r43707=Type.INTEGER, r1=Type.FLOAT, r2=Type.STRING
        ),
        501: _object(501, r170=Type.FLOAT),
        502: _object(502, r170=Type.STRING),
        503: _object(503, r170=Type.OBJLNK),
        504: _object(504, r1=Type.UNSIGNED, r2=Type.TIME, r3=Type.BOOLEAN, r4=Type.OPAQUE),
        3442: _object(3442, r130=Type.FLOAT, r160=Type.TIME),
    }
)
"""The testbed's own objects and those that only appear in vectors."""
