"""Payloads as evidence: decoded as far as they can be, and short."""

import base64
from typing import Any, Final

import orjson

from iiot._pb.sparkplug_b_pb2 import Payload as Pb
from iiot.errors import DecodeError
from iiot.sparkplug.datatypes import decode_value
from iiot.sparkplug.lint.content import datatype_of
from iiot.sparkplug.payload import read_message

_METRICS: Final = 20
_TEXT: Final = 200
_BYTES: Final = 48
_DEEPEST: Final = 1
_LARGEST_ARRAY: Final = 4096
"""Bytes of an array that is still unpacked: a Boolean takes one bit there, and a word here."""
_COMPOSITE: Final = ("dataset_value", "template_value", "extension_value")


def show(topic: str, payload: bytes) -> Any:
    """The payload as JSON values: an object for Sparkplug, else JSON, text or hexadecimal bytes."""
    if "STATE" not in topic.split("/")[:2]:
        try:
            return show_payload(read_message(payload))
        except DecodeError:
            pass
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return {"hex": payload[:_BYTES].hex(), "size": len(payload)}
    try:
        return orjson.loads(text) if len(text) < _TEXT else text[:_TEXT]
    except orjson.JSONDecodeError:
        return text[:_TEXT]


def show_payload(message: Pb) -> dict[str, Any]:
    """A Sparkplug payload with its first metrics; absent members are left out."""
    shown: dict[str, Any] = {}
    for name in ("timestamp", "seq"):
        if message.HasField(name):
            shown[name] = getattr(message, name)
    if message.HasField("uuid"):
        shown["uuid"] = _short(message.uuid)
    if message.HasField("body"):
        shown["body_size"] = len(message.body)
    shown["metrics"] = [_metric(metric) for metric in message.metrics[:_METRICS]]
    if len(message.metrics) > _METRICS:
        shown["metrics_left_out"] = len(message.metrics) - _METRICS
    return shown


def _metric(metric: Pb.Metric, depth: int = 0) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name in ("name", "alias", "timestamp", "is_historical", "is_transient", "is_null"):
        if metric.HasField(name):
            shown[name] = _short(getattr(metric, name))
    if metric.HasField("datatype"):
        code = metric.datatype
        datatype = datatype_of(code)
        shown["datatype"] = code if datatype is None else datatype.label
    carrier = metric.WhichOneof("value")
    if carrier is not None:
        shown[carrier if carrier in _COMPOSITE else "value"] = _value(metric, carrier, depth)
    return shown


def _value(metric: Pb.Metric, carrier: str, depth: int) -> Any:
    raw = getattr(metric, carrier)
    if carrier == "dataset_value":
        return {"columns": [_short(name) for name in raw.columns[:_METRICS]], "rows": len(raw.rows)}
    if carrier == "template_value":
        shown = {"ref": _short(raw.template_ref), "is_definition": raw.is_definition}
        if depth == _DEEPEST:
            return shown | {"metrics_left_out": len(raw.metrics)}
        return shown | {"metrics": [_metric(member, depth + 1) for member in raw.metrics[:_METRICS]]}
    if carrier == "extension_value":
        return {}
    datatype = datatype_of(metric.datatype)
    if datatype is not None and not (isinstance(raw, bytes) and len(raw) > _LARGEST_ARRAY):
        try:
            raw = decode_value(datatype, raw)
        except DecodeError:
            return _short(raw)
    return _short(raw)


def _short(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value[:_BYTES]).decode()
    if isinstance(value, str):
        return value[:_TEXT]
    return list(value[:_METRICS]) if isinstance(value, tuple) else value
