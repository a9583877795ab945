"""Names of content formats in parameters, as Leshan's demo server takes them: in any case, and by number."""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator

from iiot.lwm2m.content import Format

_OMA_JSON: Final = Format.SENML_JSON.name
"""LwM2M 1.1 replaced OMA's own JSON by SenML JSON, and forbids clients to send it."""
_NAMES: Final = {
    **{known.name: known.name for known in Format},
    **{str(int(known)): known.name for known in Format},
    **dict.fromkeys(("JSON", "11543", "1543"), _OMA_JSON),
    "1542": Format.TLV.name,
}


def _canonical(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _NAMES.get(value.strip().upper(), value) if value else None


FormatName = Annotated[
    Literal["TEXT", "LINK", "OPAQUE", "CBOR", "SENML_JSON", "SENML_CBOR", "TLV", "LWM2M_CBOR"] | None,
    BeforeValidator(_canonical),
]
PathsFormat = Annotated[
    Literal["SENML_JSON", "SENML_CBOR", "SENML_ETCH_JSON", "SENML_ETCH_CBOR"] | None,
    BeforeValidator(_canonical),
]
NodesFormat = Annotated[Literal["SENML_JSON", "SENML_CBOR", "LWM2M_CBOR"] | None, BeforeValidator(_canonical)]
WrittenFormat = Annotated[
    Literal["SENML_JSON", "SENML_CBOR", "SENML_ETCH_JSON", "SENML_ETCH_CBOR", "LWM2M_CBOR"] | None,
    BeforeValidator(_canonical),
]


def number_of(name: str | None) -> int | None:
    """The number of a format, None for none."""
    return None if name is None else int(Format[name])
