"""The firmware update of a device: the state machine of object 5 (Core appendix E.6), times passed in.

Its owner downloads what `download_wanted` names, tells how that ended, calls `tick` now and then and
restarts the device when `tick` says so.
"""

from contextlib import suppress
from enum import IntEnum
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import Field

from device_simulator.firmware_package import Package, read_package
from iiot.errors import IiotError
from iiot.yamlfile import StrictModel

SCHEMES: Final = {"http": 2, "https": 3}
"""Schemes of a Package URI that can be pulled, with their numbers in /5/0/8."""
CRITICAL: Final = 0


class State(IntEnum):
    """Resource /5/0/3."""

    IDLE = 0
    DOWNLOADING = 1
    DOWNLOADED = 2
    UPDATING = 3


class Result(IntEnum):
    """Resource /5/0/5."""

    INITIAL = 0
    SUCCESS = 1
    NO_FLASH = 2
    NO_MEMORY = 3
    CONNECTION_LOST = 4
    INTEGRITY = 5
    PACKAGE_TYPE = 6
    INVALID_URI = 7
    UPDATE_FAILED = 8
    PROTOCOL = 9
    CANCELLED = 10
    DEFERRED = 11


Outcome = Literal[
    "success",
    "no-flash",
    "no-memory",
    "connection-lost",
    "integrity",
    "package-type",
    "invalid-uri",
    "update-failed",
    "protocol",
]
_RESULTS: Final = {outcome.name.lower().replace("_", "-"): outcome for outcome in Result}
_AT_DOWNLOAD: Final = frozenset(range(Result.NO_FLASH, Result.INVALID_URI))
_AT_URI: Final = (Result.INVALID_URI, Result.PROTOCOL)


class FirmwarePlan(StrictModel):
    """How updates of a device go."""

    result: Outcome = "success"
    """What every update ends in, whatever the package; `success` leaves it to the package."""
    download: float = Field(default=2.0, ge=0, le=86_400)
    """s that a download takes at least."""
    install: float = Field(default=3.0, ge=0, le=86_400)
    """s from Execute /5/0/2 until the device restarts."""
    defer: float = Field(default=0.0, ge=0)
    """s for which a device puts a non-critical update off, if /5/0/13 allows."""
    flash: int = Field(default=64 * 2**20, ge=1)
    """Bytes of the largest package that fits."""


class NotAllowedError(IiotError):
    """The state does not allow the request: 4.05."""


