"""Whether a device's answer fits what it was asked."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from iiot.errors import DecodeError, IiotError, InvalidValueError
from iiot.lwm2m.message import SUCCESS, Code, Command, Operation, Response
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.path import Path
from iiot.lwm2m.records import absolute, outside, sound, unambiguous
from iiot.sparing import SparingLog
from iiot.telemetry import get_logger

_sparing = SparingLog(get_logger("lwm2m_server.operations"), time.monotonic)


def checked(
    command: Command, response: Response, profile: str, definitions: Definitions, now: float
) -> Response:
    """The answer, its values in the types of known resources; ranges are left aside, as in a Send.

    Args:
        command: what was asked.
        response: any answer; one that refuses fits always.
        profile: `json` or `oma`.
        definitions: known objects.
        now: s since 1970, for times of values that are relative.

    Raises:
        InvalidValueError: another code of success than the operation's, values or links that were not asked
            for, of the wrong type or twice, none where there must be one, or no location of what was created.
    """
    if not response.code.is_success:
        return response
    expected = SUCCESS[command.operation]
    if response.code is not expected:
        raise InvalidValueError("code", response.code.dotted, f"{expected.dotted}, or a code of refusal")
    response = replace(response, records=sound(absolute(unambiguous(response.records), now)))
    check = _CHECKS.get(command.operation)
    return response if check is None else check(command, response, profile, definitions)


def unintelligible(endpoint: str, token: str, error: Exception) -> Response:
    """What stands for an answer that makes no sense, or that our own code fails on."""
    if not isinstance(error, IiotError):
        _sparing.failure("answer_check_failed", error, endpoint=endpoint)
        error = DecodeError("the server failed on it")
    _sparing.warning("response_unintelligible", endpoint=endpoint, token=token[:40], error=str(error))
    reason = f"unintelligible response: {error}"
    return Response(token=token, code=Code.INTERNAL_SERVER_ERROR, error=reason)


def _values(command: Command, response: Response, _: str, definitions: Definitions) -> Response:
    asked = command.paths if command.path is None else (command.path,)
    _check_within(tuple(record.path for record in response.records), asked)
    empty = not response.records
    if empty and command.operation is Operation.READ and _holds_one(asked[0], definitions):
        raise InvalidValueError("values", None, f"the value of {asked[0]}")
    return replace(response, records=tuple(map(definitions.typed_record, response.records)))


def _links(command: Command, response: Response, _: str, __: Definitions) -> Response:
    if command.path is not None:
        _check_within(tuple(link.path for link in response.links), (command.path,))
    if not response.links and command.operation is Operation.DISCOVER:
        raise InvalidValueError("links", None, f"at least that to {command.path}")
    return response


def _location(command: Command, response: Response, profile: str, _: Definitions) -> Response:
    """The OMA binding has no field for a location: there the device tells it by its next Update."""
    wanted = next((Path(record.path.ids[:2]) for record in command.records if not record.path.is_open), None)
    location = response.location
    if location is None and wanted is None and profile == "json":
        raise InvalidValueError("location", None, "the path of the new instance")
    if location is not None:
        fits = command.path is None or (location.level == "instance" and command.path.contains(location))
        if not fits or wanted not in (None, location):
            allowed = f"an instance of {command.path}" if wanted is None else str(wanted)
            raise InvalidValueError("location", str(location), allowed)
    return response


def _check_within(paths: tuple[Path, ...], asked: tuple[Path, ...]) -> None:
    strange = outside(paths, asked)
    if strange is not None:
        raise InvalidValueError("path", str(strange), f"a path at or below {', '.join(map(str, asked))}")


def _holds_one(path: Path, definitions: Definitions) -> bool:
    known = definitions.resource(path)
    return path.level == "resource instance" or (known is not None and not known.multiple)


_Check = Callable[[Command, Response, str, Definitions], Response]
_CHECKS: Final[dict[Operation, _Check]] = {
    Operation.READ: _values,
    Operation.READ_COMPOSITE: _values,
    Operation.OBSERVE: _values,
    Operation.OBSERVE_COMPOSITE: _values,
    Operation.BOOTSTRAP_READ: _values,
    Operation.DISCOVER: _links,
    Operation.BOOTSTRAP_DISCOVER: _links,
    Operation.CREATE: _location,
}
"""What beside the code has to fit; the answers to other operations carry nothing that is looked at."""
