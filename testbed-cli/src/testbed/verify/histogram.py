"""A log-linear histogram of latencies: constant memory, relative error bounded."""

from collections.abc import Iterable
from typing import Final

_BITS: Final = 6
_SUB: Final = 1 << _BITS
_LARGEST: Final = (1 << 40) - 1
"""About 35 years of ms; whatever is larger counts as this."""


class Histogram:
    """Counts of non-negative integers, exact below 64 and within 1/64 (1.6 %) above.

    Each power of two is cut into 64 equal buckets, as in HdrHistogram.

    Attributes:
        buckets: how many values each bucket holds.
        count: of the values.
        total: their sum.
    """

    __slots__ = ("buckets", "count", "total")

    def __init__(self) -> None:
        self.count = self.total = 0
        self.buckets = [0] * (_bucket(_LARGEST) + 1)

    def add(self, value: int) -> None:
        """Count a value; negative ones (a clock that runs ahead) count as 0."""
        value = min(max(value, 0), _LARGEST)
        self.buckets[_bucket(value)] += 1
        self.count += 1
        self.total += value

    def merge(self, other: "Histogram") -> None:
        """Add all counts of another histogram."""
        for bucket, count in enumerate(other.buckets):
            self.buckets[bucket] += count
        self.count += other.count
        self.total += other.total

    def since(self, earlier: "Histogram") -> "Histogram":
        """What was recorded after `earlier`, a copy of this histogram, was made."""
        later = Histogram()
        later.buckets = [now - then for now, then in zip(self.buckets, earlier.buckets, strict=True)]
        later.count = self.count - earlier.count
        later.total = self.total - earlier.total
        return later

    def up_to(self, bounds: Iterable[int]) -> list[int]:
        """For each of the rising bounds how many values are not above it, within the histogram's error."""
        found: list[int] = []
        seen = bucket = 0
        for bound in bounds:
            while bucket < len(self.buckets) and _upper(bucket) <= bound:
                seen += self.buckets[bucket]
                bucket += 1
            found.append(seen)
        return found

    def quantile(self, q: float) -> int | None:
        """The smallest recorded value that a share `q` of all values does not exceed; None when empty."""
        if not self.count:
            return None
        rank = max(1, -int(-q * self.count // 1))
        seen = 0
        for bucket, count in enumerate(self.buckets):
            seen += count
            if seen >= rank:
                return _upper(bucket)
        raise AssertionError("ranks never exceed the count")


def _bucket(value: int) -> int:
    shift = value.bit_length() - _BITS - 1
    return value if shift < 0 else (shift << _BITS) + (value >> shift)


def _upper(bucket: int) -> int:
    shift = (bucket >> _BITS) - 1
    if shift < 0:
        return bucket
    return ((bucket - (shift << _BITS) + 1) << shift) - 1
