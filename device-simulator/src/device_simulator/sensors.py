"""The sensors of one device: one reading for both protocols, with faults, extremes and a switched load."""

from typing import Final

from device_simulator.faults import FaultKind, FaultPlan
from device_simulator.kind import Channel, Kind
from device_simulator.waveform import DAY, Wave, key_of, uniform

INSTALLED: Final = 1_577_836_800.0
"""2020-01-01 UTC, in s since 1970: meters were installed within the two years before."""
SPIKE_SHARE: Final = 0.25


class Sensors:
    """All channels of one device, in the order of its kind.

    Attributes:
        minimum: lowest reading of each channel since start or reset; None before the first.
        maximum: highest reading, likewise.
        is_on: state of the switched output.

    Args:
        kind: what the device measures.
        key: the device's key, from seed and id.
        fault_factor: multiplies the kind's own rate of faults.
    """

    __slots__ = (
        "_derived",
        "_fault_channels",
        "_faults",
        "_index",
        "_key",
        "_kind",
        "_load",
        "_on_seconds",
        "_on_since",
        "_position",
        "_values",
        "_waves",
        "_zero",
        "is_on",
        "maximum",
        "minimum",
    )

    def __init__(self, kind: Kind, key: int, fault_factor: float = 1.0) -> None:
        self._kind = kind
        self._key = key
        self._position = {channel.metric: i for i, channel in enumerate(kind.channels)}
        self._waves = [
            (i, Wave(channel.signal, key_of(key, channel.metric)), channel)
            for i, channel in enumerate(kind.channels)
            if channel.signal
        ]
        self._derived = [(i, channel) for i, channel in enumerate(kind.channels) if not channel.signal]
        self._fault_channels = len(self._waves)
        self._faults = FaultPlan(key, kind.faults_per_hour * fault_factor, self._fault_channels)
        size = len(kind.channels)
        self.minimum: list[float | None] = [None] * size
        self.maximum: list[float | None] = [None] * size
        self._load = [kind.switch.adds.get(c.metric, 0.0) if kind.switch else 0.0 for c in kind.channels]
        self._zero = [0.0] * size
        self.is_on = False
        self._on_since = 0.0
        self._on_seconds = 0.0
        self._index = -1
        self._values: list[float | None] = [None] * size

    def read(self, time: float, index: int) -> list[float | None]:
        """The readings; None where a sensor does not answer. The same `index` gives the same list again.

        Args:
            time: s since 1970 of the simulated world.
            index: number of the reading; `time` follows from it.
        """
        if index == self._index:
            return self._values
        values: list[float | None] = [None] * len(self._values)
        for i, wave, channel in self._waves:
            value = wave.value(time, index)
            if self.is_on:
                value += self._load[i]
            values[i] = _reported(value, channel)
        self._apply_fault(time, values)
        for i, channel in self._derived:
            values[i] = self._derive(channel, values, time, self._zero[i])
        self._index, self._values = index, values
        self._track_extremes(values)
        return values

    def switch(self, on: bool, time: float) -> None:
        """Turn the switched output on or off at `time`."""
        if on == self.is_on:
            return
        if on:
            self._on_since = time
        else:
            self._on_seconds += time - self._on_since
        self.is_on = on
        self._index = -1

    def reset_extremes(self, channel: int) -> None:
        """Forget the lowest and highest reading of one channel but the present one (resource 5605)."""
        self.minimum[channel] = self.maximum[channel] = self._values[channel]

    def reset_total(self, channel: int) -> None:
        """Let a channel that sums up another one count from 0 (resource 5822)."""
        self._zero[channel] += self._values[channel] or 0.0
        self._index = -1

    def failed(self, time: float) -> bool:
        """Whether a sensor does not answer at `time`."""
        fault = self._faults.at(time)
        return fault is not None and fault.kind is FaultKind.DROPOUT

    def _apply_fault(self, time: float, values: list[float | None]) -> None:
        fault = self._faults.at(time)
        if fault is None:
            return
        i, wave, channel = self._waves[fault.channel]
        if fault.kind is FaultKind.DROPOUT:
            values[i] = None
        elif fault.kind is FaultKind.STUCK:
            values[i] = _reported(wave.value(fault.start, int(fault.start)), channel)
        else:
            low, high = channel.range
            value = values[i] or 0.0
            values[i] = _reported(value + fault.direction * SPIKE_SHARE * (high - low), channel)

    def _derive(self, channel: Channel, values: list[float | None], time: float, zero: float) -> float | None:
        if channel.quotient_of is not None:
            above, below = (values[self._position[name]] for name in channel.quotient_of)
            return _reported(above / below * channel.scale, channel) if above is not None and below else None
        source = self._position[channel.integral_of or ""]
        wave = next(wave for i, wave, _ in self._waves if i == source)
        installed = INSTALLED - 730 * DAY * uniform(self._key, 5)
        on = self._on_seconds + (time - self._on_since if self.is_on else 0.0)
        total = (wave.integral(time, installed) + self._load[source] * on) * channel.scale
        return _reported(total - zero, channel)

    def _track_extremes(self, values: list[float | None]) -> None:
        lows, highs = self.minimum, self.maximum
        for i, value in enumerate(values):
            if value is None:
                continue
            low, high = lows[i], highs[i]
            if low is None or value < low:
                lows[i] = value
            if high is None or value > high:
                highs[i] = value


def _reported(value: float, channel: Channel) -> float:
    low, high = channel.range
    return round(min(max(value, low), high), channel.decimals)
