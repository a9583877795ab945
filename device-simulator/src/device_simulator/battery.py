"""A device's power supply, computed from time."""

from typing import Literal

from pydantic import Field

from device_simulator.waveform import key_of, uniform
from device_simulator.yamlfile import StrictModel

LOW = 15
"""Per cent below which a device reports a low battery (object 3, resource 20 value 4)."""
_CHARGING_SHARE = 0.08


class BatterySpec(StrictModel):
    """The supply of a kind of device."""

    supply: Literal["replaceable", "rechargeable", "mains"]
    hours: float = Field(default=24.0, gt=0)
    """From full to exchange or recharge; each device differs by up to 20 %."""
    millivolts: tuple[int, int] = (3000, 3600)
    """Voltage when empty and when full."""


class Battery:
    """Level and voltage of one device's supply."""

    __slots__ = ("_key", "_length", "_offset", "_spec")

    def __init__(self, spec: BatterySpec, key: int) -> None:
        self._spec = spec
        self._key = key_of(key, "battery")
        self._length = spec.hours * 3600.0 * (0.8 + 0.4 * uniform(self._key, 0))
        self._offset = self._length * uniform(self._key, 1)

    def level(self, time: float) -> int:
        """Charge in per cent at `time` (s since 1970)."""
        return round(self._charge(time)[0])

    def status(self, time: float) -> int:
        """Object 3, resource 20: 0 normal, 1 charging, 4 low, 5 not installed (mains)."""
        if self._spec.supply == "mains":
            return 5
        charge, charging = self._charge(time)
        if charging:
            return 1
        return 4 if charge < LOW else 0

    def millivolts(self, time: float) -> int:
        """Voltage of the supply in mV at `time` (s since 1970)."""
        empty, full = self._spec.millivolts
        return round(empty + (full - empty) * self._charge(time)[0] / 100.0)

    @property
    def power_source(self) -> int:
        """Object 3, resource 6: 1 internal battery, 6 AC."""
        return 6 if self._spec.supply == "mains" else 1

    def _charge(self, time: float) -> tuple[float, bool]:
        if self._spec.supply == "mains":
            return 100.0, False
        cycle, phase = divmod((time + self._offset) / self._length, 1.0)
        depth = 75.0 + 22.0 * uniform(self._key, 2 + int(cycle))
        drained = 1.0 - _CHARGING_SHARE if self._spec.supply == "rechargeable" else 1.0
        if phase < drained:
            return 100.0 - depth * (phase / drained), False
        return 100.0 - depth * (1.0 - phase) / _CHARGING_SHARE, True
