"""Whether a device's answer fits what it was asked."""

import time
from dataclasses import replace
from typing import Final

from iiot.errors import IiotError, InvalidValueError
from iiot.lwm2m.message import Code, Command, Operation, Record, Response
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.path import Path
from iiot.sparing import SparingLog
from iiot.telemetry import get_logger

_SINGLE: Final = (Operation.READ, Operation.OBSERVE, Operation.BOOTSTRAP_READ)
_COMPOSITE: Final = (Operation.READ_COMPOSITE, Operation.OBSERVE_COMPOSITE)


_sparing = SparingLog(get_logger("lwm2m_server.operations"), time.monotonic)


def checked(endpoint: str, command: Command, response: Response, definitions: Definitions) -> Response:
    """The answer, its values in the types of known resources; ranges are left aside, as in a Send.

    A value of the wrong type, one that was not asked for, or none where one was, make it unintelligible.
    """
    try:
        return _checked(command, response, definitions) if response.code.is_success else response
    except InvalidValueError as error:
        return unintelligible(endpoint, response.token, error)


def unintelligible(endpoint: str, token: str, error: IiotError) -> Response:
    """What stands for an answer that makes no sense."""
    _sparing.warning("response_unintelligible", endpoint=endpoint, token=token[:40], error=str(error))
    reason = f"unintelligible response: {error}"
    return Response(token=token, code=Code.INTERNAL_SERVER_ERROR, error=reason)


def _checked(command: Command, response: Response, definitions: Definitions) -> Response:
    asked = _asked(command)
    for record in response.records:
        if asked and not any(path.contains(record.path) for path in asked):
            allowed = f"a path at or below {', '.join(map(str, asked))}"
            raise InvalidValueError("path", str(record.path), allowed)
    empty = response.code is Code.CONTENT and not response.records
    if empty and command.operation is Operation.READ and _holds_one(asked[0], definitions):
        raise InvalidValueError("values", None, f"the value of {asked[0]}")
    return replace(response, records=tuple(_typed(record, definitions) for record in response.records))


def _asked(command: Command) -> tuple[Path, ...]:
    if command.operation in _COMPOSITE:
        return command.paths
    return (command.path,) if command.operation in _SINGLE and command.path is not None else ()


def _holds_one(path: Path, definitions: Definitions) -> bool:
    known = definitions.resource(path)
    return path.level == "resource instance" or (known is not None and not known.multiple)


def _typed(record: Record, definitions: Definitions) -> Record:
    if record.value is None:
        return record
    return replace(record, value=definitions.typed(record.path, record.value))
