"""Judges commands: what a host application writes to edge nodes and devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iiot.sparkplug.lint.content import label
from iiot.sparkplug.lint.metrics import is_like_rebirth
from iiot.sparkplug.payload import REBIRTH
from iiot.sparkplug.topic import MessageType

if TYPE_CHECKING:
    from iiot._pb.sparkplug_b_pb2 import Payload as Pb
    from iiot.sparkplug.lint.content import Note
    from iiot.sparkplug.lint.events import Publish
    from iiot.sparkplug.lint.node import NodeWatch


def check_command(
    verb: MessageType, device: str | None, payload: Pb, node: NodeWatch | None, event: Publish, note: Note
) -> None:
    """Judge a command; `node` is the edge node it is for, None when never seen."""
    if not payload.metrics:
        note("command-empty", "no metrics", verb)
    unit = None
    if node is not None:
        unit = node.unit if device is None else node.devices.get(device)
    for metric in payload.metrics:
        if metric.name == REBIRTH:
            _check_rebirth_request(verb, metric, note)
            if node is not None and verb is MessageType.NCMD and metric.boolean_value:
                node.rebirth_requested(event)
        elif isinstance(metric.name, str) and is_like_rebirth(metric.name):
            note("rebirth-request-name", label(metric))
        elif unit is not None and unit.announced:
            unit.check_command(verb, metric, note)
        elif metric.name and metric.HasField("alias"):
            note("alias-with-name", label(metric))


def _check_rebirth_request(verb: MessageType, metric: Pb.Metric, note: Note) -> None:
    if verb is not MessageType.NCMD:
        note("rebirth-request-verb", f"{REBIRTH!r} in a {verb}")
    if not metric.boolean_value and metric.int_value != 1:
        note("rebirth-request-value", "the value is not true")
