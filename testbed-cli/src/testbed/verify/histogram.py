"""A log-linear histogram of latencies: constant memory, relative error bounded."""

from typing import Final

_BITS: Final = 6
_SUB: Final = 1 << _BITS
_LARGEST: Final = (1 << 40) - 1
"""About 35 years of ms; whatever is larger counts as this."""


class Histogram:
    """Counts of non-negative integers, exact below 64 and within 1/64 (1.6 %) above.

    Each power of two is cut into 64 equal buckets, as in HdrHistogram.
    """

    __slots__ = ("_buckets", "count")

    def __init__(self) -> None:
        self.count = 0
        self._buckets = [0] * (_bucket(_LARGEST) + 1)

    def add(self, value: int) -> None:
        """Count a value; negative ones (a clock that runs ahead) count as 0."""
        self._buckets[_bucket(min(max(value, 0), _LARGEST))] += 1
        self.count += 1

    def merge(self, other: "Histogram") -> None:
        """Add all counts of another histogram."""
        for bucket, count in enumerate(other._buckets):  # noqa: SLF001 - of the same class
            self._buckets[bucket] += count
        self.count += other.count

    def up_to(self, value: int) -> int:
        """How many recorded values are not above `value`, within the histogram's error."""
        return sum(count for bucket, count in enumerate(self._buckets) if _upper(bucket) <= value)

    def quantile(self, q: float) -> int | None:
        """The smallest recorded value that a share `q` of all values does not exceed; None when empty."""
        if not self.count:
            return None
        rank = max(1, -int(-q * self.count // 1))
        seen = 0
        for bucket, count in enumerate(self._buckets):
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
