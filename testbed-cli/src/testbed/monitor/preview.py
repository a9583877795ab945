"""Records in words: a line for the list, and the whole of one."""

from typing import Any

import orjson

from iiot.kafka_reader import Record


def summary(value: bytes) -> str:
    """What a record says, on one line of printable text."""
    try:
        record = orjson.loads(value)
    except ValueError:
        return _opaque(value)
    try:
        text = _known(record) or _compact(record)
    except (KeyError, TypeError, AttributeError):
        text = _compact(record)
    return printable(text)


def printable(text: str) -> str:
    """`text` without what would move the cursor or change colours: messages come from anyone."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def details(record: Record) -> str:
    """Position, the value with JSON indented, and the headers."""
    place = f"{record.topic}  partition {record.partition}  offset {record.offset}"
    headers = [f"{name}: {value.decode(errors='replace')}" for name, value in record.headers]
    try:
        value = orjson.dumps(orjson.loads(record.value), option=orjson.OPT_INDENT_2).decode()
    except ValueError:
        value = _opaque(record.value)
    lines = [place, *value.split("\n"), "", *headers]
    return "\n".join(map(printable, lines))


def _known(record: Any) -> str | None:
    if "metrics" in record:
        values = "  ".join(f"{metric['name']}={_short(metric.get('value'))}" for metric in record["metrics"])
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
    return orjson.dumps(value).decode()


def _opaque(value: bytes) -> str:
    text = value.decode(errors="replace")
    return text if text.isprintable() else f"{len(value)} bytes: {value[:64].hex(' ')}"
