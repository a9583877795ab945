"""Queue mode (Core 6.5): a device that is deaf to the server most of the time. Times are passed in."""

from pydantic import Field

from iiot.yamlfile import StrictModel


class SleepPlan(StrictModel):
    """How long a device in queue mode sleeps, and listens in between."""

    asleep: float = Field(gt=0, le=86_400)
    """s asleep, at most."""
    awake: float = Field(default=20.0, gt=0, le=86_400)
    """s for which it listens after it woke up, and after each request of the server."""


class SleepCycle:
    """Awake for a while after each wake-up or request, then asleep until it wakes by itself."""

    __slots__ = ("_awake_until", "_plan")

    def __init__(self, plan: SleepPlan | None) -> None:
        self._plan = plan
        self._awake_until = 0.0

    @property
    def planned(self) -> bool:
        """Whether this device ever sleeps."""
        return self._plan is not None

    def stay_awake(self, now: float) -> None:
        """The device woke up, registered, or heard the server."""
        if self._plan is not None:
            self._awake_until = now + self._plan.awake

    def is_asleep(self, now: float) -> bool:
        """Whether it is deaf at `now` (monotonic s)."""
        return self._plan is not None and now >= self._awake_until

    def must_wake(self, now: float) -> bool:
        """Whether it slept long enough."""
        return self._plan is not None and now >= self._awake_until + self._plan.asleep
