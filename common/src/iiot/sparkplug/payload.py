"""Sparkplug B payloads: metrics, templates, and their bytes (specification 3.0, section 6.4)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from google.protobuf.message import DecodeError as ProtobufDecodeError

from iiot._pb.sparkplug_b_pb2 import Payload as _Pb
from iiot.budgets import BudgetError
from iiot.errors import DecodeError, InvalidValueError
from iiot.sparkplug.composite import (
    QUALITY,
    DataSet,
    MetaData,
    Property,
    PropertySet,
    complete_properties,
    decode_dataset,
    decode_metadata,
    decode_properties,
    encode_dataset,
    encode_metadata,
    encode_properties,
    text,
    type_of_carrier,
)
from iiot.sparkplug.compression import ENVELOPE, decompress
from iiot.sparkplug.datatypes import (
    CARRIERS,
    DataType,
    EntryMeter,
    ScalarValue,
    brief,
    datatype_of,
    decode_value,
    encode_value,
)
from iiot.sparkplug.wire import DEFAULT_BUDGET, WHAT, PayloadBudget, check_budget

if TYPE_CHECKING:
    from collections.abc import Mapping

BD_SEQ = "bdSeq"
REBIRTH = "Node Control/Rebirth"
NEXT_SERVER = "Node Control/Next Server"


@dataclass(slots=True)
class Parameter:
    """A parameter of a template."""

    name: str
    datatype: DataType
    """`UNKNOWN` where the message does not say; the value then is what its carrier held."""
    value: ScalarValue | None = None
    fault: str | None = None
    """Why the value that came cannot be used; `value` is None then."""


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
        property_fault: why some properties are left out; the value holds all the same.
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
    property_fault: str | None = None

    def resolve(
        self,
        name: str,
        datatype: DataType,
        properties: Mapping[str, Property] | None = None,
        meter: EntryMeter | None = None,
    ) -> None:
        """Complete a metric of a DATA or CMD message with what the birth said.

        A value that does not fit the datatype of the birth becomes a `fault`; one that says another
        datatype and fits all the same is taken.

        Args:
            name: of the metric.
            datatype: of the birth.
            properties: of the birth, for the types of those that came without.
            meter: counts the arrays of the whole message.

        Raises:
            BudgetError: an array is larger than the budget.
        """
        if self.fault is None and self.datatype is not datatype:
            try:
                self.value = (
                    typed_value(datatype, self.value, meter)
                    if self.datatype is None
                    else fit_value(self.datatype, datatype, self.value, meter)
                )
            except BudgetError:
                raise
            except DecodeError as exc:
                self.set_fault(str(exc))
        self.name, self.datatype = name, datatype
        if properties and self.properties:
            self.tell_properties(complete_properties(self.properties, properties))

    def set_fault(self, reason: str) -> None:
        """The value cannot be used."""
        self.value, self.fault = None, reason

    def tell_properties(self, faults: dict[str, str]) -> None:
        """Note why properties, by key, were left out; without its Quality the value cannot be trusted."""
        if not faults:
            return
        told = [f"property {key}: {reason}" if key else reason for key, reason in faults.items()]
        more = f"; and {len(told) - _FAULTS_TOLD} more" if len(told) > _FAULTS_TOLD else ""
        self.property_fault = "; ".join(told[:_FAULTS_TOLD]) + more
        if QUALITY in faults and self.fault is None:
            self.set_fault(f"property {QUALITY}: {faults[QUALITY]}")


@dataclass(slots=True)
class Payload:
    """A message's content. `seq` and `timestamp` are None where the message has none."""

    timestamp: int | None = None
    metrics: list[Metric] = field(default_factory=list)
    seq: int | None = None
    uuid: str | None = None
    body: bytes | None = None


def typed_value(datatype: DataType, raw: Value | None, meter: EntryMeter | None = None) -> Value | None:
    """Interpret a value that was read without its datatype.

    Raises:
        BudgetError: an array is larger than the budget.
        DecodeError: the value does not fit the datatype.
    """
    if raw is None:
        return None
    if isinstance(raw, _COMPOSITE):
        return _composite(datatype, raw)
    if datatype >= _FIRST_ARRAY:
        (EntryMeter(DEFAULT_BUDGET.entries) if meter is None else meter).take(datatype, raw)
    return decode_value(datatype, raw)


def _composite(datatype: DataType, value: DataSet | Template) -> DataSet | Template:
    label = "DataSet" if isinstance(value, DataSet) else "Template"
    if datatype.label != label:
        raise DecodeError(f"value: got a {label}, allowed: a {datatype.label}")
    return value


def fit_value(
    told: DataType | None, datatype: DataType, value: Value | None, meter: EntryMeter | None = None
) -> Value | None:
    """The value as one of the birth's `datatype`, whichever the message told; errors as `typed_value`."""
    if not told or value is None:
        return typed_value(datatype, value, meter)
    if isinstance(value, _COMPOSITE):
        return _composite(datatype, value)
    try:
        return decode_value(datatype, encode_value(datatype, value))
    except InvalidValueError as exc:
        raise DecodeError(f"value: got {brief(value)} of {told.label}, allowed: {exc.allowed}") from None


_FAULTS_TOLD: Final = 3
_FIRST_ARRAY: Final = int(DataType.INT8_ARRAY)
_COMPOSITE: Final = (DataSet, Template)


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


def decode_payload(data: bytes, budget: PayloadBudget = DEFAULT_BUDGET) -> Payload:
    """Read a payload, accepting the variants that peers are known to send.

    A metric that cannot be read has a `fault`, and all others their values.

    Raises:
        BudgetError: it holds more than the budget.
        DecodeError: not a Sparkplug B payload.
    """
    return decode_message(read_message(data, budget), budget)


