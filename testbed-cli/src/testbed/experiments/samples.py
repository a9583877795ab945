"""What is measured each second of a run, and what follows from it. Pure: no sockets, no clock."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from testbed.experiments.model import PHASES
from testbed.verify.histogram import Histogram
from testbed.verify.paths import PATHS

CALM: Final = 3
"""Seconds in a row in which traffic has to be as before to count as recovered."""
BUSY: Final = 3.0
"""Records per second from which on a path may not be silent for a second."""
RATE_SHARE: Final = 0.8
"""Share of the rate before the disturbance that counts as before."""


@dataclass(slots=True)
class Sample:
    """One second.

    Attributes:
        at: UTC ms at its end.
        records: records per second found in Kafka, on all paths together.
        sent: messages per second counted by the devices; None while a count is missing.
        p50, p99: ms from device to Kafka of what arrived in this second; None when nothing did.
        outstanding: messages counted by devices and not in Kafka yet.
        rest_ms: the LwM2M server's slowest answer to a small question in this second; None: none.
        paths: records per second by path.
    """

    at: int
    phase: str
    records: float
    sent: float | None
    p50: int | None
    p99: int | None
    outstanding: int
    rest_ms: float | None = None
    paths: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For the page and the report."""
        return asdict(self)


@dataclass(slots=True)
class Phases:
    """Latencies by the phase in which a message was sent, and answers of the REST API by phase.

    Attributes:
        began: UTC ms at which each phase began.
    """

    began: dict[str, int] = field(default_factory=dict)
    ended: int | None = None
    latency: dict[str, Histogram] = field(default_factory=lambda: {phase: Histogram() for phase in PHASES})
    paths: dict[str, dict[str, Histogram]] = field(
        default_factory=lambda: {path.name: {phase: Histogram() for phase in PHASES} for path in PATHS}
    )
    # In µs: an answer takes about one ms.
    rest: dict[str, Histogram] = field(default_factory=lambda: {phase: Histogram() for phase in PHASES})

    @property
    def current(self) -> str:
        """The phase that began last."""
        return max(self.began, key=lambda phase: PHASES.index(phase)) if self.began else PHASES[0]

    def of(self, moment: int) -> str | None:
        """The phase of a moment (UTC ms); None before the first."""
        return next((phase for phase in reversed(PHASES) if moment >= self.began.get(phase, 1 << 62)), None)

    def note(self, path: str, sent_ms: int, stored_ms: int) -> None:
        """Count a message's latency in the phase in which it was sent."""
        phase = self.of(sent_ms)
        if phase is not None:
            self.latency[phase].add(stored_ms - sent_ms)
            self.paths[path][phase].add(stored_ms - sent_ms)

    def seconds(self, phase: str) -> float | None:
        """How long a phase took; None while it has not ended."""
        later = [self.began[name] for name in PHASES[PHASES.index(phase) + 1 :] if name in self.began]
        end = later[0] if later else self.ended
        return None if end is None or phase not in self.began else (end - self.began[phase]) / 1000


def mean_rate(samples: Iterable[Sample], phase: str) -> float | None:
    """Records per second over a phase; None when nothing was measured in it."""
    found = [sample.records for sample in samples if sample.phase == phase]
    return sum(found) / len(found) if found else None


def busy_paths(samples: Sequence[Sample]) -> list[str]:
    """The paths on which so much came before that a second without a record means something."""
    before = [sample.paths for sample in samples if sample.phase == PHASES[0]]
    sums: dict[str, float] = {}
    for paths in before:
        for name, rate in paths.items():
            sums[name] = sums.get(name, 0.0) + rate
    return [name for name, rate in sums.items() if rate >= BUSY * len(before)]


def longest_silence(samples: Sequence[Sample]) -> int:
    """The longest run of seconds without a record on one of the busy paths, from the disturbance on."""
    longest = 0
    for name in busy_paths(samples):
        silent = 0
        for sample in samples:
            silent = silent + 1 if sample.phase != PHASES[0] and not sample.paths.get(name) else 0
            longest = max(longest, silent)
    return longest


def recovery(samples: Sequence[Sample], disturbed_until: int) -> float | None:
    """Seconds from the end of the disturbance until traffic is as before for `CALM` seconds.

    As before means: at least 80 % of the records per second, none of the busy paths silent, and no more
    than a second's worth of messages on their way beyond what was outstanding then.

    Args:
        samples: of the whole run so far, in order.
        disturbed_until: UTC ms.

    Returns:
        None when it has not come to that.
    """
    rate = mean_rate(samples, PHASES[0])
    if not rate:
        return None
    usual = max((sample.outstanding for sample in samples if sample.phase == PHASES[0]), default=0)
    busy = busy_paths(samples)
    after = [sample for sample in samples if sample.at > disturbed_until]
    for index, first in enumerate(after):
        run = after[index : index + CALM]
        calm = all(
            sample.records >= RATE_SHARE * rate
            and sample.outstanding <= usual + rate
            and all(sample.paths.get(name) for name in busy)
            for sample in run
        )
        if len(run) == CALM and calm:
            return max(0.0, (first.at - disturbed_until) / 1000 - 1)
    return None
