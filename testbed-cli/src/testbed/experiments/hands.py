"""Who does something to a part: the native supervisor, or whoever started the run from outside."""

import asyncio
from pathlib import Path
from typing import Any, Final, Protocol

from testbed.engines.native import control
from testbed.experiments.lab import ExperimentError, FaultKind

MARGIN: Final = 60.0
"""s beyond the length of a fault in which its end has to be reported."""


class Hands(Protocol):
    """Does something to a part."""

    async def do(self, number: int, kind: FaultKind, part: str, seconds: float) -> None:
        """Do it and return when it is over; being cancelled ends it at once.

        Raises:
            ExperimentError: it cannot be done.
        """


class SupervisorHands:
    """The native engine: its supervisor stops, freezes and kills what it has started.

    Args:
        directory: the testbed's state directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def do(self, number: int, kind: FaultKind, part: str, seconds: float) -> None:
        """See `Hands`. The fault lasts no longer than the connection to the supervisor."""
        try:
            async with asyncio.timeout(seconds + MARGIN):
                await control.ask(self._directory, {"do": kind, "part": part, "seconds": seconds})
        except TimeoutError as exc:
            raise ExperimentError(f"the supervisor does not report the end of {kind} {part}") from exc
        except control.ControlError as exc:
            raise ExperimentError(str(exc)) from exc


class CallerHands:
    """Somebody outside, such as `./testbed experiment` on the host of the containers.

    A fault is told on the event stream; the caller does it and reports its end by `answer`.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[None]] = {}

    async def do(self, number: int, kind: FaultKind, part: str, seconds: float) -> None:
        """See `Hands`."""
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds + MARGIN):
                await self._waiting[number]
        except TimeoutError as exc:
            raise ExperimentError(
                f"nobody did {kind} {part}: is ./testbed experiment still running?"
            ) from exc
        finally:
            del self._waiting[number]

    def answer(self, number: int, error: str | None) -> bool:
        """The end of a fault; whether anybody waits for it."""
        waiting: asyncio.Future[Any] | None = self._waiting.get(number)
        if waiting is None or waiting.done():
            return False
        if error:
            waiting.set_exception(ExperimentError(error))
        else:
            waiting.set_result(None)
        return True
