"""OMA TLV, content format 11542 (Core 7.4.3): what LwM2M 1.0 clients speak."""

import math
import struct
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from iiot.budgets import RECORDS, BudgetError
from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m.datatypes import Type
from iiot.lwm2m.message import ObjectLink, Record, Value
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.path import Path, content_path
from iiot.lwm2m.records import by_child, faulty, sound

_INSTANCE: Final = 0
_RESOURCE_INSTANCE: Final = 1
_MULTIPLE: Final = 2
_RESOURCE: Final = 3
_TOP: Final = (_INSTANCE, _RESOURCE_INSTANCE, _MULTIPLE, _RESOURCE)
_IN_INSTANCE: Final = (_MULTIPLE, _RESOURCE)
_IN_MULTIPLE: Final = (_RESOURCE_INSTANCE,)
_MAX_LENGTH: Final = 0xFFFFFF


def encode(records: Iterable[Record], path: Path, definitions: Definitions) -> bytes:
    """Records below `path`, which the request named.

    Raises:
        InvalidValueError: a value of the wrong type.
        DecodeError: a value larger than 16 MiB.
    """
    found = [record for record in records if path.contains(record.path) and record.value is not None]
    if path.level == "object" and found and all(record.path.is_open for record in found):
        path = Path(found[0].path.ids[:2])  # an instance whose id the device picks is not named
    return b"".join(_encode_below(path, found, definitions))


def decode(
    payload: bytes, path: Path, definitions: Definitions, *, keep_faults: bool = False
) -> tuple[Record, ...]:
    """The records of a payload for a request to `path`; values of unknown resources stay bytes.

    Args:
        payload: the entries.
        path: what the request named.
        definitions: known objects.
        keep_faults: give records that cannot be used with their fault, instead of raising.

    Raises:
        BudgetError: too many entries.
        DecodeError: not TLV, or a level that does not belong below `path`.
        InvalidValueError: an id out of range, or a wrong value.
    """
    records: list[Record] = []
    for record in _decode_below(payload, path, definitions):
        records.append(record)
        if len(records) > RECORDS:
            raise BudgetError("records", RECORDS, "TLV")
    return tuple(records) if keep_faults else sound(tuple(records))


def _encode_below(path: Path, records: list[Record], definitions: Definitions) -> Iterator[bytes]:
    depth = len(path.ids)
    if depth >= 3:
        yield from _encode_resource(Path(path.ids[:3]), records, definitions)
        return
    for number, below in by_child(records, depth).items():
        child = Path((*path.ids, number))
        if depth == 2:
            yield from _encode_resource(child, below, definitions)
        else:
            body = b"".join(_encode_below(child, below, definitions))
            yield _entry(_INSTANCE, number, body) if depth == 1 else body


def _encode_resource(path: Path, records: list[Record], definitions: Definitions) -> Iterator[bytes]:
    instances = b""
    for record in records:
        body = _encode_value(record, definitions)
        if record.path == path:
            yield _entry(_RESOURCE, path.ids[2], body)
        else:
            instances += _entry(_RESOURCE_INSTANCE, record.path.ids[3], body)
    if instances:
        yield _entry(_MULTIPLE, path.ids[2], instances)


def _entry(kind: int, number: int, body: bytes) -> bytes:
    if len(body) > _MAX_LENGTH:
        raise DecodeError(f"a TLV value of {len(body)} bytes, at most {_MAX_LENGTH}")
    size = (len(body).bit_length() + 7) // 8 if len(body) > 7 else 0
    head = kind << 6 | (number > 255) << 5 | (size << 3 if size else len(body))
    length = len(body).to_bytes(size) if size else b""
    return bytes([head]) + number.to_bytes(2 if number > 255 else 1) + length + body


