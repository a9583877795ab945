"""When a host asks edge nodes for rebirth: debounced per node, jittered, limited over all nodes.

A host that asks for every bad message starts rebirth storms; asking too rarely leaves values stale.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from heapq import heappop, heappush
from typing import NamedTuple, TypeAlias

NodeKey: TypeAlias = tuple[str, str]
"""Group id and edge node id."""

_LONGEST_WAIT = 64


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


@dataclass(frozen=True, slots=True)
class RebirthPolicy:
    """Limits of rebirth requests; times in ms.

    Attributes:
        debounce: shortest time between two requests to the same edge node. It doubles with each
            request that follows closely, up to 64 times, for nodes that a birth does not cure.
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


class _Asked(NamedTuple):
    at: int
    wait: int


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
        self._asked: dict[NodeKey, _Asked] = {}
        self._heap: list[tuple[int, NodeKey]] = []
        self._tokens = self._burst = max(1.0, policy.per_second)
        self._refilled: int | None = None

    def want(self, node: NodeKey, reason: RebirthReason, now: int) -> None:
        """A rebirth of this edge node is needed."""
        if node in self._pending or reason not in self._policy.reasons:
            return
        asked = self._asked.get(node)
        earliest = now if asked is None else max(now, asked.at + asked.wait)
        if self._policy.observe_only:
            if earliest == now:
                self.wanted[reason] += 1
                self.asked(node, now)
            return
        self.wanted[reason] += 1
        self._pending[node] = due = earliest + int(self._jitter() * self._policy.jitter)
        heappush(self._heap, (due, node))

    def born(self, node: NodeKey) -> None:
        """The edge node sent its births, or died: nothing is needed any more."""
        self._pending.pop(node, None)

    def forgotten(self, node: NodeKey) -> None:
        """The edge node is gone: ask nothing, and remember nothing of it."""
        self._pending.pop(node, None)
        self._asked.pop(node, None)

    def asked(self, node: NodeKey, now: int) -> None:
        """The edge node is asked now."""
        self._pending.pop(node, None)
        before, wait = self._asked.get(node), self._policy.debounce
        if before is not None and now - before.at <= 2 * before.wait:
            wait = min(2 * before.wait, _LONGEST_WAIT * wait)
        self._asked[node] = _Asked(now, wait)

    def take_due(self, now: int) -> list[NodeKey]:
        """Return the edge nodes to ask now, as far as the overall limit allows."""
        self._refill(now)
        nodes = []
        while self._heap and self._heap[0][0] <= now and self._tokens >= 1:
            due, node = heappop(self._heap)
            if self._pending.get(node) != due:
                continue
            self.asked(node, now)
            self._tokens -= 1
            nodes.append(node)
        return nodes

    def _refill(self, now: int) -> None:
        if self._refilled is not None:
            earned = (now - self._refilled) * self._policy.per_second / 1000
            self._tokens = min(self._burst, self._tokens + max(0.0, earned))
        self._refilled = now
