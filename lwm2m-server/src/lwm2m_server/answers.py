"""Devices' answers as JSON, in the shape of Leshan's demo server."""

from typing import Any, Final

from aiohttp import web

from iiot.lwm2m.message import Code, Command, Link, Operation, Refusal, Response
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.path import Path
from iiot.telemetry import problem
from lwm2m_server.nodes import to_node, to_nodes

_STATUS: Final = {
    Code.UNAUTHORIZED: 403,  # 401 is about the token of this API
    Code.REQUEST_ENTITY_INCOMPLETE: 400,  # clients repeat a request that got 408
    Code.INTERNAL_SERVER_ERROR: 502,  # the device's failure, not the server's
}
_SINGLE: Final = (Operation.READ, Operation.OBSERVE, Operation.BOOTSTRAP_READ)
_LINKS: Final = (Operation.DISCOVER, Operation.BOOTSTRAP_DISCOVER)
_COMPOSITE: Final = (Operation.READ_COMPOSITE, Operation.OBSERVE_COMPOSITE)


def answer(command: Command, response: Response, definitions: Definitions) -> dict[str, Any]:
    """The answer to a command, whatever its code."""
    success = response.code.is_success
    told: dict[str, Any] = {
        "status": f"{response.code.name}({response.code.value})",
        "valid": True,
        "success": success,
        "failure": not success,
    }
    if response.error is not None:
        told["errormessage"] = str(response.error)
    if not success:
        return told
    if command.operation in _SINGLE and command.path is not None:
        told["content"] = to_node(command.path, response.records, definitions)
    elif command.operation in _COMPOSITE:
        told["content"] = to_nodes(command.paths, response.records, definitions)
    elif command.operation in _LINKS:
        told["objectLinks"] = links(response.links)
    elif command.operation is Operation.CREATE:
        location = response.location or _named(command)
        told |= {} if location is None else {"location": str(location)}
    return told


def _named(command: Command) -> Path | None:
    """The instance that a Create asks for; None when it leaves the choice to the device."""
    instances = {Path(record.path.ids[:2]) for record in command.records}
    return next((path for path in instances if not path.is_open), None) if len(instances) == 1 else None


def links(found: tuple[Link, ...]) -> list[dict[str, Any]]:
    """Links with their attributes, which Leshan gives as text, numbers as well."""
    return [
        {
            "url": str(link.path),
            "attributes": {name: _attribute(value) for name, value in link.attributes.items()},
        }
        for link in found
    ]


def _attribute(value: str | float | bool | None) -> str | None:
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:.15g}" if isinstance(value, float) else value if value is None else str(value)


def refusal(endpoint: str, response: Response) -> web.HTTPException:
    """A device's refusal as a problem: its code, and a status that HTTP clients understand."""
    code, error = response.code, response.error
    detail = str(error) if error is not None else f"{endpoint} answered {code.dotted}"
    extra: dict[str, object] = {"code": code.dotted, "codeName": code.name, "endpoint": endpoint}
    if isinstance(error, Refusal):
        value = error.value
        plain = value is None or isinstance(value, bool | int | float)
        shown = value if plain else str(value)[:100]
        extra |= {"field": error.field, "value": shown, "allowed": error.allowed}
    return problem(_STATUS.get(code, int(code)), detail, **extra)
