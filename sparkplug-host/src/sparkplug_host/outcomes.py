"""What edge nodes report back of what was written."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from iiot.errors import IiotError
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.host_state import MetricState, NodeState, UnitState
from iiot.sparkplug.payload import REBIRTH, Metric, Parameter, Payload, Template, Value, encode_payload
from iiot.sparkplug.topic import BIRTHS, MessageType, Topic

MOST_WAITERS: Final = 100
"""Requests that wait for an outcome at a time."""


class TooManyWaitError(IiotError):
    """As many requests wait as may."""


class Report:
    """What an edge node says of a metric after a write.

    Attributes:
        is_accepted: it reported the written value, or followed the rebirth request.
        is_reported: it reported some value, or null.
        value: the last one reported.
    """

    def __init__(self, metric: str, datatype: DataType, written: Value | None) -> None:
        self.metric = metric
        self.is_accepted = self.is_reported = False
        self.value: Value | None = None
        self._datatype, self._written = datatype, written
        self._over = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Until the value is accepted, or the time is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)

    def end(self) -> None:
        """Nothing more is to come."""
        self._over.set()

    def take(self, topic: Topic, unit: UnitState, payload: Payload) -> None:
        """Look for the metric in a message of its edge node or device, which `unit` has taken over."""
        state = unit.metrics.get(self.metric)
        if state is None:
            return
        told = (metric for metric in payload.metrics if not metric.is_historical)
        if topic.message_type not in BIRTHS and not any(unit.find(metric) is state for metric in told):
            return
        self.is_reported, self.value = True, state.value
        if self.metric == REBIRTH and topic.device is None:
            self.is_accepted = topic.message_type is MessageType.NBIRTH
        else:
            self.is_accepted = state.fault is None and is_same(self._datatype, self._written, state.value)
        if self.is_accepted:
            self.end()


class Outcomes:
    """All reports that requests wait for."""

    def __init__(self) -> None:
        self._expected: dict[tuple[str, str, str | None], list[Report]] = {}
        self._count = 0

    @contextmanager
    def expect(
        self, node: NodeState, device: str | None, metric: MetricState, written: Value | None
    ) -> Iterator[Report]:
        """Collect what is reported of a metric inside the block.

        Raises:
            TooManyWaitError: `MOST_WAITERS` wait already.
        """
        if self._count >= MOST_WAITERS:
            raise TooManyWaitError(f"{MOST_WAITERS} writes wait for their outcome already")
        key, report = (node.group, node.edge_node, device), Report(metric.name, metric.datatype, written)
        self._expected.setdefault(key, []).append(report)
        self._count += 1
        try:
            yield report
        finally:
            self._count -= 1
            self._expected[key].remove(report)
            if not self._expected[key]:
                del self._expected[key]

    def take(self, topic: Topic, unit: UnitState, payload: Payload) -> None:
        """A birth or data message was taken over by `unit`."""
        if self._expected:
            for report in self._expected.get((topic.group, topic.edge_node, topic.device), ()):
                report.take(topic, unit, payload)

    def end(self) -> None:
        """The service stops."""
        for reports in self._expected.values():
            for report in reports:
                report.end()


def is_same(datatype: DataType | None, written: Value | None, reported: Value | None) -> bool:
    """Whether both travel as the same bytes; of a Template only what was written counts."""
    if isinstance(written, Template) and isinstance(reported, Template):
        return _are_same(written.metrics, reported.metrics) and _are_same(
            written.parameters, reported.parameters
        )
    if datatype is DataType.UUID and isinstance(written, str) and isinstance(reported, str):
        return written.lower() == reported.lower()
    first, second = (
        encode_payload(Payload(metrics=[Metric("v", value, datatype)])) for value in (written, reported)
    )
    return first == second


def _are_same(written: list[Metric] | list[Parameter], reported: list[Metric] | list[Parameter]) -> bool:
    found = {entry.name: entry for entry in reported}
    return all(
        entry.name in found and is_same(found[entry.name].datatype, entry.value, found[entry.name].value)
        for entry in written
    )
