"""When a Register or an Update is accepted (Core 6.2): one check for all who tell what is registered."""

from typing import Final

from iiot.errors import IiotError, InvalidValueError
from iiot.lwm2m.message import Code, Refusal, Register, Update
from iiot.lwm2m.model import Definitions

VERSIONS: Final = ("1.0", "1.1", "1.2")
"""LwM2M versions whose devices may register."""
MAX_LIFETIME: Final = 2**32 - 1
"""Longest lifetime in s; 0 never expires."""
_BINDINGS: Final = frozenset("UMHTSNQ")


class RefusedError(IiotError):
    """A message of a device is refused.

    Attributes:
        code, reason: what the device is answered.
    """

    def __init__(self, code: Code, reason: str | Refusal) -> None:
        super().__init__(f"{code.dotted}: {reason}")
        self.code, self.reason = code, reason


def check_binding(binding: str | None, field: str) -> str | None:
    """A binding mode, or None (Core 5.3.1.1).

    Raises:
        InvalidValueError: not letters of transports, each once, with or without Q; names `field`.
    """
    if binding is not None and (
        not set(binding) <= _BINDINGS or len(set(binding)) != len(binding) or not binding.replace("Q", "")
    ):
        raise InvalidValueError(field, binding, "letters of UMHTSNQ, each once, and not Q alone")
    return binding


def check(message: Register | Update, profile: str, definitions: Definitions) -> None:
    """Refuse what the decoder of the profile, `json` or `oma`, could not know to be wrong.

    Raises:
        RefusedError: a version that the server does not speak, no objects where there must be some, or a
            value of the wrong type.
    """
    try:
        for record in message.records:
            definitions.typed(record.path, record.value)
    except InvalidValueError as error:
        raise RefusedError(Code.BAD_REQUEST, Refusal.of(error)) from error
    if isinstance(message, Update):
        if message.links == ():
            allowed = "the complete list of objects, or none at all when nothing changed"
            raise RefusedError(Code.BAD_REQUEST, Refusal("objects", "an empty list", allowed))
        return
    if profile == "oma" and not message.links and message.profile_id is None:
        raise RefusedError(Code.CONFLICT, "a Register lists the objects of the device")
    if message.version not in VERSIONS:
        refusal = Refusal("version", message.version, ", ".join(VERSIONS))
        raise RefusedError(Code.PRECONDITION_FAILED, refusal)
