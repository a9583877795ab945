"""SenML (RFC 8428) as LwM2M uses it: JSON 110, CBOR 112, ETCH formats 320 and 322 (Core 7.4.4, 7.4.5)."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cbor2
import orjson

from iiot.errors import DecodeError
from iiot.lwm2m.alternate_path import NONE, joined, without
from iiot.lwm2m.content import cbor
from iiot.lwm2m.datatypes import Type, coerce
from iiot.lwm2m.message import ObjectLink, Record, Value
from iiot.lwm2m.path import Path, parse_content

Label = str | int


@dataclass(frozen=True, slots=True)
class _Labels:
    bn: Label
    bt: Label
    bv: Label
    n: Label
    t: Label
    v: Label
    vs: Label
    vb: Label
    vd: Label
    vlo: Label = "vlo"


_JSON = _Labels("bn", "bt", "bv", "n", "t", "v", "vs", "vb", "vd")
_CBOR = _Labels(-2, -3, -5, 0, 6, 2, 3, 4, 8)


def encode_cbor(records: Sequence[Record], root: str = NONE) -> bytes:
    """Records as SenML CBOR, named below the alternate path `root`.

    A value of None is null, which in ETCH removes a resource instance.

    Raises:
        InvalidValueError: a value that CBOR cannot express here.
    """
    return cbor2.dumps(_pack(records, _CBOR, root))


def encode_json(records: Sequence[Record], root: str = NONE) -> bytes:
    """Records as SenML JSON, named below the alternate path `root`.

    Raises:
        InvalidValueError: a value that JSON cannot express.
    """
    return orjson.dumps(_pack(records, _JSON, root))


def encode_paths_cbor(paths: Iterable[Path], root: str = NONE) -> bytes:
    """What a composite request asks for, as SenML-ETCH CBOR."""
    return cbor2.dumps([{_CBOR.n: joined(root, path)} for path in paths])


def encode_paths_json(paths: Iterable[Path], root: str = NONE) -> bytes:
    """What a composite request asks for, as SenML-ETCH JSON."""
    return orjson.dumps([{_JSON.n: joined(root, path)} for path in paths])


def decode_cbor(payload: bytes, root: str | None = NONE) -> tuple[Record, ...]:
    """Records of a SenML CBOR pack; those that only name a path have no value.

    An alternate path before a name is taken off; None takes any.

    Raises:
        DecodeError: not such a pack.
        InvalidValueError: a name that is no path, or a wrong value.
    """
    return _unpack(cbor.load(payload), _CBOR, root)


def decode_json(payload: bytes, root: str | None = NONE) -> tuple[Record, ...]:
    """Records of a SenML JSON pack; see `decode_cbor`.

    Raises:
        DecodeError: not such a pack.
        InvalidValueError: a name that is no path, or a wrong value.
    """
    try:
        pack = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"not JSON: {error}") from error
    return _unpack(pack, _JSON, root)


def _pack(records: Sequence[Record], labels: _Labels, root: str) -> list[dict[Label, Any]]:
    base, above = _base(records), "" if root == NONE else root
    times = [record.time for record in records if record.time is not None]
    start = times[0] if len(times) == len(records) and times else None
    pack: list[dict[Label, Any]] = []
    for record in records:
        entry: dict[Label, Any] = {}
        if not pack and above + base:
            entry[labels.bn] = above + base
        if not pack and start is not None:
            entry[labels.bt] = _whole(start)
        name = str(record.path)[len(base) :]
        if name:
            entry[labels.n] = name
        offset = record.time - (start or 0) if record.time is not None else 0
        if offset:
            entry[labels.t] = _whole(offset)
        label, value = _labelled(record, labels)
        entry[label] = value
        pack.append(entry)
    return pack


def _base(records: Sequence[Record]) -> str:
    if len(records) == 1:
        return str(records[0].path)
    common = records[0].path.parent.ids if records else ()
    for record in records:
        ids = record.path.parent.ids
        while ids[: len(common)] != common:
            common = common[:-1]
    return f"{Path(common)}/" if common else ""


def _labelled(record: Record, labels: _Labels) -> tuple[Label, Any]:
    match record.value:
        case None:
            return labels.v, None
        case bool():
            return labels.vb, record.value
        case str():
            return labels.vs, record.value
        case bytes() if labels is _JSON:
            return labels.vd, base64.urlsafe_b64encode(record.value).rstrip(b"=").decode()
        case bytes():
            return labels.vd, record.value
        case ObjectLink():
            return labels.vlo, str(record.value)
        case _:
            return labels.v, cbor.plain(record.value, str(record.path))


def _unpack(pack: object, labels: _Labels, root: str | None) -> tuple[Record, ...]:
    if not isinstance(pack, list):
        raise DecodeError("not SenML: expected an array")
    base_name, base_time, base_value = "", None, None
    records = []
    for entry in pack:
        if not isinstance(entry, Mapping):
            raise DecodeError("not SenML: expected an array of maps")
        base_name = _text(entry, labels.bn, base_name)
        base_time = _number(entry, labels.bt, base_time)
        base_value = _number(entry, labels.bv, base_value)
        time = _number(entry, labels.t, None)
        if time is None:
            time = base_time
        elif base_time is not None:
            time += base_time
        path = parse_content(without(base_name + _text(entry, labels.n, ""), root))
        records.append(Record(path, _value(entry, labels, path, base_value), time))
    return tuple(records)


def _value(entry: Mapping[Any, Any], labels: _Labels, path: Path, base: float | None) -> Value | None:
    field = str(path)
    readers: list[tuple[Label, Callable[[Any], Value]]] = [
        (labels.v, lambda item: cbor.number(item) + (base or 0)),
        (labels.vs, lambda item: coerce(Type.STRING, item, field)),
        (labels.vb, lambda item: coerce(Type.BOOLEAN, item, field)),
        (labels.vd, lambda item: coerce(Type.OPAQUE, item, field)),
        (labels.vlo, lambda item: coerce(Type.OBJLNK, item, field)),
    ]
    found = [read(entry[label]) for label, read in readers if entry.get(label) is not None]
    if len(found) > 1:
        raise DecodeError(f"not SenML: {path} has {len(found)} values")
    if found and not path.is_value:
        raise DecodeError(f"not SenML: a value at {path}")
    return found[0] if found else None


def _text(entry: Mapping[Any, Any], label: Label, default: str) -> str:
    value = entry.get(label, default)
    if not isinstance(value, str) or len(value) > 255:
        raise DecodeError(f"not SenML: label {label!r} holds no name")
    return value


def _number(entry: Mapping[Any, Any], label: Label, default: float | None) -> float | None:
    value = entry.get(label)
    return default if value is None else cbor.number(value)


def _whole(number: float) -> int | float:
    return int(number) if float(number).is_integer() else number
