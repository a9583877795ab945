"""Messages of all edge nodes that came too early, and how long they wait for those before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iiot.sparkplug.sequence import MODULO, distance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iiot.sparkplug.host_policy import HostPolicy
    from iiot.sparkplug.host_state import NodeState
    from iiot.sparkplug.payload import Payload
    from iiot.sparkplug.topic import Topic


class WaitingMessages:
    """Keeps the limits of what waits in the `order` of edge nodes.

    Attributes:
        held: messages that wait.
    """

    def __init__(self, policy: HostPolicy) -> None:
        self.held = 0
        self._policy = policy
        self._deadlines: dict[NodeState, int] = {}  # in the order of time: all wait equally long

    def hold(self, node: NodeState, seq: int, topic: Topic, payload: Payload, now: int) -> bool:
        """Keep a message that came too early; False when there is no room."""
        size = len(payload.metrics) + sum(len(held.metrics) for _, held in node.order.held.values())
        room = self.held < self._policy.reorder_capacity and size <= self._policy.reorder_metrics
        if not room or not node.order.hold(seq, (topic, payload)):
            return False
        self.held += 1
        self._deadlines.setdefault(node, now + self._policy.reorder_timeout)
        return True

    def following(self, node: NodeState) -> Iterator[tuple[Topic, Payload]]:
        """Take out the messages whose turn has come, in order."""
        for message in node.order.following():
            self.held -= 1
            yield message
        if not node.order.held:
            self._deadlines.pop(node, None)

    def pass_over(self, node: NodeState) -> bool:
        """Whether the next message that waits is due if those before it came and could not be read."""
        expected = node.order.expected
        if expected is None or not node.order.held:
            return False
        nearest = min(node.order.held, key=lambda seq: distance(expected, seq))
        return fill(node, nearest)

    def give_up(self, node: NodeState) -> list[tuple[Topic, Payload]]:
        """Take out all in order, and go on behind them."""
        self._forget(node)
        return node.order.give_up()

    def stop(self, node: NodeState) -> None:
        """Forget all, and wait for an NBIRTH."""
        self._forget(node)
        node.order.stop()

    def restart(self, node: NodeState, payload: Payload) -> None:
        """Begin a new round of seq; keep what came before its NBIRTH and belongs to it."""
        started = payload.timestamp or 0
        held = len(node.order.held)
        node.order.restart(payload.seq or 0, lambda message: (message[1].timestamp or 0) >= started)
        self.held -= held - len(node.order.held)
        if not node.order.held:
            self._deadlines.pop(node, None)

    def overdue(self, now: int) -> Iterator[NodeState]:
        """Edge nodes whose missing messages did not come in time; give each of them up before the next."""
        while self._deadlines:
            node, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                return
            yield node

    def _forget(self, node: NodeState) -> None:
        self.held -= len(node.order.held)
        self._deadlines.pop(node, None)


def fill(node: NodeState, seq: int) -> bool:
    """Count messages that could not be read as those that are missing before `seq`, if they are enough."""
    expected = node.order.expected
    if expected is None or not (0 <= seq < MODULO and 0 < distance(expected, seq) <= node.unread):
        return False
    node.order.expected, node.unread = seq, 0
    return True
