"""Requests on their way to one device: in order, one in flight, kept while it sleeps (Core 6.5)."""

import time
from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

import orjson

from iiot import correlation
from iiot.errors import DecodeError, IiotError, InvalidValueError
from iiot.lwm2m.message import Command, Operation, Response
from iiot.sparing import SparingLog
from iiot.telemetry import get_logger
from lwm2m_server import stored_command

REQUEST: Final = "request"
"""Kind of the stored documents."""
MAX_PENDING: Final = 20_000
"""Requests without an answer at most, over all devices."""
MAX_QUEUED: Final = 100
"""Requests that wait for one device at most."""
MAX_ATTEMPTS: Final = 3
"""How often a request without effect of its own is sent, when nobody answers."""
ONCE: Final = frozenset({Operation.EXECUTE, Operation.CREATE, Operation.DELETE})
"""What must not be done twice: sent once, and never again when its answer is lost."""

log = get_logger("lwm2m_server.commands")
_sparing = SparingLog(log, time.monotonic)


class UnknownEndpointError(IiotError):
    """No device of that name is registered."""


class UnavailableError(IiotError):
    """The request cannot be taken now: the broker is unreachable, or too many wait."""


class NoAnswerError(IiotError):
    """The device did not answer in time."""


@dataclass(frozen=True, slots=True)
class Delayed:
    """The device sleeps or is offline: the request waits for it, and its answer will be an event."""

    request_id: str


class Failure(StrEnum):
    """Why a request ended without an answer."""

    TIMEOUT = "no answer"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    ENDED = "the registration ended"


Outcome = Response | Failure


@dataclass(slots=True, eq=False)
class Job:
    """A request to a device.

    Attributes:
        id: names it in the API.
        created, expires: ms since 1970; when it was made, and until when it is worth sending.
        waiter: whoever asked waits for the answer; None when it becomes an event.
        delayed: asked for while the device could not be reached: stored, and its answer is an event.
        sent: an attempt was made to send it.
        deadline: monotonic s until which an answer is expected, while it is in flight.
        over: it ended.
        correlation_id: of the REST request that asked for it; empty for the server's own.
    """

    id: str
    endpoint: str
    command: Command
    created: int
    expires: int
    waiter: Future[Response] | None = None
    delayed: bool = False
    sent: bool = False
    attempts: int = 0
    deadline: float = 0.0
    over: bool = False
    correlation_id: str = field(default_factory=correlation.current)

    @property
    def key(self) -> tuple[str, str]:
        """Endpoint and token: what an answer is matched by."""
        return self.endpoint, self.command.token

    @property
    def once(self) -> bool:
        """Whether it must not be sent again."""
        return self.command.operation in ONCE

    def dump(self) -> bytes:
        """The job as it is stored."""
        names = ("id", "endpoint", "created", "expires", "sent", "correlation_id")
        kept = {name: getattr(self, name) for name in names}
        return orjson.dumps(kept | {"command": stored_command.dump(self.command)})

    @classmethod
    def load(cls, body: bytes) -> "Job":
        """The inverse of `dump`."""
        kept: dict[str, Any] = orjson.loads(body)
        return cls(**kept | {"command": stored_command.load(kept["command"]), "delayed": True})

    def told(self) -> dict[str, object]:
        """What an event says of it."""
        told: dict[str, object] = {"requestId": self.id, "operation": self.command.operation.value}
        if self.command.path is not None:
            told["path"] = str(self.command.path)
        return told | ({"correlationId": self.correlation_id} if self.correlation_id else {})

    def note(self, event: str, **fields: object) -> None:
        """Log what became of it, if somebody asked for it: the server's own are too many."""
        if not self.correlation_id:
            return
        command = self.command
        paths = command.paths if command.path is None else (command.path,)
        if paths:
            fields["path"] = " ".join(map(str, paths))
        with correlation.bound(self.correlation_id):
            log.info(
                event, endpoint=self.endpoint, operation=command.operation, token=command.token, **fields
            )

    def refusal(self, error: Exception) -> Exception:
        """What whoever asked is told when the command cannot be encoded."""
        if isinstance(error, DecodeError):
            return InvalidValueError("body", self.command.operation.value, str(error))
        return error

    def note_failure(self, error: Exception) -> None:
        """Log that our own code failed to encode or send it."""
        if not isinstance(error, IiotError):
            operation = self.command.operation
            _sparing.failure("command_failed", error, endpoint=self.endpoint, operation=operation)

    def note_end(self, outcome: Outcome) -> None:
        """Log how it ended."""
        self.note("command_ended", outcome=outcome if isinstance(outcome, Failure) else outcome.code.dotted)


class Metrics(Protocol):
    """What is counted here."""

    def command(self, operation: Operation, outcome: str, seconds: float) -> None:
        """A command ended with a code such as `2.05`, with `timeout`, `unavailable`, `refused`, `delayed`."""

    def unfit(self, operation: Operation) -> None:
        """An answer could not be read, or did not fit what was asked."""

    def unmatched_response(self) -> None:
        """A response came that nobody waits for: late, repeated or forged."""


class Events(Protocol):
    """Where late answers and waiting requests are kept."""

    def append(self, kind: str, endpoint: str, data: dict[str, object], /) -> int:
        """Add an event."""

    def put(
        self, kind: str, name: str, body: bytes | None, on_durable: Callable[[], object] | None = None
    ) -> None:
        """Store or remove a document."""
