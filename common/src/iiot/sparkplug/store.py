"""Store and forward: samples taken while an edge node is offline, and report by exception."""

from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from iiot.sparkplug.payload import Value


class DropPolicy(StrEnum):
    """Which sample gives way when the store is full."""

    OLDEST = "oldest"
    NEWEST = "newest"


class Sample(NamedTuple):
    """Values of one message that could not be sent. `acquired` in UTC ms; `device` None: the node."""

    device: str | None
    acquired: int
    values: Mapping[str, Value | None]


class SampleStore:
    """A bounded queue of samples, oldest first.

    After the births of the next session the caller drains it at its own pace and sends each sample
    with `EdgeNode.data(…, acquired=sample.acquired)`, which marks it historical.

    Attributes:
        dropped: samples lost because the store was full.
    """

    def __init__(self, capacity: int, policy: DropPolicy = DropPolicy.OLDEST) -> None:
        self._samples: deque[Sample] = deque()
        self._capacity = capacity
        self._policy = policy
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._samples)

    def put(self, sample: Sample) -> None:
        """Keep a sample; when the store is full, one is dropped by the policy and counted."""
        if len(self._samples) >= self._capacity:
            self.dropped += 1
            if self._policy is DropPolicy.NEWEST or not self._samples:
                return
            self._samples.popleft()
        self._samples.append(sample)

    @property
    def first(self) -> Sample | None:
        """The oldest sample, which `take` would return."""
        return self._samples[0] if self._samples else None

    def take(self, count: int) -> list[Sample]:
        """Remove and return up to `count` samples, oldest first."""
        return [self._samples.popleft() for _ in range(min(count, len(self._samples)))]


class ChangeFilter:
    """Report by exception: lets through only values that changed.

    Args:
        deadbands: by metric name, how far a number must move from the last reported one; metrics
            without an entry are reported on any change.
    """

    def __init__(self, deadbands: Mapping[str, float] | None = None) -> None:
        self._deadbands = dict(deadbands or {})
        self._reported: dict[str, Value | None] = {}

    def select(self, values: Mapping[str, Value | None]) -> dict[str, Value | None]:
        """Return the values to report, and remember them as reported."""
        changed = {name: value for name, value in values.items() if self._differs(name, value)}
        self._reported.update(changed)
        return changed

    def reset(self, values: Mapping[str, Value | None]) -> None:
        """A birth reported all these values."""
        self._reported = dict(values)

    def _differs(self, name: str, value: Value | None) -> bool:
        if name not in self._reported:
            return True
        last = self._reported[name]
        deadband = self._deadbands.get(name)
        if deadband is None or not isinstance(value, int | float) or not isinstance(last, int | float):
            return value != last
        return abs(value - last) > deadband
