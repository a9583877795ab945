"""Ways in which births break the specification and are understood all the same."""

from collections.abc import Iterator

from iiot.sparkplug.host_events import NonConformity
from iiot.sparkplug.host_state import NodeState, UnitState
from iiot.sparkplug.payload import REBIRTH, Payload


def faults_of_node_birth(payload: Payload) -> Iterator[NonConformity]:
    """What is wrong with an NBIRTH by itself."""
    if payload.seq is None:
        yield NonConformity.MISSING_SEQ
    elif payload.seq != 0:
        yield NonConformity.NBIRTH_SEQ
    if not any(metric.name == REBIRTH for metric in payload.metrics):
        yield NonConformity.NO_REBIRTH_METRIC


def faults_of_birth(node: NodeState, unit: UnitState, payload: Payload) -> Iterator[NonConformity]:
    """What is wrong with the metrics of a birth that `unit` has just taken over."""
    if len(unit.metrics) < len(payload.metrics):
        yield NonConformity.INCOMPLETE_BIRTH_METRIC
    aliases = unit.aliases
    if aliases is None:
        return
    carrying = sum(metric.alias is not None for metric in payload.metrics)
    others = (other.aliases for other in node.units() if other is not unit and other.aliases)
    if carrying > len(aliases) or any(not aliases.keys().isdisjoint(other) for other in others):
        yield NonConformity.ALIAS_COLLISION
