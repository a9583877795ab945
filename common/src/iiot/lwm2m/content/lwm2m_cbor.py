"""LwM2M CBOR, content format 11544: nested maps whose keys are ids or arrays of ids (Core 7.4.7)."""

from collections.abc import Iterable, Mapping
from typing import Any

import cbor2

from iiot.errors import DecodeError, InvalidValueError, shown
from iiot.lwm2m.content import cbor
from iiot.lwm2m.message import Record
from iiot.lwm2m.path import ROOT, Path, content_path
from iiot.lwm2m.records import bounded, faulty, sound


def encode(records: Iterable[Record]) -> bytes:
    """Records as the smallest tree: a chain of single children is one array key.

    Raises:
        InvalidValueError: a value that CBOR cannot express here.
    """
    tree: dict[int, Any] = {}
    for record in records:
        node = tree
        for number in record.path.ids[:-1]:
            node = node.setdefault(number, {})
        value = record.value
        node[record.path.ids[-1]] = None if value is None else cbor.plain(value, str(record.path))
    return cbor2.dumps(_shortened(tree))


def decode(payload: bytes, *, keep_faults: bool = False) -> tuple[Record, ...]:
    """Records of the tree; null is a record without a value.

    Args:
        payload: the tree.
        keep_faults: give records that cannot be used with their fault, instead of raising.

    Raises:
        DecodeError: not LwM2M CBOR.
        InvalidValueError: an id out of range, or a wrong value.
    """
    tree = cbor.load(payload)
    if not isinstance(tree, Mapping):
        raise DecodeError("not LwM2M CBOR: expected a map")
    bounded(tree, "LwM2M CBOR")
    records = tuple(_records((), tree))
    return records if keep_faults else sound(records)


def _shortened(tree: dict[int, Any]) -> dict[Any, Any]:
    short: dict[Any, Any] = {}
    for number, below in tree.items():
        ids = [number]
        while isinstance(below, dict) and len(below) == 1:
            ((child, below),) = below.items()
            ids.append(child)
        short[ids[0] if len(ids) == 1 else tuple(ids)] = (
            _shortened(below) if isinstance(below, dict) else below
        )
    return short


def _records(above: tuple[int, ...], tree: Mapping[object, object]) -> Iterable[Record]:
    for key, below in tree.items():
        ids = key if isinstance(key, tuple) else (key,)
        if not ids or not all(type(number) is int for number in ids):
            raise DecodeError(f"not LwM2M CBOR: key {shown(key)}")
        try:
            path = content_path((*above, *ids))
        except InvalidValueError as error:
            yield faulty(ROOT, error)
            continue
        if isinstance(below, Mapping):
            yield from _records(path.ids, below)
        elif path.is_value:
            yield _record(path, below)
        else:
            allowed = "a map: only resources and their instances hold values"
            yield faulty(path, InvalidValueError(str(path), below, allowed))


def _record(path: Path, item: object) -> Record:
    try:
        return Record(path, None if item is None else cbor.scalar(item, str(path)))
    except InvalidValueError as error:
        return faulty(path, error)
