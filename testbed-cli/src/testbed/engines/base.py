"""What every engine offers to the command line."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from iiot.errors import IiotError
from testbed.logs.line import LogLine

PartState = Literal["waiting", "starting", "healthy", "unhealthy", "restarting", "done", "stopped", "absent"]


class EngineError(IiotError):
    """The testbed cannot be started or is not running; the message is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What a person may choose at the start."""

    devices: int | None = None
    """None: DEVICE_COUNT of the environment, else two."""
    profile: str | None = None
    bind: str = "127.0.0.1"
    """Address of the TLS listener and the one that devices of other machines connect to."""
    bridges: int | None = None
    """Bridges that share the devices. None: one, or as many as there are."""


@dataclass(frozen=True, slots=True)
class PartStatus:
    """How one part is right now."""

    name: str
    state: PartState
    detail: str = ""
    """What is wrong, or where the part answers."""
    pid: int | None = None
    restarts: int = 0
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Nothing is expected to change: the part serves, has done its work, or is left out on purpose."""
        return self.state in {"healthy", "done", "absent"}


class Engine(Protocol):
    """Starts, watches and stops the parts."""

    name: str

    def start(self, options: UpOptions, report: Callable[[str], None]) -> bool:
        """Start what does not run yet, without waiting for health; whether anything was started.

        `report` is told each step that takes time.

        Raises:
            EngineError, PartError, PackageError, PortInUseError: it cannot start.
        """

    def status(self) -> list[PartStatus]:
        """Every part as it is now; empty when the testbed is not running."""

    def stop(self) -> list[str]:
        """Stop everything; returns what could not be stopped, one line each."""

    def logs(
        self, part: str | None, *, follow: bool, lines: int | None, since: datetime | None = None
    ) -> Iterator[LogLine]:
        """Lines of one part's log or of all in the order of their times, then as they come with `follow`.

        Args:
            part: as `status` names it; None for all.
            follow: go on until the caller stops.
            lines: of each part at most, counted from the end; None for all.
            since: nothing older.

        Raises:
            EngineError: there is no such part.
        """

    def started_ms(self) -> int:
        """When the running testbed was started, UTC ms."""

    def port_offset(self) -> int:
        """By how much the ports of the running testbed differ from the defaults."""
