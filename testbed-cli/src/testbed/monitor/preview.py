"""Records in words: a line for the list, and the whole of one."""

import base64
import binascii
from typing import Any

import orjson

from iiot.errors import DecodeError
from iiot.kafka_reader import Record
from iiot.sparkplug.metric_json import fault_to_json, value_to_json
from iiot.sparkplug.payload import decode_payload
from testbed.text import printable


def summary(value: bytes, topic: str = "") -> str:
    """What a record says, on one line of printable text; protobuf is read in topics that may hold it."""
    try:
        record = orjson.loads(value)
    except ValueError:
        decoded = _sparkplug(value) if "sparkplug" in topic else None
        return _opaque(value) if decoded is None else printable(f"protobuf  {_metrics(decoded['metrics'])}")
    try:
        text = _known(record) or _compact(record)
    except (KeyError, TypeError, AttributeError):
        text = _compact(record)
    return printable(text)


def details(record: Record) -> str:
    """Position, the value decoded and indented, what a dead letter held, and the headers."""
    place = f"{record.topic}  partition {record.partition}  offset {record.offset}"
    headers = [f"{name}: {value.decode(errors='replace')}" for name, value in record.headers]
    lines = [place, *_decoded(record).split("\n"), "", *headers]
    return "\n".join(map(printable, lines))


def _decoded(record: Record) -> str:
    try:
        value = orjson.loads(record.value)
    except ValueError:
        decoded = _sparkplug(record.value) if "sparkplug" in record.topic else None
        return _opaque(record.value) if decoded is None else _indented(decoded)
    return _indented(value) + _letter(value)


def _letter(value: Any) -> str:
    """What is in a dead letter, in words as far as it can be read."""
    if not isinstance(value, dict) or not isinstance(value.get("payload_base64"), str):
        return ""
    try:
        payload = base64.b64decode(value["payload_base64"], validate=True)
    except (binascii.Error, ValueError):
        return ""
    decoded = _sparkplug(payload) if str(value.get("topic")).startswith("spBv1.0/") else None
    return f"\n\nthe message: {_opaque(payload) if decoded is None else _indented(decoded)}"


def _sparkplug(payload: bytes) -> dict[str, Any] | None:
    try:
        decoded = decode_payload(payload)
        metrics = [
            {
                "name": metric.name if metric.name is not None else f"alias {metric.alias}",
                "value": value_to_json(metric.value),
                "timestamp": metric.timestamp,
                **fault_to_json(metric.fault),
            }
            for metric in decoded.metrics
        ]
    except (DecodeError, TypeError, ValueError):
        return None
    return {"timestamp": decoded.timestamp, "seq": decoded.seq, "metrics": metrics}


def _metrics(metrics: list[Any]) -> str:
    return "  ".join(f"{metric['name']}={_short(metric.get('value'))}" for metric in metrics)


def _indented(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()


def _known(record: Any) -> str | None:
    if "metrics" in record:
        values = _metrics(record["metrics"])
        device = f" {record['device']}" if record.get("device") else ""
        return f"{record['message_type']}{device}  {values}"
    if "operation" in record and "payload" in record:
        return f"{record['operation']}  {_lwm2m(record['payload'])}"
    if "type" in record and "data" in record:
        return f"{record['type']}  {_lwm2m(record['data'])}"
    if "reason" in record and "payload_base64" in record:
        return f"dead letter from {record['topic']}: {record['reason']} ({record['size']} bytes)"
    return None


def _lwm2m(body: Any) -> str:
    if not isinstance(body, dict):
        return _compact(body)
    values = body.get("values")
    if isinstance(values, dict):
        return "  ".join(f"{path}={_short(value)}" for path, value in values.items())
    return _compact({key: value for key, value in body.items() if key not in {"seq", "timestamp"}})


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else _compact(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _compact(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def _opaque(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    return text if text.isprintable() else f"{len(value)} bytes: {value[:64].hex(' ')}"