def _encode_value(record: Record, definitions: Definitions) -> bytes:
    value = definitions.typed(record.path, record.value)
    match value:
        case bool():
            return bytes([value])
        case float():
            return _float(value)
        case int():
            return _integer(value)
        case str():
            return value.encode()
        case ObjectLink():
            return struct.pack("!HH", value.object_id, value.instance_id)
        case _:
            return value


def _float(value: float) -> bytes:
    try:
        short = struct.pack("!f", value)
    except OverflowError:
        return struct.pack("!d", value)
    return short if struct.unpack("!f", short)[0] == value else struct.pack("!d", value)


def _integer(value: int) -> bytes:
    # Unsigned ones, too, get a leading 0 bit where there is room: peers exist that read them as signed.
    for size in (1, 2, 4):
        try:
            return value.to_bytes(size, signed=True)
        except OverflowError:
            continue
    return value.to_bytes(8, signed=value < 2**63)


def _entries(payload: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at < len(payload):
        head = payload[at]
        wide, size = head >> 5 & 1, head >> 3 & 3
        start = at + 2 + wide + size
        if start > len(payload):
            raise DecodeError("not TLV: cut short in a header")
        number = int.from_bytes(payload[at + 1 : at + 2 + wide])
        length = int.from_bytes(payload[at + 2 + wide : start]) if size else head & 7
        at = start + length
        if at > len(payload):
            raise DecodeError(f"not TLV: a length of {length} beyond the end")
        yield head >> 6, number, payload[start:at]


def _decode_below(
    payload: bytes, path: Path, definitions: Definitions, kinds: Collection[int] = _TOP
) -> Iterator[Record]:
    """Records of the entries; only these kinds may stand here, so that nesting ends."""
    for kind, number, body in _entries(payload):
        if kind not in kinds:
            raise DecodeError(f"not TLV for {path}: an entry of kind {kind}")
        if kind == _INSTANCE and path.level in ("object", "instance"):
            yield from _decode_below(body, content_path((path.ids[0], number)), definitions, _IN_INSTANCE)
        elif kind in _IN_INSTANCE:
            resource = content_path((*_instance_ids(path), number))
            if kind == _MULTIPLE:
                yield from _decode_below(body, resource, definitions, _IN_MULTIPLE)
            else:
                yield _record(resource, body, definitions)
        elif kind == _RESOURCE_INSTANCE and path.is_value:
            yield _record(content_path((*path.ids[:3], number)), body, definitions)
        else:
            raise DecodeError(f"not TLV for {path}: an entry of kind {kind}")


def _instance_ids(path: Path) -> tuple[int, ...]:
    # A single-instance object may leave its instance out when the object is read.
    if path.level == "root":
        raise DecodeError("not TLV: a resource without an object")
    return path.ids[:2] if len(path.ids) > 1 else (path.ids[0], 0)


def _record(path: Path, body: bytes, definitions: Definitions) -> Record:
    known = definitions.resource(path)
    kind = known.type if known else Type.OPAQUE
    value = _decode_value(body, kind)
    if value is None:
        return faulty(path, InvalidValueError(str(path), body, f"{kind}, as TLV writes it"))
    return Record(path, value)


def _decode_value(body: bytes, kind: Type) -> Value | None:
    match kind:
        case Type.OPAQUE | Type.NONE:
            return body
        case Type.STRING | Type.CORELNK:
            try:
                return body.decode()
            except UnicodeDecodeError:
                return None
        case Type.INTEGER | Type.TIME | Type.UNSIGNED if len(body) in (1, 2, 4, 8):
            return int.from_bytes(body, signed=kind is not Type.UNSIGNED)
        case Type.FLOAT if len(body) in (4, 8):
            (number,) = struct.unpack("!f" if len(body) == 4 else "!d", body)
            return float(number) if math.isfinite(number) else None
        case Type.BOOLEAN if body in (b"\0", b"\1"):
            return body == b"\1"
        case Type.OBJLNK if len(body) == 4:
            return ObjectLink(*struct.unpack("!HH", body))
    return None
