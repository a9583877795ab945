"""Judges the metrics of one message by themselves, without knowing the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iiot.budgets import BudgetError
from iiot.errors import DecodeError
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.lint.content import (
    Note,
    check_dataset,
    check_properties,
    check_value,
    datatype_of,
    is_not_utf8,
    label,
    twice,
)
from iiot.sparkplug.lint.templates import check_template
from iiot.sparkplug.lint.times import describe_wrong_metric_time
from iiot.sparkplug.payload import BD_SEQ, REBIRTH, read_message
from iiot.sparkplug.topic import BIRTHS, COMMANDS, DATA, MessageType

if TYPE_CHECKING:
    from iiot._pb.sparkplug_b_pb2 import Payload as Pb

_TIMED: Final = frozenset(BIRTHS + DATA)


def read_payload(verb: MessageType, data: bytes, note: Note) -> Pb | None:
    """Parse a payload; None when it cannot be judged, which is reported."""
    try:
        return read_message(data)
    except BudgetError as exc:
        note("payload-over-budget", f"{len(data)} bytes; {exc}", verb)
    except DecodeError as exc:
        note("payload-unreadable", f"{len(data)} bytes; {exc}", verb)
    return None


def check_metrics(verb: MessageType, payload: Pb, now: int, note: Note) -> None:
    """Judge every metric of a message that arrived `now`, and what the message type asks of them."""
    for metric in payload.metrics:
        _check_metric(verb, metric, now, note)
    if verb in BIRTHS:
        _check_names(verb, payload, note)
        _check_aliases(payload, note)
    if verb.of_device and verb not in COMMANDS:
        _check_device(verb, payload, note)
    if verb in _TIMED:
        _check_order(verb, payload, note)
    if verb in (MessageType.NBIRTH, MessageType.NDEATH):
        _check_bd_seq(verb, payload, note)
    if verb is MessageType.NBIRTH:
        _check_rebirth(payload, note)
    if verb is MessageType.NDEATH and len(payload.metrics) > 1:
        others = [metric.name for metric in payload.metrics if metric.name != BD_SEQ]
        note("ndeath-other-metrics", f"{len(payload.metrics)} metrics, among them {others[:5]}")


def _check_metric(verb: MessageType, metric: Pb.Metric, now: int, note: Note) -> None:
    name, birth = label(metric), verb in BIRTHS
    _check_identity(verb, metric, name, note)
    if metric.HasField("datatype"):
        if datatype_of(metric.datatype) is None:
            note("datatype-invalid", f"{name}: datatype {metric.datatype}")
        elif verb in DATA or verb in COMMANDS:
            note("datatype-in-data", f"{name}: datatype {metric.datatype}")
    elif birth:
        note("datatype-missing", name, verb)
    _check_value(verb, metric, name, note)
    if verb in _TIMED:
        if not metric.HasField("timestamp"):
            note("metric-timestamp-missing", name)
        elif wrong := describe_wrong_metric_time(metric.timestamp, now):
            note("metric-timestamp-not-utc", f"{name}: {wrong}")
    if metric.HasField("properties"):
        check_properties(metric.properties, name, birth, note)


def _check_identity(verb: MessageType, metric: Pb.Metric, name: str, note: Note) -> None:
    if is_not_utf8(metric.name):
        note("text-not-utf8", name, "name")
    if metric.name:
        return
    if not metric.HasField("alias"):
        note("metric-name-missing", name, verb)
    elif verb in BIRTHS:
        note("metric-name-missing", name, verb)
        note("birth-alias-without-name", name)


def _check_value(verb: MessageType, metric: Pb.Metric, name: str, note: Note) -> None:
    carrier = metric.WhichOneof("value")
    if carrier is None:
        if not metric.is_null:
            note("value-missing", name, verb)
        return
    if metric.is_null:
        note("null-with-value", name, verb)
    if (datatype := datatype_of(metric.datatype)) is not None:
        check_value(verb, datatype, metric, name, note)
    if carrier == "dataset_value":
        check_dataset(metric.dataset_value, name, note)
    elif carrier == "template_value":
        template = metric.template_value
        check_template(verb, template, name, note)
        if template.is_definition and verb is not MessageType.NBIRTH:
            note("template-definition-place", f"{name} in a {verb}")


def _check_names(verb: MessageType, payload: Pb, note: Note) -> None:
    for name in twice(metric.name for metric in payload.metrics if not metric.is_historical):
        note("metric-name-twice", f"{name!r}", verb)
    seen: dict[str, str] = {}
    for metric in payload.metrics:
        if isinstance(metric.name, str) and metric.name:
            first = seen.setdefault(metric.name.casefold(), metric.name)
            if first != metric.name:
                note("metric-name-case", f"{first!r} and {metric.name!r}")


def _check_aliases(payload: Pb, note: Note) -> None:
    """Judge whether a birth gives aliases to all metrics or to none, except those that have to go without."""
    named = [metric for metric in payload.metrics if metric.name and not _goes_without_alias(metric)]
    without = [metric.name for metric in named if not metric.HasField("alias")]
    if 0 < len(without) < len(named):
        note("alias-missing", f"{len(without)} of {len(named)} metrics have none, among them {without[:5]}")


def _goes_without_alias(metric: Pb.Metric) -> bool:
    """Metrics that hosts know by name, and template definitions, of which no data comes."""
    return metric.name in (BD_SEQ, REBIRTH) or metric.template_value.is_definition


def _check_device(verb: MessageType, payload: Pb, note: Note) -> None:
    for metric in payload.metrics:
        if metric.name in (BD_SEQ, REBIRTH):
            note("node-metric-of-device", f"{label(metric)} in a {verb}")


def _check_order(verb: MessageType, payload: Pb, note: Note) -> None:
    if len(payload.metrics) < 2:
        return
    latest: dict[str | int, int] = {}
    for metric in payload.metrics:
        if metric.is_historical or not metric.HasField("timestamp"):
            continue
        key = metric.name or metric.alias
        if metric.timestamp < latest.get(key, 0):
            note("metric-order", f"{label(metric)}: {metric.timestamp} after {latest[key]}", verb)
        latest[key] = metric.timestamp


def bd_seq_of(payload: Pb) -> int | None:
    """The message's bdSeq, if it has one that can be read."""
    for metric in payload.metrics:
        if metric.name == BD_SEQ and metric.WhichOneof("value") in ("long_value", "int_value"):
            return metric.long_value or metric.int_value
    return None


