"""How many messages were missing at which time, in bounded memory."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from testbed.verify.ledger import Verdict

MAX_SAMPLES: Final = 600


class Sample(NamedTuple):
    """Messages by path that were sent and not in Kafka at a time, in seconds since the start."""

    seconds: float
    missing: Mapping[str, int]


class History:
    """Samples spread evenly over the time so far; when there are too many, the highest of two stays.

    Attributes:
        samples: in order of time.
    """

    def __init__(self, max_samples: int = MAX_SAMPLES) -> None:
        self.samples: list[Sample] = []
        self._max_samples = max_samples
        self._apart = 0.0

    def add(self, seconds: float, verdict: Verdict) -> None:
        """Note how the books stand."""
        sample = Sample(seconds, {name: totals.lost for name, totals in verdict.paths.items()})
        samples = self.samples
        if len(samples) > 1 and seconds - samples[-2].seconds < self._apart:
            samples[-1] = _joined(samples[-1], sample)
            return
        samples.append(sample)
        if len(samples) > self._max_samples:
            pairs = zip(samples[::2], samples[1::2], strict=False)
            odd = samples[-1:] if len(samples) % 2 else []
            self.samples = [_joined(earlier, later) for earlier, later in pairs] + odd
            self._apart = 2 * seconds / self._max_samples


def _joined(earlier: Sample, later: Sample) -> Sample:
    return Sample(later.seconds, {path: max(n, earlier.missing[path]) for path, n in later.missing.items()})
