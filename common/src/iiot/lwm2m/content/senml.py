"""SenML (RFC 8428) as LwM2M uses it: JSON 110, CBOR 112, ETCH formats 320 and 322 (Core 7.4.4, 7.4.5)."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import cbor2
import orjson

from iiot import json_input
from iiot.errors import DecodeError, InvalidValueError, shown
from iiot.lwm2m.alternate_path import NONE, joined, without
from iiot.lwm2m.content import cbor
from iiot.lwm2m.datatypes import Type, coerce
from iiot.lwm2m.message import ObjectLink, Record, Value
from iiot.lwm2m.path import ROOT, Path, parse_content
from iiot.lwm2m.records import LATEST, bounded, faulty, sound

Label = str | int
_VERSION: Final = 10
"""Of SenML (RFC 8428 section 4.4): a pack of a later one must not be used."""


class _Labels(NamedTuple):
    bn: Label
    bt: Label
    bv: Label
    bver: Label
    n: Label
    t: Label
    v: Label
    vs: Label
    vb: Label
    vd: Label
    vlo: Label = "vlo"


_JSON = _Labels("bn", "bt", "bv", "bver", "n", "t", "v", "vs", "vb", "vd")
_CBOR = _Labels(-2, -3, -5, -1, 0, 6, 2, 3, 4, 8)
_TYPES: Final[dict[Label, Type]] = {
    **dict.fromkeys((_JSON.vs, _CBOR.vs), Type.STRING),
    **dict.fromkeys((_JSON.vb, _CBOR.vb), Type.BOOLEAN),
    **dict.fromkeys((_JSON.vd, _CBOR.vd), Type.OPAQUE),
    "vlo": Type.OBJLNK,
}


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


def decode_cbor(payload: bytes, root: str | None = NONE, *, keep_faults: bool = False) -> tuple[Record, ...]:
    """Records of a SenML CBOR pack; those that only name a path have no value.

    Args:
        payload: the pack.
        root: the alternate path, which is taken off names; None takes any.
        keep_faults: give records that cannot be used with their fault, instead of raising.

    Raises:
        DecodeError: not such a pack, or one of a later version, or with a field that must be understood.
        InvalidValueError: a name that is no path, or a wrong value.
    """
    return _read(cbor.load(payload), _CBOR, root, keep_faults)


def decode_json(payload: bytes, root: str | None = NONE, *, keep_faults: bool = False) -> tuple[Record, ...]:
    """Records of a SenML JSON pack; see `decode_cbor`."""
    return _read(json_input.loads(payload), _JSON, root, keep_faults)


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


def _read(pack: object, labels: _Labels, root: str | None, keep_faults: bool) -> tuple[Record, ...]:
    records = tuple(_unpack(pack, labels, root))
    return records if keep_faults else sound(records)


@dataclass(slots=True)
class _Base:
    """What base fields say for the records from theirs on."""

    name: str = ""
    time: float | None = None
    value: float | None = None

    def take(self, entry: Mapping[Any, Any], labels: _Labels) -> None:
        """Note the base fields of an entry; what they say wrong is wrong for the pack."""
        self.name = _text(entry, labels.bn, self.name)
        try:
            if entry.get(labels.bt) is not None:
                self.time = cbor.number(entry[labels.bt], "base time")
            if entry.get(labels.bv) is not None:
                self.value = cbor.number(entry[labels.bv], "base value")
            version = entry.get(labels.bver)
            if version is not None and not 0 < cbor.number(version, "version") <= _VERSION:
                raise DecodeError(
                    f"not SenML as it is understood here: version {shown(version)}, not {_VERSION}"
                )
        except InvalidValueError as error:
            raise DecodeError(f"not SenML: {error}") from error


def _unpack(pack: object, labels: _Labels, root: str | None) -> Iterable[Record]:
    if not isinstance(pack, list):
        raise DecodeError("not SenML: expected an array")
    bounded(pack, "SenML")
    base = _Base()
    known = frozenset(labels)
    for entry in pack:
        if not isinstance(entry, Mapping):
            raise DecodeError("not SenML: expected an array of maps")
        base.take(entry, labels)
        if not entry.keys() <= known:
            _check_labels(entry)
        name = without(base.name + _text(entry, labels.n, ""), root)
        try:
            path = parse_content(name)
        except InvalidValueError as error:
            yield faulty(ROOT, error)
            continue
        yield _record(entry, labels, path, base)


def _check_labels(entry: Mapping[Any, Any]) -> None:
    for label in entry:
        if isinstance(label, str) and label.endswith("_"):
            raise DecodeError(f"not SenML as it is understood here: field {shown(label)} must be understood")


def _record(entry: Mapping[Any, Any], labels: _Labels, path: Path, base: _Base) -> Record:
    try:
        time = _time(entry.get(labels.t), base.time, f"{path} time")
        return Record(path, _value(entry, labels, path, base.value), time)
    except InvalidValueError as error:
        return faulty(path, error)


def _time(item: object, base: float | None, field: str) -> float | None:
    time = base if item is None else cbor.number(item, field) + (base or 0)
    if time is None or abs(time) <= LATEST:
        return time
    raise InvalidValueError(field, time, f"seconds of at most {LATEST:.0f}")


def _value(entry: Mapping[Any, Any], labels: _Labels, path: Path, base: float | None) -> Value | None:
    found = [label for label in labels[6:] if entry.get(label) is not None]
    if not found:
        return None
    item, label, field = entry[found[0]], found[0], str(path)
    if len(found) > 1:
        raise InvalidValueError(field, [*found], "one value in a record")
    if not path.is_value:
        raise InvalidValueError(field, item, "no value: only resources and their instances hold one")
    if label == labels.v:
        number = cbor.number(item, field)
        return number if base is None else cbor.number(number + base, field)
    if isinstance(item, cbor.Unusable):
        raise InvalidValueError(field, item.what, item.allowed)
    return coerce(_TYPES[label], item, field)


def _text(entry: Mapping[Any, Any], label: Label, default: str) -> str:
    value = entry.get(label, default)
    if not isinstance(value, str) or len(value) > 255:
        raise DecodeError(f"not SenML: label {label!r} holds no name")
    return value


def _whole(number: float) -> int | float:
    return int(number) if float(number).is_integer() else number
