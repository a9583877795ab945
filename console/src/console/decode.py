"""One device's MQTT messages as a person reads them: both protocols in the same shape. Pure."""

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import orjson

from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m import oma_profile
from iiot.sparkplug.births import BirthCatalog
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.metric_json import fault_to_json, value_to_json
from iiot.sparkplug.output import check_output
from iiot.sparkplug.payload import Metric, Payload, decode_payload
from iiot.sparkplug.topic import MessageType, Topic, parse_topic

_BINDING = ("rd", "bs")
_DOWN_KINDS = ("cmd", "ack")
_LABELS = {datatype.label: datatype for datatype in DataType}
_SHOWN = 4
SHOWN_BYTES = 1024 * 1024
"""JSON of one message; a page shows no more."""
_NUMBERS = ("seq", "timestamp")


class Address(NamedTuple):
    """What a topic tells: protocol, the device, the kind of message, and which way it goes.

    `direction` is `up`, `down`, or `both` where only the payload tells.
    """

    protocol: str
    device: str
    kind: str
    direction: str


def device_filters(device: str) -> tuple[str, ...]:
    """Topic filters of everything that a device sends and is sent, in both protocols."""
    binding = [f"{prefix}lwm2m/{interface}/{device}" for prefix in ("", "+/") for interface in _BINDING]
    return (f"spBv1.0/+/+/{device}", f"spBv1.0/+/+/{device}/+", f"lwm2m/{device}/#", *binding)


def read_topic(text: str) -> Address | None:
    """Take a topic apart; None when it is no device's."""
    levels = text.split("/")
    if levels[0] == "spBv1.0" and len(levels) in (4, 5):
        return Address("sparkplug", levels[3], levels[2], "down" if levels[2].endswith("CMD") else "up")
    if len(levels) in (3, 4) and levels[-3] == "lwm2m" and levels[-2] in _BINDING:
        return Address("lwm2m", levels[-1], levels[-2], "both")
    if levels[0] == "lwm2m" and len(levels) in (3, 4):
        kind = levels[2]
        return Address("lwm2m", levels[1], kind, "down" if kind in _DOWN_KINDS else "up")
    return None


class Decoder:
    """Decodes the messages of one device; births tell it names and datatypes."""

    def __init__(self) -> None:
        self._births = BirthCatalog()

    def learn(self, group: str, node: str, units: Mapping[str | None, Iterable[Mapping[str, Any]]]) -> None:
        """Take over what the Sparkplug host knows of an edge node whose births came before we looked.

        Args:
            group: Sparkplug group id.
            node: edge node id.
            units: metrics of the edge node (None) and of its devices, as the host's API shows them.
        """
        for device, metrics in sorted(units.items(), key=lambda unit: unit[0] or ""):
            kind = MessageType.NBIRTH if device is None else MessageType.DBIRTH
            payload = Payload(metrics=[_known_metric(metric) for metric in metrics])
            self._births.learn(Topic(kind, group, node, device), payload)

    def decode(self, topic: str, payload: bytes, at: int) -> dict[str, Any] | None:
        """A message for the timeline; None when the topic is no device's.

        Args:
            topic: MQTT topic.
            payload: MQTT payload.
            at: when it arrived, UTC ms.
        """
        address = read_topic(topic)
        if address is None:
            return None
        message: dict[str, Any] = {
            "at": at,
            "topic": topic,
            "size": len(payload),
            "protocol": address.protocol,
            "kind": address.kind,
            "direction": address.direction,
        }
        try:
            if address.protocol == "sparkplug":
                message |= self._sparkplug(topic, payload)
            elif address.direction == "both":
                message |= _binding_message(topic, payload)
            else:
                message |= _json_message(payload)
        except (DecodeError, InvalidValueError) as exc:
            message |= {
                "error": str(exc),
                "summary": f"cannot be read: {exc}",
                "content": payload.hex()[:2000],
            }
        return message

    def _sparkplug(self, text: str, data: bytes) -> dict[str, Any]:
        topic, payload = parse_topic(text, accept_short_form=True), decode_payload(data)
        if not isinstance(topic, Topic):
            raise DecodeError("a STATE message is no device's")
        self._births.learn(topic, payload)
        problems = self._births.resolve(topic, payload)
        metrics = [_show_metric(metric) for metric in payload.metrics]
        check_output(metrics, SHOWN_BYTES)
        content: dict[str, Any] = {"seq": payload.seq, "timestamp": payload.timestamp, "metrics": metrics}
        if problems:
            content["problems"] = problems
        return {"summary": _summary((m["name"], m["value"]) for m in metrics), "content": content}


def _known_metric(shown: Mapping[str, Any]) -> Metric:
    datatype = _LABELS.get(str(shown.get("type")))
    return Metric(name=shown.get("name"), datatype=datatype, alias=shown.get("alias"))


def _show_metric(metric: Metric) -> dict[str, Any]:
    name = metric.name if metric.name is not None else f"alias {metric.alias}"
    datatype = metric.datatype.label if metric.datatype is not None else None
    shown = {
        "name": name,
        "type": datatype,
        "value": value_to_json(metric.value),
        "timestamp": metric.timestamp,
        **fault_to_json(metric.fault),
    }
    if metric.property_fault is not None:
        shown["property_fault"] = metric.property_fault
    return shown | ({"historical": True} if metric.is_historical else {})


def _json_message(payload: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(payload) if payload else {}
    except orjson.JSONDecodeError as exc:
        raise DecodeError(f"not JSON: {exc}") from exc
    if not isinstance(content, dict):
        raise DecodeError("not a JSON object")
    return {"summary": _json_summary(content), "content": content}


def _json_summary(content: dict[str, Any]) -> str:
    words = [str(content[key]) for key in ("operation", "path", "code") if key in content]
    values = content.get("values")
    if isinstance(values, dict):
        words.append(_summary(values.items()))
    elif "objects" in content and isinstance(content["objects"], dict):
        words.append(f"objects {', '.join(content['objects'])}")
    words += [f"{key} {content[key]}" for key in ("value", "lifetime", "error") if key in content]
    return " ".join(words) or ", ".join(key for key in content if key not in _NUMBERS) or "nothing changed"


def _binding_message(text: str, payload: bytes) -> dict[str, Any]:
    """A message of the OMA binding: both directions share one topic, and the payload tells."""
    levels = text.split("/")
    topic = oma_profile.parse_topic(text, levels[0] if len(levels) == 4 else "")
    said_by_server = partial(oma_profile.decode_downlink, root=None)
    for direction, read in (("up", oma_profile.decode_uplink), ("down", said_by_server)):
        message = read(topic, payload)
        if message is not None:
            content = orjson.loads(orjson.dumps(dataclasses.asdict(message), default=_plain))
            kind = content.get("operation") or type(message).__name__.lower()
            records = content.get("records") or []
            pairs = [(r.get("path"), r.get("value")) for r in records if isinstance(r, dict)]
            return {"direction": direction, "kind": kind, "summary": _summary(pairs), "content": content}
    raise DecodeError("neither a device's message nor a server's")


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, enum.Enum):
        return value.name
    return str(value)


def _summary(pairs: Iterable[tuple[Any, Any]]) -> str:
    found = [f"{name} = {_brief(value)}" for name, value in pairs]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more


def _brief(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text if len(text) <= 40 else text[:39] + "…"
