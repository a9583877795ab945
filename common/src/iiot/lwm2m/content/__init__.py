"""The content formats of LwM2M payloads (Core 7.4): each a codec between bytes and records.

Output is strict; input is taken as the world's clients write it: any width of number, indefinite
CBOR, either alphabet of base64, blanks between links.
"""

from collections.abc import Sequence
from enum import IntEnum

from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m.alternate_path import NONE
from iiot.lwm2m.content import cbor, lwm2m_cbor, senml, text, tlv
from iiot.lwm2m.datatypes import Type
from iiot.lwm2m.message import Content, Record, Value
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.path import Path
from iiot.lwm2m.records import checked, distinct, sound, unambiguous


class Format(IntEnum):
    """Content-Format numbers (IANA CoAP Content-Formats)."""

    TEXT = 0
    LINK = 40
    OPAQUE = 42
    CBOR = 60
    SENML_JSON = 110
    SENML_CBOR = 112
    SENML_ETCH_JSON = 320
    SENML_ETCH_CBOR = 322
    TLV = 11542
    LWM2M_CBOR = 11544


SINGLE = (Format.TEXT, Format.OPAQUE, Format.CBOR)
"""Formats that hold the value of one resource or resource instance."""


def encode(
    form: Format, records: Sequence[Record], path: Path, definitions: Definitions, root: str = NONE
) -> bytes:
    """Records as a payload for (or from) a request to `path`, of a device with the alternate path `root`.

    Raises:
        InvalidValueError: the format cannot express them, two are for the same place, or a value has the
            wrong type.
        DecodeError: a value is too large for the format.
    """
    distinct(records)
    if form in SINGLE:
        return _encode_single(form, records, path, definitions)
    match form:
        case Format.SENML_JSON | Format.SENML_ETCH_JSON:
            return senml.encode_json(records, root)
        case Format.SENML_CBOR | Format.SENML_ETCH_CBOR:
            return senml.encode_cbor(records, root)
        case Format.TLV:
            return tlv.encode(records, path, definitions)
        case Format.LWM2M_CBOR:
            return lwm2m_cbor.encode(records)
    raise InvalidValueError("format", int(form), "one that carries values")


def decode(
    content: Content,
    path: Path,
    definitions: Definitions,
    root: str | None = NONE,
    *,
    keep_faults: bool = False,
) -> tuple[Record, ...]:
    """Records of a payload for (or from) a request to `path`, in the types of known resources.

    A record of which only the path is there has no value. Without a format, plain text is assumed. The
    instance id 65535 is legal where `path` has it, too: in a Create that leaves the choice to the device.

    Args:
        content: format and payload.
        path: what the request names.
        definitions: known objects.
        root: the alternate path, which is taken off names; None takes any.
        keep_faults: give records that cannot be used with their fault, instead of raising: of what a device
            reports, one wrong value does not spoil the others.

    Raises:
        DecodeError: the payload is not of its format.
        InvalidValueError: an unknown format, a wrong path, a value of the wrong type, two values for one
            place.
    """

    def typed(record: Record) -> Record:
        if record.path.is_open and not path.is_open:
            raise InvalidValueError("path", str(record.path), "instance ids 0..65534, but in a Create")
        return definitions.typed_record(record)

    records = unambiguous(checked(_decode(content, path, definitions, root), typed))
    return records if keep_faults else sound(records)


def _decode(content: Content, path: Path, definitions: Definitions, root: str | None) -> tuple[Record, ...]:
    try:
        form = Format(content.format or 0)
    except ValueError as error:
        allowed = ", ".join(str(int(known)) for known in Format)
        raise InvalidValueError("format", content.format, allowed) from error
    if form in SINGLE:
        return (Record(path, _decode_single(form, content.payload, path, definitions)),)
    match form:
        case Format.SENML_JSON | Format.SENML_ETCH_JSON:
            return senml.decode_json(content.payload, root, keep_faults=True)
        case Format.SENML_CBOR | Format.SENML_ETCH_CBOR:
            return senml.decode_cbor(content.payload, root, keep_faults=True)
        case Format.TLV:
            return tlv.decode(content.payload, path, definitions, keep_faults=True)
        case Format.LWM2M_CBOR:
            return lwm2m_cbor.decode(content.payload, keep_faults=True)
    raise DecodeError(f"format {form} carries no values")


def _encode_single(form: Format, records: Sequence[Record], path: Path, definitions: Definitions) -> bytes:
    # Of the one value below a path that may have several, nobody could tell which it is.
    if len(records) != 1 or records[0].value is None or records[0].path != path:
        raise InvalidValueError(
            "format", int(form), "for the value of its path; choose 110, 112, 11542 or 11544"
        )
    value = definitions.typed(path, records[0].value)
    if form is Format.OPAQUE:
        if not isinstance(value, bytes):
            raise InvalidValueError(str(path), value, "an opaque value, for format 42")
        return value
    if form is Format.TEXT:
        return text.encode(value).encode()
    known = definitions.resource(path)
    return cbor.encode(value, str(path), is_time=known is not None and known.type is Type.TIME)


def _decode_single(form: Format, payload: bytes, path: Path, definitions: Definitions) -> Value:
    if not path.is_value:
        raise DecodeError(f"format {form} holds one value, and {path} may hold many")
    if form is Format.OPAQUE:
        return definitions.typed(path, payload)
    if form is Format.CBOR:
        return definitions.typed(path, cbor.scalar(cbor.load(payload), str(path)))
    known = definitions.resource(path)
    try:
        return text.decode(payload.decode(), known.type if known else Type.STRING, str(path))
    except UnicodeDecodeError as error:
        raise DecodeError(f"{path}: not UTF-8 text") from error
