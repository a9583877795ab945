"""Signals as pure functions of time: daily cycle, slow wander, on/off duty, noise, and their integral.

Nothing is stepped: a value needs only the device's key and the instant. So ten thousand devices cost
no state, a device that was away goes on where physics would have taken it, and a seed repeats a run
value for value.
"""

import math
from hashlib import blake2b

from pydantic import Field

from iiot.yamlfile import StrictModel

DAY = 86_400.0
"""Seconds."""
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_TRIANGULAR_TO_UNIT = math.sqrt(6)
"""The sum of two uniform numbers, centred, times this has a standard deviation of 1."""


def key_of(*parts: object) -> int:
    """A 64-bit key from a seed and names; different names give unrelated keys."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _mix(key: int, index: int) -> int:
    # SplitMix64's output function: one well mixed 64-bit number for each (key, index), no state.
    z = (key + index * _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def uniform(key: int, index: int) -> float:
    """The `index`-th random number of this key, uniform in 0 ... 1."""
    return (_mix(key, index) >> 11) * 2.0**-53


def noise(key: int, index: int) -> float:
    """The `index`-th noise value of this key: triangular, mean 0, standard deviation 1, within ±2.45."""
    z = _mix(key, index)
    return (((z & 0xFFFFFFFF) + (z >> 32)) * 2.0**-32 - 1.0) * _TRIANGULAR_TO_UNIT


class Shape(StrictModel):
    """What a signal looks like, in its own unit."""

    base: float
    """Mean over a long time."""
    spread: float = Field(default=0.0, ge=0)
    """Each device's own offset, at most this much up or down."""
    daily: float = Field(default=0.0, ge=0)
    """Half the difference between the highest and the lowest hour of a day."""
    peak_hour: float = Field(default=15.0, ge=0, lt=24)
    """UTC hour of the highest value."""
    wander: float = Field(default=0.0, ge=0)
    """Size of the slow, irregular movement (weather, occupancy)."""
    wander_hours: float = Field(default=30.0, gt=0)
    """Its longer period; a shorter one, not in step with it, is mixed in."""
    drift_per_year: float = Field(default=0.0, ge=0)
    """How far a sensor of this kind ages away from the truth in a year, at most."""
    noise: float = Field(default=0.0, ge=0)
    """Standard deviation of the noise of one reading."""
    duty: float = Field(default=1.0, gt=0, le=1)
    """Share of the time at which the machine runs; 1 is always."""
    duty_minutes: float = Field(default=10.0, gt=0)
    """How long it stays in one state at least."""
    idle: float = Field(default=0.0, ge=0)
    """The signal's share that is left when it does not run."""

    @property
    def lowest(self) -> float:
        """A bound from below on the smooth part: a meter that adds it up must not run backwards."""
        return self.base - self.spread - self.daily - self.wander


class Wave:
    """One signal of one device."""

    __slots__ = ("_base", "_drift", "_duty", "_duty_key", "_noise", "_noise_key", "_terms")

    def __init__(self, shape: Shape, key: int) -> None:
        own = 2.0 * uniform(key, 0) - 1.0
        self._base = shape.base + shape.spread * own
        self._drift = shape.drift_per_year / (365 * DAY) * (2.0 * uniform(key, 1) - 1.0)
        turn = 2 * math.pi
        day = turn / DAY
        slow = turn / (shape.wander_hours * 3600.0)
        fast = slow * (math.sqrt(5) + uniform(key, 2))
        terms = (
            (shape.daily, day, math.pi / 2 - day * shape.peak_hour * 3600.0),
            (shape.wander * 0.7, slow, turn * uniform(key, 3)),
            (shape.wander * 0.3, fast, turn * uniform(key, 4)),
        )
        self._terms = tuple(term for term in terms if term[0])
        self._noise = shape.noise
        self._noise_key = key_of(key, "noise")
        self._duty = (shape.duty, shape.duty_minutes * 60.0, shape.idle) if shape.duty < 1 else None
        self._duty_key = key_of(key, "duty")

    def value(self, time: float, index: int) -> float:
        """The signal with its noise.

        Args:
            time: s since 1970, UTC, of the simulated world.
            index: number of the reading; chooses its noise.
        """
        value = self._smooth(time)
        if self._noise:
            value += self._noise * noise(self._noise_key, index)
        if self._duty is not None:
            share, slot, idle = self._duty
            if uniform(self._duty_key, int(time // slot)) >= share:
                value *= idle
        return value

    def integral(self, time: float, since: float) -> float:
        """Integral of the smooth part over time from `since` to `time`, in unit * s."""
        total = self._base * (time - since)
        for size, omega, phase in self._terms:
            total += size / omega * (math.cos(omega * since + phase) - math.cos(omega * time + phase))
        return total

    def _smooth(self, time: float) -> float:
        value = self._base
        if self._drift:
            # Ageing is a triangle of two years, so that it stays bounded however long the world runs.
            value += self._drift * (365 * DAY - abs(time % (730 * DAY) - 365 * DAY))
        for size, omega, phase in self._terms:
            value += size * math.sin(omega * time + phase)
        return value
