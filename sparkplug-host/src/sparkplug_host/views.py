"""State of the host as the API shows it."""

from typing import Any

from iiot.sparkplug.host_state import MetricState, NodeState, UnitState
from iiot.sparkplug.metric_json import metadata_to_json, properties_to_json, value_to_json


def node_view(node: NodeState) -> dict[str, Any]:
    """An edge node without its metrics."""
    return {
        "group": node.group,
        "edge_node": node.edge_node,
        **unit_view(node.unit),
        "online": node.is_online,
        "stale": node.is_stale,
        "seen_at": max(unit.seen_at for unit in node.units()) or None,
        "bd_seq": node.bd_seq,
        "next_seq": node.order.expected,
        "devices_online": sum(unit.online for unit in node.devices.values()),
        "devices_total": len(node.devices),
        "births": node.births,
        "gaps": node.gaps,
        "reordered": node.reordered,
        "rebirth_requests": node.rebirth_requests,
        "short_form": node.short_form,
        "sessions_replaced": node.replaced,
        "duplicate_id": node.duplicate,
        "from_stored_births": node.unit.confirmed is not None,
    }


def unit_view(unit: UnitState) -> dict[str, Any]:
    """The life of an edge node or a device."""
    return {
        "online": unit.online,
        "stale": unit.stale,
        "born_at": unit.born_at or None,
        "died_at": unit.died_at or None,
        "seen_at": unit.seen_at or None,
    }


def metric_views(unit: UnitState) -> list[dict[str, Any]]:
    """All metrics of an edge node or a device."""
    return [metric_view(unit, metric) for metric in unit.metrics.values()]


def metric_view(unit: UnitState, metric: MetricState) -> dict[str, Any]:
    """A metric with its value."""
    shown = {
        "name": metric.name,
        "type": metric.datatype.label,
        "value": value_to_json(metric.value),
        "timestamp": metric.timestamp,
        "quality": unit.quality(metric).value,
    }
    reason = metric.quality()[1]
    if reason is not None:
        shown["reason"] = reason
    if metric.alias is not None:
        shown["alias"] = metric.alias
    if metric.properties:
        shown["properties"] = properties_to_json(metric.properties)
    if metric.metadata is not None and (metadata := metadata_to_json(metric.metadata)):
        shown["metadata"] = metadata
    return shown
