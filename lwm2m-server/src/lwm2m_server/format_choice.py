"""Which content format the server writes in (Core 7.4): one that the device says it speaks."""

from collections.abc import Sequence
from typing import Final

from iiot.lwm2m.content import Format
from iiot.lwm2m.message import Command, Operation

_SEVERAL: Final = (Format.SENML_CBOR, Format.LWM2M_CBOR, Format.TLV, Format.SENML_JSON)
_COMPOSITE: Final = (Format.SENML_CBOR, Format.LWM2M_CBOR, Format.SENML_JSON)
_REMOVING: Final = (Format.SENML_ETCH_CBOR, Format.SENML_ETCH_JSON)
_SPOKEN_WITH: Final = {
    Format.SENML_ETCH_CBOR: Format.SENML_CBOR,
    Format.SENML_ETCH_JSON: Format.SENML_JSON,
}
"""Devices list the SenML formats, and seldom those for composite requests beside them."""


def choose(command: Command, spoken: Sequence[int] = ()) -> Format:
    """The format for what a command writes.

    Args:
        command: with records.
        spoken: the formats of the device's `ct`; none when it does not say.
    """
    suitable = _suitable(command)
    known = [form for form in suitable if form in spoken or _SPOKEN_WITH.get(form) in spoken]
    return (known or suitable)[0]


def _suitable(command: Command) -> tuple[Format, ...]:
    first = command.records[0]
    if len(command.records) == 1 and first.path == command.path and first.path.is_value:
        plain = Format.OPAQUE if isinstance(first.value, bytes) else Format.TEXT
        return (plain, Format.CBOR, *_SEVERAL)
    if command.operation is not Operation.WRITE_COMPOSITE:
        return _SEVERAL
    return _REMOVING if any(record.value is None for record in command.records) else _COMPOSITE