def decode_message(message: _Pb, budget: PayloadBudget = DEFAULT_BUDGET) -> Payload:
    """The payload of a protobuf message, as `decode_payload`.

    Raises:
        BudgetError: nested deeper than the budget, or its arrays hold more.
    """
    return _Decoder(budget).payload(message)


def read_message(data: bytes, budget: PayloadBudget = DEFAULT_BUDGET) -> _Pb:
    """Parse the protobuf message, taken out of its envelope if it is compressed.

    Raises:
        BudgetError: it holds more than the budget.
        DecodeError: not a Sparkplug B payload.
    """
    return read_sized(data, budget)[0]


def read_sized(
    data: bytes, budget: PayloadBudget = DEFAULT_BUDGET, *, is_inner: bool = False
) -> tuple[_Pb, int]:
    """The same, and its size in bytes when it is not compressed."""
    if len(data) > budget.unchecked:
        check_budget(data, budget)
    try:
        message = _Pb.FromString(data)
    except ProtobufDecodeError as exc:
        raise DecodeError(f"not a Sparkplug B payload: {exc}") from None
    if message.uuid != ENVELOPE:
        return message, len(data)
    if is_inner:
        raise DecodeError("a compressed payload in a compressed payload")
    inflated = decompress(message.body, budget.inflated)
    content, _ = read_sized(inflated, budget, is_inner=True)
    for name in ("timestamp", "seq"):
        if message.HasField(name) and not content.HasField(name):
            setattr(content, name, getattr(message, name))
    return content, len(inflated)


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


def complete_parameter(sent: Parameter, datatype: DataType) -> Parameter:
    """A template's parameter as one of the birth's datatype, with a `fault` if its value does not fit."""
    if sent.fault is not None or sent.datatype is datatype:
        return replace(sent, datatype=datatype)
    try:
        value = fit_value(sent.datatype, datatype, sent.value)
    except DecodeError as exc:
        return Parameter(sent.name, datatype, None, str(exc))
    return Parameter(sent.name, datatype, None if isinstance(value, DataSet | Template) else value)


class _Decoder:
    """Makes one payload of its protobuf message."""

    __slots__ = ("_budget", "_meter")

    def __init__(self, budget: PayloadBudget) -> None:
        self._budget = budget
        self._meter = EntryMeter(budget.entries)

    def payload(self, message: _Pb) -> Payload:
        deepest = self._budget.nesting
        return Payload(
            timestamp=message.timestamp if message.HasField("timestamp") else None,
            metrics=[self._metric(metric, deepest) for metric in message.metrics],
            seq=message.seq if message.HasField("seq") else None,
            uuid=message.uuid if message.HasField("uuid") and type(message.uuid) is str else None,
            body=message.body if message.HasField("body") else None,
        )

    def _metric(self, message: _Pb.Metric, deepest: int) -> Metric:
        name, code = message.name, message.datatype
        datatype = fault = value = None
        try:
            if type(name) is not str:
                name = text(name)
            if code:
                datatype = datatype_of(code)
            value = self._value(message, datatype, deepest)
        except BudgetError:
            raise
        except DecodeError as exc:
            name, fault = name if type(name) is str else "", str(exc)
        metric = Metric(
            name or None,
            value,
            datatype,
            message.timestamp if message.HasField("timestamp") else None,
            message.alias if message.HasField("alias") else None,
            message.is_historical,
            message.is_transient,
            fault=fault,
        )
        if message.HasField("properties"):
            faults: dict[str, str] = {}
            metric.properties = decode_properties(message.properties, faults, deepest)
            metric.tell_properties(faults)
        if message.HasField("metadata"):
            metric.metadata = decode_metadata(message.metadata)
        return metric

    def _value(self, message: _Pb.Metric, datatype: DataType | None, deepest: int) -> Value | None:
        carrier = message.WhichOneof("value")
        if carrier is None or message.is_null:
            return None
        raw: Value = getattr(message, carrier)
        if carrier == "dataset_value":
            raw = decode_dataset(message.dataset_value)
        elif carrier == "template_value":
            raw = self._template(message.template_value, deepest - 1)
        elif carrier == "extension_value":
            raise DecodeError("value: got an extension value, allowed: those of the datatypes 1 to 34")
        return raw if datatype is None else typed_value(datatype, raw, self._meter)

    def _template(self, message: _Pb.Template, deepest: int) -> Template:
        if deepest < 0:
            raise BudgetError("nested levels", self._budget.nesting, WHAT)
        return Template(
            metrics=[self._metric(metric, deepest) for metric in message.metrics],
            parameters=[_decode_parameter(parameter) for parameter in message.parameters],
            ref=text(message.template_ref) if message.HasField("template_ref") else None,
            version=text(message.version) if message.HasField("version") else None,
            is_definition=message.is_definition,
        )


def _decode_parameter(message: _Pb.Template.Parameter) -> Parameter:
    carrier = message.WhichOneof("value")
    raw = None if carrier is None else getattr(message, carrier)
    name, datatype = message.name, DataType.UNKNOWN
    try:
        name = text(name)
        datatype = datatype_of(message.type) or type_of_carrier(carrier)
        untyped = raw is None or datatype is DataType.UNKNOWN
        return Parameter(name, datatype, raw if untyped else decode_value(datatype, raw))
    except DecodeError as exc:
        return Parameter(name if type(name) is str else "", datatype, None, str(exc))
