"""What happens at the host, as events to stream."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from iiot.rest import EventRing
from iiot.sparkplug.host_events import LifeEvent, Output, RequestRebirth
from iiot.sparkplug.host_state import MetricState, NodeState, Quality, UnitState
from iiot.sparkplug.metric_json import value_to_json
from iiot.sparkplug.payload import Payload
from iiot.sparkplug.topic import Topic

KEPT: Final = 10_000
"""Newest events in memory, for clients that come back."""
VALUES: Final = "values"
"""The type of event that tells of values."""


class HostEvents:
    """The host's events.

    Attributes:
        ring: holds them.
        life: holds all but values, of which there are so many that births would soon be out of reach.
        listening: whether anyone wants values; those are not kept otherwise.
    """

    def __init__(self) -> None:
        self.ring = EventRing(KEPT, lambda: time.time_ns() // 1000)
        self.life = self.ring.part(lambda kind: kind != VALUES)
        self.listening: Callable[[], bool] = lambda: False

    def outputs(self, outputs: Iterable[Output]) -> None:
        """Births, deaths, stale values, rebirth requests."""
        for output in outputs:
            if isinstance(output, RequestRebirth):
                self.ring.append("rebirth_requested", output.edge_node, {"group": output.group})
            elif isinstance(output, LifeEvent):
                kind = "node" if output.device is None else "device"
                data: dict[str, Any] = {
                    "group": output.group,
                    "device": output.device,
                    "timestamp": output.time,
                }
                if output.online is not None:
                    data["online"] = output.online
                if output.cause is not None:
                    data["cause"] = output.cause.value
                self.ring.append(f"{kind}_{output.change.value}", output.edge_node, data)

    def values(self, topic: Topic, unit: UnitState, payload: Payload) -> None:
        """Current values of the metrics in a DATA message."""
        if not self.listening():
            return
        found = (unit.find(metric) for metric in payload.metrics if not metric.is_historical)
        states = [state for state in found if state is not None]
        data = {
            "group": topic.group,
            "device": topic.device,
            "timestamp": payload.timestamp,
            "values": {state.name: value_to_json(state.value) for state in states},
            "not_good": dict(_not_good(unit, states)),
        }
        self.ring.append(VALUES, topic.edge_node, data)

    def written(self, node: NodeState, device: str | None, metric: str, value: Any) -> None:
        """A command left."""
        data = {"group": node.group, "device": device, "metric": metric, "value": value_to_json(value)}
        self.ring.append("written", node.edge_node, data)


def _not_good(unit: UnitState, states: Iterable[MetricState]) -> Iterator[tuple[str, dict[str, str | None]]]:
    for state in states:
        quality = unit.quality(state)
        if quality is not Quality.GOOD:
            yield state.name, {"quality": quality.value, "reason": state.quality()[1]}
