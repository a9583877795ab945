"""Values of the resource tree as JSON nodes, in the shape of Leshan's demo server.

A resource is `{"kind":"singleResource","id":9,"type":"INTEGER","value":"85"}`: integers and floats are
strings there, since JavaScript's numbers end at 2^53, and opaque values are hexadecimal.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from iiot.errors import InvalidValueError
from iiot.lwm2m.content import text
from iiot.lwm2m.datatypes import CALENDAR, Type
from iiot.lwm2m.message import ObjectLink, Record, Value
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.path import MAX_ID, Path
from iiot.lwm2m.records import by_child, distinct

TYPES = {
    Type.STRING: "STRING",
    Type.INTEGER: "INTEGER",
    Type.UNSIGNED: "UNSIGNED_INTEGER",
    Type.FLOAT: "FLOAT",
    Type.BOOLEAN: "BOOLEAN",
    Type.OPAQUE: "OPAQUE",
    Type.TIME: "TIME",
    Type.OBJLNK: "OBJLNK",
    Type.CORELNK: "CORELINK",
    Type.NONE: "NONE",
}
_NAMED = {name.lower(): kind for kind, name in TYPES.items() if kind is not Type.NONE}
_LEAST_MS = 10**11
"""Leshan's nodes hold times in ms; as seconds a number this large would be beyond the year 5000."""
_ABOVE_VALUES = {
    "root": ("root", "objects"), "object": ("obj", "instances"), "instance": ("instance", "resources"),
}  # fmt: skip
"""Kind of a node above the resources, and where it lists those below it."""
_NODE = 'a JSON value, or {"id", "kind", "value"|"values"|"resources"}'


def to_node(path: Path, records: Iterable[Record], definitions: Definitions) -> dict[str, Any]:
    """The node at `path` with what the records hold."""
    return _node(path, [record for record in records if path.contains(record.path)], definitions)


def to_nodes(
    paths: Iterable[Path], records: Iterable[Record], definitions: Definitions
) -> dict[str, dict[str, Any]]:
    """The nodes at several paths, which may overlap, by path."""
    below: dict[tuple[int, ...], list[Record]] = {path.ids: [] for path in paths}
    for record in records:
        ids = record.path.ids
        for depth in range(len(ids) + 1):
            if ids[:depth] in below:
                below[ids[:depth]].append(record)
    return {str(Path(ids)): _node(Path(ids), found, definitions) for ids, found in below.items()}


def _node(path: Path, below: list[Record], definitions: Definitions) -> dict[str, Any]:
    if path.is_value:
        return _resource_node(path, below, definitions)
    found = by_child(below, len(path.ids))
    children = [_node(path / number, records, definitions) for number, records in found.items()]
    kind, field = _ABOVE_VALUES[path.level]
    return {"kind": kind, **({"id": path.ids[-1]} if path.ids else {}), field: children}


def from_body(path: Path, body: object, definitions: Definitions) -> tuple[Record, ...]:
    """The records that a request body wants written at `path`.

    Args:
        path: an object instance, resource or resource instance.
        body: a node, a bare JSON value for a resource, or text (str) as plain text content.
        definitions: known objects, for types and ranges.

    Raises:
        InvalidValueError: no such node, two values for one place, or a value of the wrong type or out of
            range.
    """
    if isinstance(body, Mapping):
        return _distinct(_from_node(path, body, definitions))
    return (Record(path, _value(path, body, definitions)),)


def created(
    object_id: int, instance_id: int | None, body: object, definitions: Definitions
) -> tuple[Record, ...]:
    """The records of an instance to be created; without an id the device chooses one.

    Args:
        object_id: the object.
        instance_id: the id that the URL names, None when it names none.
        body: `{"id": 1, "resources": [...]}`; the id may be missing.
        definitions: known objects, for types and ranges.

    Raises:
        InvalidValueError: no such node, two different ids, or a wrong value.
    """
    if not isinstance(body, Mapping):
        raise InvalidValueError("body", body, '{"id", "resources"}')
    named = _id(body) if body.get("id") is not None else None
    if instance_id is not None and named not in (None, instance_id):
        raise InvalidValueError("id", named, f"{instance_id}, as in the URL")
    number = instance_id if instance_id is not None else named
    path = Path((object_id, MAX_ID if number is None else number))
    return _distinct(_from_node(path, {"resources": [], **body}, definitions))