def _check_bd_seq(verb: MessageType, payload: Pb, note: Note) -> None:
    metric = next((metric for metric in payload.metrics if metric.name == BD_SEQ), None)
    if metric is None:
        note("bdseq-missing", "no metric bdSeq", verb)
        return
    number = bd_seq_of(payload)
    if metric.datatype != DataType.INT64 or number is None:
        said = metric.datatype if metric.HasField("datatype") else "missing"
        note("bdseq-type", f"datatype {said}, value in {metric.WhichOneof('value')}", verb)
    if number is not None and number > 255:
        note("bdseq-range", f"bdSeq {number}", verb)


def _check_rebirth(payload: Pb, note: Note) -> None:
    metric = next((metric for metric in payload.metrics if metric.name == REBIRTH), None)
    if metric is None:
        similar = [name for name in (m.name for m in payload.metrics) if is_like_rebirth(name)]
        note("rebirth-metric-missing", f"no {REBIRTH!r}" + (f", but {similar}" if similar else ""))
        return
    if metric.datatype != DataType.BOOLEAN:
        note("rebirth-metric-type", f"datatype {metric.datatype}")
    if metric.is_null or metric.WhichOneof("value") is None or metric.boolean_value or metric.int_value:
        note("rebirth-metric-value", "the value is not false")
    if metric.HasField("alias"):
        note("rebirth-metric-alias", f"alias {metric.alias}")


def is_like_rebirth(name: str) -> bool:
    """Whether a name is meant to be `Node Control/Rebirth` and is spelt differently."""
    return name != REBIRTH and "".join(str(name).split()).casefold().endswith("nodecontrol/rebirth")
