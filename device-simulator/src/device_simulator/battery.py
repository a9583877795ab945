"""A device's power supply, computed from time."""

from typing import Literal

from pydantic import Field

from device_simulator.waveform import key_of, uniform
from iiot.yamlfile import StrictModel

LOW = 15
"""Per cent below which a device reports a low battery ."""
STATUS_NORMAL, STATUS_CHARGING, STATUS_LOW, STATUS_NOT_INSTALLED = 0, 1, 4, 5
"""Values of object 3, resource 20."""
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
        """Object 3, resource 20; mains counts as a battery that is not installed."""
        if self._spec.supply == "mains":
            return STATUS_NOT_INSTALLED
        charge, charging = self._charge(time)
        if charging:
            return STATUS_CHARGING
        return STATUS_LOW if charge < LOW else STATUS_NORMAL

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
        depth = 88.0 + 10.0 * uniform(self._key, 2 + int(cycle))
        drained = 1.0 - _CHARGING_SHARE if self._spec.supply == "rechargeable" else 1.0
        if phase < drained:
            return 100.0 - depth * (phase / drained), False
        return 100.0 - depth * (1.0 - phase) / _CHARGING_SHARE, True
