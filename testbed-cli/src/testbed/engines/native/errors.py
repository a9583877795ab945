"""What can keep a part from running; each message is one line that says what to do."""

from iiot.errors import IiotError


class PartError(IiotError):
    """A part cannot be started, or does not become healthy."""

    def __init__(self, part: str, problem: str) -> None:
        super().__init__(f"{part}: {problem}")
        self.part = part


class PackageError(IiotError):
    """A program is missing and cannot be installed."""


class PortInUseError(IiotError):
    """Another program listens on a port that a part needs."""
