"""When a host asks edge nodes for rebirth: debounced per node, jittered, limited over all nodes.

A host that asks for every bad message starts rebirth storms; asking too rarely leaves values stale.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import StrEnum
from heapq import heapify, heappop, heappush
from typing import Final, TypeAlias

NodeKey: TypeAlias = tuple[str, str]
"""Group id and edge node id."""

_LONGEST_WAIT = 64
_MOST_CAUSES: Final = 16
_SPARE_ENTRIES: Final = 1_000


class RebirthReason(StrEnum):
    """What made the host ask."""

    GAP = "gap"
    BEFORE_BIRTH = "before_birth"
    UNKNOWN_METRIC = "unknown_metric"
    UNKNOWN_ALIAS = "unknown_alias"
    UNDECODABLE = "undecodable"
    TRAILING_BIRTH = "trailing_birth"
    RETAINED_BIRTH = "retained_birth"
    HOST_CUT_OFF = "host_cut_off"
    INCOMPLETE_BIRTH = "incomplete_birth"


_Cause: TypeAlias = tuple[RebirthReason, Hashable]


@dataclass(frozen=True, slots=True)
class RebirthPolicy:
    """Limits of rebirth requests; times in ms.

    Attributes:
        debounce: shortest time between two requests to the same edge node. It doubles with each
            request that follows closely while no birth cures the cause, up to 64 times.
        jitter: each request is delayed by a random part of this.
        per_second: requests to all edge nodes together.
        reasons: triggers that may cause a request.
        observe_only: never ask; needs are still counted.
    """

    debounce: int = 30_000
    jitter: int = 1_000
    per_second: float = 20.0
    reasons: frozenset[RebirthReason] = frozenset(RebirthReason)
    observe_only: bool = False


class _Asked:
    """The last request to an edge node.

    Attributes:
        at: when it was sent.
        wait: shortest time until the next.
        causes: what it and the requests before it were to cure.
        is_answered: births came since.
        is_first: the next request does not double the wait.
    """

    __slots__ = ("at", "causes", "is_answered", "is_first", "wait")

    def __init__(self, at: int, wait: int, causes: set[_Cause]) -> None:
        self.at, self.wait, self.causes = at, wait, causes
        self.is_answered = self.is_first = False


class RebirthScheduler:
    """Decides which edge nodes to ask, and when.

    Args:
        policy: the limits.
        jitter: a source of random numbers in [0, 1).

    Attributes:
        wanted: needs by reason, each counted once until it is asked for or gone.
    """

    def __init__(self, policy: RebirthPolicy, jitter: Callable[[], float]) -> None:
        self.wanted = dict.fromkeys(RebirthReason, 0)
        self._policy = policy
        self._jitter = jitter
        self._pending: dict[NodeKey, int] = {}
        self._causes: dict[NodeKey, set[_Cause]] = {}
        self._asked: dict[NodeKey, _Asked] = {}
        self._heap: list[tuple[int, NodeKey]] = []
        self._tokens = self._burst = max(1.0, policy.per_second)
        self._refilled: int | None = None

    def want(self, node: NodeKey, reason: RebirthReason, now: int, about: Hashable = None) -> None:
        """A rebirth of this edge node is needed.

        `about` tells causes of one reason apart, such as metrics of different names: a cause that is still
        there after births was not cured by them; another one is new, and the shortest wait holds again.
        """
        if reason not in self._policy.reasons:
            return
        cause = (reason, about)
        if node in self._pending:
            causes = self._causes[node]
            if len(causes) < _MOST_CAUSES:
                causes.add(cause)
            return
        asked = self._asked.get(node)
        if asked is not None and asked.is_answered and cause not in asked.causes:
            asked.wait, asked.is_first = self._policy.debounce, True
            asked.causes.clear()
        earliest = now if asked is None else max(now, asked.at + asked.wait)
        if self._policy.observe_only:
            if earliest == now:
                self.wanted[reason] += 1
                self._causes[node] = {cause}
                self._note_asked(node, now)
            return
        self.wanted[reason] += 1
        self._causes[node] = {cause}
        self._pending[node] = due = earliest + int(self._jitter() * self._policy.jitter)
        self._push(due, node)

    def born(self, node: NodeKey) -> None:
        """The edge node sent its births: nothing is needed any more."""
        self.died(node)
        asked = self._asked.get(node)
        if asked is not None:
            asked.is_answered = True

    def died(self, node: NodeKey) -> None:
        """The edge node is gone, and nobody would answer."""
        self._pending.pop(node, None)
        self._causes.pop(node, None)

    def forgotten(self, node: NodeKey) -> None:
        """The edge node is gone: ask nothing, and remember nothing of it."""
        self.died(node)
        self._asked.pop(node, None)

    def asked(self, node: NodeKey, now: int) -> None:
        """A person asks the edge node now; the host's own next request waits as long as before."""
        self.died(node)
        before, wait = self._asked.get(node), self._policy.debounce
        if before is None or now - before.at > 2 * before.wait:
            self._asked[node] = _Asked(now, wait, set())
        else:
            before.at = now

    def take_due(self, now: int) -> list[NodeKey]:
        """Return the edge nodes to ask now, as far as the overall limit allows."""
        self._refill(now)
        nodes = []
        while self._heap and self._heap[0][0] <= now and self._tokens >= 1:
            due, node = heappop(self._heap)
            if self._pending.get(node) != due:
                continue
            del self._pending[node]
            self._note_asked(node, now)
            self._tokens -= 1
            nodes.append(node)
        return nodes

    def _note_asked(self, node: NodeKey, now: int) -> None:
        before, wait, causes = self._asked.get(node), self._policy.debounce, self._causes.pop(node)
        if before is not None and now - before.at <= 2 * before.wait:
            causes |= before.causes
            if not before.is_first:
                wait = min(2 * before.wait, _LONGEST_WAIT * wait)
        while len(causes) > _MOST_CAUSES:
            causes.pop()
        self._asked[node] = _Asked(now, wait, causes)

    def _push(self, due: int, node: NodeKey) -> None:
        """Births leave entries behind that are void; drop them before they are many."""
        heappush(self._heap, (due, node))
        if len(self._heap) > 2 * len(self._pending) + _SPARE_ENTRIES:
            self._heap = [(due, node) for node, due in self._pending.items()]
            heapify(self._heap)

    def _refill(self, now: int) -> None:
        if self._refilled is not None:
            earned = (now - self._refilled) * self._policy.per_second / 1000
            self._tokens = min(self._burst, self._tokens + max(0.0, earned))
        self._refilled = now
