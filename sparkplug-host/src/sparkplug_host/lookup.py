"""Finds what a request is about, or answers 404."""

from collections.abc import Mapping

from iiot.sparkplug.host_state import MetricState, NodeState, UnitState
from iiot.sparkplug.rebirth import NodeKey
from iiot.telemetry import problem
from sparkplug_host.schemas import DevicePath, NodePath


class Lookup:
    """Finds edge nodes.

    Args:
        nodes: all that the host knows.
        group: the one meant when a request names none; `+` for any.
    """

    def __init__(self, nodes: Mapping[NodeKey, NodeState], group: str) -> None:
        self.nodes = nodes
        self._group = group

    def node(self, wanted: NodePath) -> NodeState:
        """The edge node of a path; 400 where several groups have one of this id."""
        name = wanted.node
        group = self._group if wanted.group is None else wanted.group
        keys = [(group, name)] if group != "+" else [key for key in self.nodes if key[1] == name]
        if len(keys) > 1:
            groups = sorted(key[0] for key in keys)
            raise problem(
                400, f"several groups have an edge node {name!r}", field="group", value=None, allowed=groups
            )
        for key in keys:
            if key in self.nodes:
                return self.nodes[key]
        raise problem(
            404, f"edge node {name!r} is not known", field="node", value=name, allowed="see GET /api/nodes"
        )


def unit_of(node: NodeState, wanted: NodePath) -> tuple[str | None, UnitState]:
    """The device of a path; the edge node itself, and None, where the path names none."""
    if not isinstance(wanted, DevicePath):
        return None, node.unit
    name = wanted.device
    if name not in node.devices:
        detail = f"edge node {node.edge_node!r} has no device {name!r}"
        raise problem(404, detail, field="device", value=name, allowed=sorted(node.devices))
    return name, node.devices[name]


def metric_of(unit: UnitState, name: str) -> MetricState:
    """The metric of this name."""
    if name not in unit.metrics:
        detail = f"no birth announced a metric {name!r}"
        raise problem(404, detail, field="metric", value=name, allowed=sorted(unit.metrics))
    return unit.metrics[name]
