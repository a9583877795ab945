"""Messages of all edge nodes that came too early, and how long they wait for those before them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iiot.sparkplug.sequence import MODULO, distance
from iiot.sparkplug.weight import weight_of_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iiot.sparkplug.host_policy import HostPolicy
    from iiot.sparkplug.host_state import NodeState
    from iiot.sparkplug.payload import Payload
    from iiot.sparkplug.topic import Topic


_ALL: Final = 4
"""Edge nodes whose waiting messages may fill their bytes at a time."""


class WaitingMessages:
    """Keeps the limits of what waits in the `order` of edge nodes.

    Attributes:
        held: messages that wait.
    """

    def __init__(self, policy: HostPolicy) -> None:
        self.held = 0
        self._policy = policy
        self._weights: dict[NodeState, int] = {}
        self._bytes = 0
        self._deadlines: dict[NodeState, int] = {}  # in the order of time: all wait equally long

    def hold(self, node: NodeState, seq: int, topic: Topic, payload: Payload, now: int) -> bool:
        """Keep a message that came too early; False when there is no room."""
        size = len(payload.metrics) + sum(len(held.metrics) for _, held in node.order.held.values())
        weight = weight_of_message(payload)
        of_node = self._weights.get(node, 0) + weight
        room = (
            self.held < self._policy.reorder_capacity
            and size <= self._policy.reorder_metrics
            and of_node <= self._policy.reorder_bytes
            and self._bytes + weight <= _ALL * self._policy.reorder_bytes
        )
        if not room or not node.order.hold(seq, (topic, payload)):
            return False
        self.held += 1
        self._weights[node] = of_node
        self._bytes += weight
        self._deadlines.setdefault(node, now + self._policy.reorder_timeout)
        return True

    def following(self, node: NodeState) -> Iterator[tuple[Topic, Payload]]:
        """Take out the messages whose turn has come, in order."""
        for message in node.order.following():
            self.held -= 1
            yield message
        self._weigh(node)

    def pass_over(self, node: NodeState) -> bool:
        """Whether the next message that waits is due if those before it came and could not be read."""
        expected = node.order.expected
        if expected is None or not node.order.held:
            return False
        nearest = min(node.order.held, key=lambda seq: distance(expected, seq))
        return fill(node, nearest)

    def give_up(self, node: NodeState) -> list[tuple[Topic, Payload]]:
        """Take out all in order, and go on behind them."""
        messages = node.order.give_up()
        self.held -= len(messages)
        self._weigh(node)
        return messages

    def stop(self, node: NodeState) -> None:
        """Forget all, and wait for an NBIRTH."""
        self.held -= len(node.order.held)
        node.order.stop()
        self._weigh(node)

    def restart(self, node: NodeState, payload: Payload) -> None:
        """Begin a new round of seq; keep what came before its NBIRTH and belongs to it."""
        started = payload.timestamp or 0
        held = len(node.order.held)
        node.order.restart(payload.seq or 0, lambda message: (message[1].timestamp or 0) >= started)
        self.held -= held - len(node.order.held)
        self._weigh(node)

    def overdue(self, now: int) -> Iterator[NodeState]:
        """Edge nodes whose missing messages did not come in time; give each of them up before the next."""
        while self._deadlines:
            node, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                return
            yield node

    def _weigh(self, node: NodeState) -> None:
        """Take account of messages that wait no longer."""
        before = self._weights.pop(node, 0)
        after = sum(weight_of_message(payload) for _, payload in node.order.held.values())
        self._bytes += after - before
        if node.order.held:
            self._weights[node] = after
        else:
            self._deadlines.pop(node, None)


def fill(node: NodeState, seq: int) -> bool:
    """Count messages that could not be read as those that are missing before `seq`, if they are enough."""
    expected = node.order.expected
    if expected is None or not (0 <= seq < MODULO and 0 < distance(expected, seq) <= node.unread):
        return False
    node.order.expected, node.unread = seq, 0
    return True
