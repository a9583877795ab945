"""Commands as JSON for the database: what waits for a device must survive a restart unchanged."""

from typing import Any

from iiot.lwm2m.message import Attributes, Command, ObjectLink, Operation, Record, Value
from iiot.lwm2m.observe import given
from iiot.lwm2m.path import Path


def dump(command: Command) -> dict[str, Any]:
    """A command as what JSON can hold."""
    body: dict[str, Any] = {
        "operation": command.operation.value,
        "token": command.token,
        "path": None if command.path is None else command.path.ids,
        "paths": [path.ids for path in command.paths],
        "records": [(record.path.ids, _plain(record.value)) for record in command.records],
        "arguments": command.arguments,
        "depth": command.depth,
        "format": command.format,
        "path_format": command.path_format,
    }
    if command.attributes is not None:
        body["attributes"] = given(command.attributes) | dict.fromkeys(command.attributes.unset)
    return body


def load(body: dict[str, Any]) -> Command:
    """The inverse of `dump`."""
    attributes = body.get("attributes")
    return Command(
        operation=Operation(body["operation"]),
        token=body["token"],
        path=None if body["path"] is None else Path(tuple(body["path"])),
        paths=tuple(Path(tuple(ids)) for ids in body["paths"]),
        records=tuple(Record(Path(tuple(ids)), _value(value)) for ids, value in body["records"]),
        arguments=body["arguments"],
        attributes=None if attributes is None else Attributes.parse(attributes),
        depth=body["depth"],
        format=body["format"],
        path_format=body.get("path_format"),
    )


def _plain(value: Value | None) -> Any:
    if isinstance(value, bytes):
        return {"opaque": value.hex()}
    if isinstance(value, ObjectLink):
        return {"link": [value.object_id, value.instance_id]}
    return value


def _value(value: Any) -> Value | None:
    if isinstance(value, dict):
        return bytes.fromhex(value["opaque"]) if "opaque" in value else ObjectLink(*value["link"])
    plain: Value | None = value
    return plain
