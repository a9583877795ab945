"""Ways in which births break the specification and are understood all the same."""

from collections.abc import Iterator
from typing import Final

from iiot.sparkplug.host_events import Change, NonConformity
from iiot.sparkplug.host_state import NodeState, UnitState
from iiot.sparkplug.payload import BD_SEQ, REBIRTH, Metric, Payload
from iiot.sparkplug.sequence import follows

SESSION_FAULTS: Final = {
    Change.REPLACED: NonConformity.SESSION_REPLACED,
    Change.DUPLICATE: NonConformity.DUPLICATE_EDGE_NODE,
}
_ODD_BIRTHS: Final = 3
"""One or two sessions with a bdSeq that does not follow may be a peer that miscounts."""


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
    names = {metric.name for metric in payload.metrics}
    if None in names or any(metric.datatype is None and metric.fault is None for metric in payload.metrics):
        yield NonConformity.INCOMPLETE_BIRTH_METRIC
    if len(names) < len(payload.metrics) and len(names - {None}) < sum(
        metric.name is not None for metric in payload.metrics
    ):
        yield NonConformity.DUPLICATE_METRIC
    numbers = [metric.alias for metric in payload.metrics if metric.alias is not None]
    if not numbers:
        return
    own = set(numbers)
    others = (other.aliases for other in node.units() if other is not unit and other.aliases)
    if len(own) < len(numbers) or any(not other.keys().isdisjoint(own) for other in others):
        yield NonConformity.ALIAS_COLLISION


def bd_seq_of_birth(payload: Payload) -> int | None:
    """The bdSeq of an NBIRTH."""
    return next((n for metric in payload.metrics if metric.name == BD_SEQ for n in _number(metric)), None)


def bd_seq_of_death(node: NodeState, payload: Payload) -> int | None:
    """The bdSeq of an NDEATH, which may have an alias in place of its name.

    The alias may be of a session before this one. Nothing else belongs into an NDEATH, so an only metric
    without a name is the bdSeq, whatever its alias stands for now.
    """
    found = bd_seq_of_birth(payload)
    if found is not None:
        return found
    unnamed = [metric for metric in payload.metrics if metric.name is None]
    for metric in unnamed:
        known = node.unit.find(metric)
        if known is not None and known.name == BD_SEQ:
            return next(_number(metric), None)
    return next(_number(unnamed[0]), None) if len(unnamed) == len(payload.metrics) == 1 else None


def _number(metric: Metric) -> Iterator[int]:
    if type(metric.value) is int:
        yield metric.value


def note_session(node: NodeState, bd_seq: int | None) -> list[Change]:
    """Tell what an NBIRTH with this bdSeq means for the session before it.

    It may replace one that has not ended; and when sessions take turns, two publishers use one id, which
    is told once.
    """
    before = node.bd_seq
    if before is None or bd_seq is None or (node.unit.online and before == bd_seq):
        return []
    changes = []
    in_turn = bool(bd_seq) and bd_seq == node.replaced_bd_seq
    node.odd_births += not follows(before, bd_seq)
    if node.unit.online:
        node.replaced += 1
        node.replaced_bd_seq = before
        changes.append(Change.REPLACED)
    return changes + _tell_twins(node, in_turn=in_turn)


def note_trailing_birth(node: NodeState) -> list[Change]:
    """An NBIRTH came right after the NDEATH of its bdSeq: overtaken once, of a second publisher if often."""
    node.odd_births += bool(node.overtook and node.overtook.bd_seq)
    return _tell_twins(node)


def _tell_twins(node: NodeState, *, in_turn: bool = False) -> list[Change]:
    if node.duplicate or not (in_turn or node.odd_births >= _ODD_BIRTHS):
        return []
    node.duplicate = True
    return [Change.DUPLICATE]