class Firmware:
    """Object 5 of one device, and the version that it runs (/3/0/3).

    Attributes:
        version: of the running firmware.
        package_name: of the last package, resource 6.
        package_version: resource 7.
        uri: Package URI, resource 1.
        changed_at: monotonic s of the last change of state, None before the first.
        severity: resource 11.
        max_defer: resource 13, s.
        automatic: resource 14.
        download_wanted: the URI to download; its owner takes it by `start_download`.
    """

    __slots__ = (
        "_due",
        "_model",
        "_package",
        "_plan",
        "_ready_at",
        "automatic",
        "changed_at",
        "download_wanted",
        "max_defer",
        "package_name",
        "package_version",
        "result",
        "severity",
        "state",
        "uri",
        "version",
    )

    def __init__(self, version: str, model: str, plan: FirmwarePlan) -> None:
        self.version = version
        self._model = model
        self._plan = plan
        self.state = State.IDLE
        self.result = Result.INITIAL
        self.package_name = ""
        self.package_version = ""
        self.uri = ""
        self.changed_at: float | None = None
        self.severity = 1
        self.max_defer = 0
        self.automatic = False
        self.download_wanted: str | None = None
        self._package: Package | Result | None = None
        self._ready_at = 0.0
        self._due: float | None = None

    @property
    def busy(self) -> bool:
        """Time makes a difference: `tick` must be called."""
        return self.state in (State.DOWNLOADING, State.UPDATING) or self._due is not None

    @property
    def flash(self) -> int:
        """Bytes of the largest package that fits."""
        return self._plan.flash

    def check_write(self, *, empty: bool) -> None:
        """Whether a package or URI can be written now; an empty one gives up what was there.

        Raises:
            NotAllowedError: an update is under way.
        """
        if empty and self.state is State.UPDATING:
            raise NotAllowedError("the package is being installed")
        if not empty and self.state is not State.IDLE:
            raise NotAllowedError("an update is under way; write an empty value or execute /5/0/10 first")

    def write_package(self, data: bytes, now: float) -> None:
        """Write /5/0/0: push. Empty, or one zero byte, gives up what was there.

        Raises:
            NotAllowedError: an update is under way.
        """
        if data in (b"", b"\0"):
            self._reset(now)
            return
        self._begin(now)
        self._package = read_package(data)

    def write_uri(self, uri: str, now: float) -> None:
        """Write /5/0/1: pull. Empty gives up what was there.

        Raises:
            NotAllowedError: an update is under way.
        """
        if not uri:
            self._reset(now)
            return
        self._begin(now)
        self.uri = uri
        problem = _RESULTS[self._plan.result] if _RESULTS[self._plan.result] in _AT_URI else _uri_problem(uri)
        if problem is not None:
            self._end(problem, now)
        else:
            self.download_wanted = uri

    def start_download(self) -> str | None:
        """The URI to download now, once; None when there is none."""
        uri, self.download_wanted = self.download_wanted, None
        return uri

    def downloaded(self, outcome: Package | Result, now: float) -> None:
        """The download ended, with a package or with the reason for having none.

        It takes effect when the shortest time of a download has passed; after a cancel, never.
        """
        if self.state is State.DOWNLOADING:
            self._package = outcome
            self.tick(now)

    def execute_update(self, now: float) -> None:
        """Execute /5/0/2.

        Raises:
            NotAllowedError: no package is there.
        """
        if self.state is not State.DOWNLOADED:
            raise NotAllowedError("there is no downloaded package to install")
        pause = min(self._plan.defer, self.max_defer) if self.severity != CRITICAL else 0.0
        if pause and self._due is None:
            self.result = Result.DEFERRED
            self._due = now + pause
        else:
            self._install(now)

    def cancel(self, now: float) -> None:
        """Execute /5/0/10.

        Raises:
            NotAllowedError: nothing is under way, or the installation has begun.
        """
        if self.state not in (State.DOWNLOADING, State.DOWNLOADED):
            raise NotAllowedError("there is nothing to cancel, or it is being installed")
        self._end(Result.CANCELLED, now)

    def tick(self, now: float) -> bool:
        """Let time pass; True when the new firmware is in place and the device must restart."""
        if self.state is State.DOWNLOADING and self._package is not None and now >= self._ready_at:
            self._finish_download(now)
        elif self._due is not None and now >= self._due:
            if self.state is State.DOWNLOADED:
                self._install(now)
            else:
                return self._finish_install(now)
        return False

    def _begin(self, now: float) -> None:
        self.check_write(empty=False)
        self.result = Result.INITIAL
        self._package = None
        self._ready_at = now + self._plan.download
        self._enter(State.DOWNLOADING, now)

    def _finish_download(self, now: float) -> None:
        outcome = self._verdict()
        if isinstance(outcome, Result):
            self._end(outcome, now)
            return
        self.package_name, self.package_version = outcome.name, outcome.version
        self._enter(State.DOWNLOADED, now)
        if self.automatic:
            self._install(now)

    def _verdict(self) -> Package | Result:
        forced, outcome = _RESULTS[self._plan.result], self._package
        if forced in _AT_DOWNLOAD:
            return forced
        if not isinstance(outcome, Package):
            return outcome or Result.CONNECTION_LOST
        if outcome.size > self._plan.flash:
            return Result.NO_FLASH
        if outcome.model not in ("", self._model):
            return Result.PACKAGE_TYPE
        return outcome if outcome.intact else Result.INTEGRITY

    def _install(self, now: float) -> None:
        self.result = Result.INITIAL
        self._enter(State.UPDATING, now)
        self._due = now + self._plan.install

    def _finish_install(self, now: float) -> bool:
        if _RESULTS[self._plan.result] is Result.UPDATE_FAILED:
            self._end(Result.UPDATE_FAILED, now)
            return False
        self.version = self.package_version
        self._end(Result.SUCCESS, now)
        return True

    def _reset(self, now: float) -> None:
        self.check_write(empty=True)
        self._end(Result.INITIAL, now)

    def _end(self, result: Result, now: float) -> None:
        self.result = result
        self.uri = ""
        self._package = None
        self.download_wanted = None
        self._enter(State.IDLE, now)

    def _enter(self, state: State, now: float) -> None:
        self._due = None
        if state is not self.state:
            self.changed_at = now
        self.state = state


def _uri_problem(uri: str) -> Result | None:
    usable = False
    with suppress(ValueError):
        parts = urlsplit(uri)
        if parts.scheme and parts.scheme not in SCHEMES:
            return Result.PROTOCOL  # whatever comes behind it
        usable = parts.scheme != "" and parts.hostname is not None and parts.port != 0
    return None if usable else Result.INVALID_URI
