"""Names of content formats in parameters, as Leshan's demo server takes them: in any case, and by number."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, WithJsonSchema

from iiot.lwm2m.content import Format
from iiot.rest.allowed import ALLOWED

_OTHER_NAMES: Final = {
    # LwM2M 1.1 replaced OMA's own JSON by SenML JSON, and forbids clients to send it.
    Format.SENML_JSON: ("JSON", "11543", "1543"),
    Format.TLV: ("1542",),
}
_SENML: Final = (Format.SENML_JSON, Format.SENML_CBOR)
_ETCH: Final = (Format.SENML_ETCH_JSON, Format.SENML_ETCH_CBOR)
_ANY: Final = (Format.TEXT, Format.OPAQUE, Format.CBOR, Format.TLV, *_SENML, Format.LWM2M_CBOR, Format.LINK)


def _named(*formats: Format) -> dict[str, str]:
    return {
        name: form.name
        for form in formats
        for name in (form.name, str(int(form)), *_OTHER_NAMES.get(form, ()))
    }


def _canonical(known: dict[str, str]) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        name = known.get(value.upper()) if value and value.isascii() else None
        if value and name is None:
            raise ValueError(_told(known))
        return name

    return check


def _schema(known: dict[str, str]) -> dict[str, Any]:
    pattern = f"^({'|'.join(map(_in_any_case, known))})?$"
    return {"type": "string", "pattern": pattern, ALLOWED: _told(known)}


def _told(known: dict[str, str]) -> str:
    return ", ".join(dict.fromkeys(known.values()))


def _in_any_case(name: str) -> str:
    return "".join(f"[{letter}{letter.lower()}]" if letter.isalpha() else letter for letter in name)


_VALUES, _PATHS = _named(*_ANY), _named(*_SENML, *_ETCH)
_NODES, _WRITTEN = _named(*_SENML, Format.LWM2M_CBOR), _named(*_SENML, *_ETCH, Format.LWM2M_CBOR)

FormatName = Annotated[str | None, AfterValidator(_canonical(_VALUES)), WithJsonSchema(_schema(_VALUES))]
PathsFormat = Annotated[str | None, AfterValidator(_canonical(_PATHS)), WithJsonSchema(_schema(_PATHS))]
NodesFormat = Annotated[str | None, AfterValidator(_canonical(_NODES)), WithJsonSchema(_schema(_NODES))]
WrittenFormat = Annotated[str | None, AfterValidator(_canonical(_WRITTEN)), WithJsonSchema(_schema(_WRITTEN))]


def number_of(name: str | None) -> int | None:
    """The number of a format, None for none."""
    return None if name is None else int(Format[name])
