"""Sparkplug B payloads: metrics, templates, and their bytes (specification 3.0, section 6.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from google.protobuf.message import DecodeError as ProtobufDecodeError

from iiot._pb.sparkplug_b_pb2 import Payload as _Pb
from iiot.errors import DecodeError, InvalidValueError
from iiot.sparkplug.composite import (
    DataSet,
    MetaData,
    PropertySet,
    decode_dataset,
    decode_metadata,
    decode_properties,
    encode_dataset,
    encode_metadata,
    encode_properties,
    text,
)
from iiot.sparkplug.compression import ENVELOPE, decompress
from iiot.sparkplug.datatypes import CARRIERS, DataType, ScalarValue, datatype_of, decode_value, encode_value

BD_SEQ = "bdSeq"
REBIRTH = "Node Control/Rebirth"
NEXT_SERVER = "Node Control/Next Server"


@dataclass(slots=True)
class Parameter:
    """A parameter of a template."""

    name: str
    datatype: DataType
    value: ScalarValue | None = None


@dataclass(slots=True)
class Template:
    """A user-defined type (`is_definition`, NBIRTH only) or an instance of the definition `ref`."""

    metrics: list[Metric] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)
    ref: str | None = None
    version: str | None = None
    is_definition: bool = False


Value: TypeAlias = ScalarValue | DataSet | Template


@dataclass(slots=True)
class Metric:
    """One metric of a message.

    Attributes:
        name: None in a message that uses the alias alone.
        value: None for null. Read from a message without datatypes (DATA, CMD), a plain value is
            what its carrier held, an unsigned number for instance, until `resolve` is called.
        datatype: None where the message does not say; needed for encoding.
        timestamp: acquisition time, UTC, ms since 1970.
        alias: a number that stands for the name; unique over an edge node and all its devices.
        is_historical: the value was stored, and is not the current one.
        is_transient: the value is not meant for a historian.
        fault: why the value that came cannot be used; `value` is None then, and its quality is bad.
    """

    name: str | None
    value: Value | None = None
    datatype: DataType | None = None
    timestamp: int | None = None
    alias: int | None = None
    is_historical: bool = False
    is_transient: bool = False
    properties: PropertySet | None = None
    metadata: MetaData | None = None
    fault: str | None = None

    def resolve(self, name: str, datatype: DataType) -> None:
        """Complete a metric of a DATA or CMD message with what the birth said.

        Raises:
            DecodeError: the value does not fit the datatype of the birth.
        """
        if self.datatype is None:
            self.value = typed_value(datatype, self.value)
            self.datatype = datatype
        self.name = name


@dataclass(slots=True)
class Payload:
    """A message's content. `seq` and `timestamp` are None where the message has none."""

    timestamp: int | None = None
    metrics: list[Metric] = field(default_factory=list)
    seq: int | None = None
    uuid: str | None = None
    body: bytes | None = None


def typed_value(datatype: DataType, raw: Value | None) -> Value | None:
    """Interpret a value that was read without its datatype.

    Raises:
        DecodeError: the value does not fit the datatype.
    """
    if raw is None:
        return None
    if datatype not in _COMPOSITE:
        return decode_value(datatype, raw)
    if not isinstance(raw, DataSet if datatype is DataType.DATA_SET else Template):
        raise DecodeError(f"{raw!r:.80} is not a {datatype.label}")
    return raw


_COMPOSITE = (DataType.DATA_SET, DataType.TEMPLATE)


def encode_payload(payload: Payload, *, with_datatypes: bool = True) -> bytes:
    """Serialize a payload.

    Births say every metric's datatype; DATA and CMD messages should not (`with_datatypes=False`),
    but each metric with a value needs its `datatype` here all the same.

    Raises:
        InvalidValueError: a metric has neither name nor alias, or a value does not fit its datatype.
    """
    message = _Pb()
    if payload.timestamp is not None:
        message.timestamp = payload.timestamp
    if payload.seq is not None:
        message.seq = payload.seq
    if payload.uuid is not None:
        message.uuid = payload.uuid
    if payload.body is not None:
        message.body = payload.body
    for metric in payload.metrics:
        _encode_metric(metric, message.metrics.add(), with_datatypes)
    return message.SerializeToString()


def decode_payload(data: bytes) -> Payload:
    """Read a payload, accepting the variants that peers are known to send.

    Raises:
        DecodeError: not a Sparkplug B payload, or a value does not fit its datatype.
    """
    return _decode(read_message(data))


def decode_command(data: bytes) -> Payload:
    """Read a command: integers stay as their carriers hold them, so that those too large are seen, not cut.

    Raises:
        DecodeError: not a Sparkplug B payload, or a value is of another kind than its datatype.
    """
    message = read_message(data)
    payload = _decode(message)
    for metric, sent in zip(payload.metrics, message.metrics, strict=True):
        if type(metric.value) is int:
            metric.value = getattr(sent, sent.WhichOneof("value"))
    return payload