def from_paths(body: object, definitions: Definitions) -> tuple[Record, ...]:
    """The records of a composite write: `{path: node or value}`; null removes a resource instance.

    Raises:
        InvalidValueError: no such node, or a wrong value.
    """
    if not isinstance(body, Mapping) or not body:
        raise InvalidValueError("body", body, "{path: node or value}")
    records: list[Record] = []
    for name, node in body.items():
        path = Path.parse(name)
        if path.level in ("root", "object"):
            raise InvalidValueError("path", name, "paths of instances, resources and resource instances")
        if node is None and path.level == "resource instance":
            records.append(Record(path))
        else:
            records += from_body(path, node, definitions)
    return _distinct(records)


def _distinct(records: Iterable[Record]) -> tuple[Record, ...]:
    found = tuple(records)
    distinct(found)
    return found


def _from_node(path: Path, node: Mapping[str, Any], definitions: Definitions) -> Iterable[Record]:
    if path.level == "instance":
        for entry in _list(node, "resources"):
            yield from _from_node(Path((*path.ids, _id(entry))), entry, definitions)
    elif "values" in node and path.level == "resource":
        values = node["values"]
        if not isinstance(values, Mapping):
            raise InvalidValueError("values", values, "an object of resource instances")
        for number, value in values.items():
            child = Path((*path.ids, _instance_id(number)))
            yield Record(child, _value(child, value, definitions, node.get("type")))
    elif "value" in node:
        yield Record(path, _value(path, node["value"], definitions, node.get("type")))
    else:
        raise InvalidValueError(str(path), dict(node), _NODE)


def _value(path: Path, value: object, definitions: Definitions, named: object = None) -> Value:
    if not path.is_value:
        raise InvalidValueError(str(path), value, _NODE)
    resource = definitions.resource(path)
    kind = resource.type if resource else _NAMED.get(named.lower()) if isinstance(named, str) else None
    parsed = _parsed(value, kind, str(path))
    if resource is not None:
        return resource.check(parsed, str(path))
    if isinstance(parsed, bool | int | float | str | bytes | ObjectLink):
        return parsed
    raise InvalidValueError(str(path), value, "a string, number or boolean")


def _parsed(value: object, kind: Type | None, field: str) -> object:
    if isinstance(value, Mapping) and kind is Type.OBJLNK:
        return f"{value.get('objectId')}:{value.get('objectInstanceId')}"
    if kind is Type.TIME and type(value) is int and abs(value) >= _LEAST_MS:
        return value // 1000
    if not isinstance(value, str) or kind is None:
        return value
    if kind is Type.OPAQUE:
        try:
            return bytes.fromhex(value)
        except ValueError:
            return value
    return text.decode(value, kind, field)


def _resource_node(path: Path, records: list[Record], definitions: Definitions) -> dict[str, Any]:
    known = definitions.resource(path)
    kinds = [known.type if known else _guess(record.value) for record in records]
    none = known.type if known else Type.STRING
    head: dict[str, Any] = {"id": path.ids[-1], "type": TYPES[kinds[0] if kinds else none]}
    values = {record.path: shown(record.value, kind) for record, kind in zip(records, kinds, strict=True)}
    if path.level == "resource instance":
        return {"kind": "resourceInstance", **head, "value": values.get(path)}
    if path in values or (known is not None and not known.multiple and not values):
        return {"kind": "singleResource", **head, "value": values.get(path)}
    return {"kind": "multiResource", **head, "values": {str(p.ids[-1]): value for p, value in values.items()}}


def shown(value: Value | None, kind: Type | None) -> object:
    """A value as nodes show it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, ObjectLink):
        return {"objectId": value.object_id, "objectInstanceId": value.instance_id}
    if kind is Type.TIME and type(value) is int and value in CALENDAR:
        return datetime.fromtimestamp(value, UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _guess(value: Value | None) -> Type:
    kinds: dict[type[object], Type] = {
        bool: Type.BOOLEAN, int: Type.INTEGER, float: Type.FLOAT, bytes: Type.OPAQUE, ObjectLink: Type.OBJLNK,
    }  # fmt: skip
    return kinds.get(type(value), Type.STRING)


def _list(node: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    entries = node.get(field)
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise InvalidValueError(field, entries, "a list of nodes")
    return entries


def _instance_id(number: str) -> int:
    if number.isascii() and number.isdigit() and len(number) <= 5 and int(number) < MAX_ID:
        return int(number)
    raise InvalidValueError("values", number, f"ids from 0 to {MAX_ID - 1}")


def _id(node: Mapping[str, Any]) -> int:
    number = node.get("id")
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < MAX_ID:
        return number
    raise InvalidValueError("id", number, f"an integer from 0 to {MAX_ID - 1}")
