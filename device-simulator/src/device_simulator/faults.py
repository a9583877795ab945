"""Occasional sensor faults, computed from time: a stuck value, a spike, a dropout."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from device_simulator.waveform import key_of, uniform

SLOT: Final = 600.0
"""Seconds; a sensor has at most one fault in each."""


class FaultKind(Enum):
    """What goes wrong; the value is the range of durations in s."""

    STUCK = (20.0, 120.0)
    """The reading freezes at its last value."""
    SPIKE = (0.2, 2.0)
    """The reading jumps by a quarter of the sensor's range."""
    DROPOUT = (5.0, 40.0)
    """There is no reading."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, from `start` to `end` (s since 1970), of channel number `channel`."""

    kind: FaultKind
    channel: int
    start: float
    end: float
    direction: int


class FaultPlan:
    """All faults of one device, past and future.

    Args:
        key: the device's key.
        per_hour: mean number of faults per hour; 0 is a device that never fails.
        channels: number of channels that can fail.
    """

    __slots__ = ("_channels", "_key", "_probability", "_slot", "_slot_fault")

    def __init__(self, key: int, per_hour: float, channels: int) -> None:
        self._key = key_of(key, "faults")
        self._probability = min(1.0, per_hour * SLOT / 3600.0) if channels else 0.0
        self._channels = channels
        self._slot = -1
        self._slot_fault: Fault | None = None

    def at(self, time: float) -> Fault | None:
        """The fault in force at `time` (s since 1970), if any."""
        slot = int(time // SLOT)
        if slot != self._slot:
            self._slot = slot
            self._slot_fault = self._plan(slot)
        fault = self._slot_fault
        if fault is not None and fault.start <= time < fault.end:
            return fault
        return None

    def _plan(self, slot: int) -> Fault | None:
        draws = [uniform(self._key, slot * 8 + i) for i in range(6)]
        if draws[0] >= self._probability:
            return None
        kind = list(FaultKind)[int(draws[1] * len(FaultKind))]
        shortest, longest = kind.value
        duration = shortest + draws[2] * (longest - shortest)
        start = slot * SLOT + draws[3] * (SLOT - duration)
        return Fault(
            kind, int(draws[4] * self._channels), start, start + duration, 1 if draws[5] < 0.5 else -1
        )