def _decode(message: _Pb) -> Payload:
    return Payload(
        timestamp=message.timestamp if message.HasField("timestamp") else None,
        metrics=[_decode_metric(metric) for metric in message.metrics],
        seq=message.seq if message.HasField("seq") else None,
        uuid=text(message.uuid) if message.HasField("uuid") else None,
        body=message.body if message.HasField("body") else None,
    )


def read_message(data: bytes) -> _Pb:
    """Parse the protobuf message, taken out of its envelope if it is compressed.

    Raises:
        DecodeError: not a Sparkplug B payload.
    """
    try:
        message = _Pb.FromString(data)
        if message.uuid != ENVELOPE:
            return message
        content = _Pb.FromString(decompress(message.body))
    except ProtobufDecodeError as exc:
        raise DecodeError(f"not a Sparkplug B payload: {exc}") from None
    for name in ("timestamp", "seq"):
        if message.HasField(name) and not content.HasField(name):
            setattr(content, name, getattr(message, name))
    return content


def _encode_metric(metric: Metric, message: _Pb.Metric, with_datatypes: bool) -> None:
    if metric.name is not None:
        message.name = metric.name
    if metric.alias is not None:
        message.alias = metric.alias
    if metric.name is None and metric.alias is None:
        raise InvalidValueError("name", None, "a metric has a name, an alias, or both")
    if metric.timestamp is not None:
        message.timestamp = metric.timestamp
    if with_datatypes and metric.datatype is not None:
        message.datatype = metric.datatype
    if metric.is_historical:
        message.is_historical = True
    if metric.is_transient:
        message.is_transient = True
    if metric.metadata is not None:
        encode_metadata(metric.metadata, message.metadata)
    if metric.properties is not None:
        encode_properties(metric.properties, message.properties)
    _encode_metric_value(metric, message, with_datatypes)


def _encode_metric_value(metric: Metric, message: _Pb.Metric, with_datatypes: bool) -> None:
    value, name = metric.value, metric.name or f"alias {metric.alias}"
    if value is None:
        message.is_null = True
    elif isinstance(value, DataSet):
        encode_dataset(value, message.dataset_value, name)
    elif isinstance(value, Template):
        _encode_template(value, message.template_value, with_datatypes)
    elif metric.datatype is None:
        raise InvalidValueError(name, value, "a metric with a value has a datatype")
    else:
        setattr(message, CARRIERS[metric.datatype], encode_value(metric.datatype, value, name))


def _encode_template(template: Template, message: _Pb.Template, with_datatypes: bool) -> None:
    message.is_definition = template.is_definition
    if template.version is not None:
        message.version = template.version
    if template.ref is not None:
        message.template_ref = template.ref
    for metric in template.metrics:
        _encode_metric(metric, message.metrics.add(), with_datatypes)
    for parameter in template.parameters:
        added = message.parameters.add(name=parameter.name, type=parameter.datatype)
        if parameter.value is not None:
            encoded = encode_value(parameter.datatype, parameter.value, parameter.name)
            setattr(added, CARRIERS[parameter.datatype], encoded)


def _decode_metric(message: _Pb.Metric) -> Metric:
    name = message.name
    code = message.datatype
    datatype = datatype_of(code) if code else None
    try:
        return Metric(
            (name if type(name) is str else text(name)) or None,
            _decode_metric_value(message, datatype),
            datatype,
            message.timestamp if message.HasField("timestamp") else None,
            message.alias if message.HasField("alias") else None,
            message.is_historical,
            message.is_transient,
            decode_properties(message.properties) if message.HasField("properties") else None,
            decode_metadata(message.metadata) if message.HasField("metadata") else None,
        )
    except DecodeError as exc:
        raise DecodeError(f"metric {name!r}: {exc}") from None


def _decode_metric_value(message: _Pb.Metric, datatype: DataType | None) -> Value | None:
    carrier = message.WhichOneof("value")
    if carrier is None or message.is_null:
        return None
    raw = getattr(message, carrier)
    if carrier == "dataset_value":
        raw = decode_dataset(raw)
    elif carrier == "template_value":
        raw = _decode_template(raw)
    elif carrier == "extension_value":
        raise DecodeError("extension values are not supported")
    return raw if datatype is None else typed_value(datatype, raw)


def _decode_template(message: _Pb.Template) -> Template:
    return Template(
        metrics=[_decode_metric(metric) for metric in message.metrics],
        parameters=[_decode_parameter(parameter) for parameter in message.parameters],
        ref=text(message.template_ref) if message.HasField("template_ref") else None,
        version=text(message.version) if message.HasField("version") else None,
        is_definition=message.is_definition,
    )


def _decode_parameter(message: _Pb.Template.Parameter) -> Parameter:
    datatype = datatype_of(message.type)
    carrier = message.WhichOneof("value")
    value = None if carrier is None else decode_value(datatype, getattr(message, carrier))
    return Parameter(text(message.name), datatype, value)
