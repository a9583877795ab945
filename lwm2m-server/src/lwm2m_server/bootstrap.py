"""The bootstrap server: stored configurations, and sessions that write them to devices (Core 6.1)."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import orjson

from iiot.errors import IiotError, MqttError
from iiot.lwm2m.content import Format
from iiot.lwm2m.message import Command, Operation, Record, Response
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.path import Path
from iiot.telemetry import get_logger
from lwm2m_server import bootstrap_config
from lwm2m_server.answers import answer
from lwm2m_server.bootstrap_config import BootstrapConfig
from lwm2m_server.operations import Operations
from lwm2m_server.request_queue import UnavailableError

BOOTSTRAP: Final = "bootstrap"
"""Kind of the stored documents."""
STEP_SECONDS: Final = 10.0
"""How long a device may take for each step."""
MAX_SESSIONS: Final = 1000
_ASKS: Final = (Operation.BOOTSTRAP_DISCOVER, Operation.BOOTSTRAP_READ)
FORMATS: Final = (Format.SENML_CBOR, Format.SENML_JSON, Format.LWM2M_CBOR, Format.TLV)

log = get_logger("lwm2m_server.bootstrap")


class NoSessionError(IiotError):
    """The device is in no bootstrap session, so that it would not listen."""


class Events(Protocol):
    """Where configurations and events are kept."""

    def append(self, kind: str, endpoint: str, data: dict[str, object], /) -> int:
        """Add an event."""

    async def stored(self, kind: str, name: str, body: bytes | None) -> None:
        """Store or remove a document, and wait until that is on disk."""


class Bootstrap:
    """Configurations by endpoint, and what is under way.

    Args:
        operations: sends commands to devices that are not registered.
        events: keeps configurations, and tells how sessions went.
        definitions: known objects.
        wall_ms: ms since 1970.
    """

    def __init__(
        self, operations: Operations, events: Events, definitions: Definitions, wall_ms: Callable[[], int]
    ) -> None:
        self._operations = operations
        self._events = events
        self._definitions = definitions
        self._wall_ms = wall_ms
        self._configs: dict[str, dict[str, Any]] = {}
        self._sessions: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._open: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._configs))

    def config(self, endpoint: str) -> dict[str, Any] | None:
        """A device's configuration as it was given."""
        return self._configs.get(endpoint)

    def session(self, endpoint: str) -> dict[str, Any] | None:
        """How a device's newest bootstrap goes or went."""
        return self._sessions.get(endpoint)

    async def configure(self, endpoint: str, body: dict[str, Any]) -> None:
        """Store a device's configuration.

        Raises:
            InvalidValueError: it is wrong.
        """
        bootstrap_config.parse(body, self._definitions)
        self._configs[endpoint] = body
        await self._events.stored(BOOTSTRAP, endpoint, orjson.dumps(body))

    async def forget(self, endpoint: str) -> bool:
        """Remove a device's configuration; False when there is none."""
        if self._configs.pop(endpoint, None) is None:
            return False
        await self._events.stored(BOOTSTRAP, endpoint, None)
        return True

    def restore(self, documents: Mapping[str, bytes]) -> None:
        """Take back stored configurations."""
        self._configs = {endpoint: orjson.loads(body) for endpoint, body in documents.items()}

    def pack(self, endpoint: str) -> tuple[Record, ...] | None:
        """All that a bootstrap pack holds, None without configuration."""
        config = self._parsed(endpoint)
        if config is None:
            return None
        self._note(endpoint, "packed")
        return config.records

    def knows(self, endpoint: str) -> bool:
        """Whether a device can be bootstrapped."""
        return endpoint in self._configs and len(self._tasks) < MAX_SESSIONS

    def start(self, endpoint: str, profile: str, form: int | None) -> None:
        """Begin a session, in place of one under way; its request has been answered."""
        config = self._parsed(endpoint)
        running = self._tasks.pop(endpoint, None)
        if running is not None:
            running.cancel()
        if config is not None:
            self._open[endpoint] = profile
            if len(self._open) > MAX_SESSIONS:
                self._open.pop(next(iter(self._open)))
            task = asyncio.create_task(
                self._run(endpoint, profile, config, form), name=f"bootstrap-{endpoint}"
            )
            self._tasks[endpoint] = task
            task.add_done_callback(lambda done: self._ended(endpoint, done))

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, endpoint: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(endpoint) is task:
            del self._tasks[endpoint]

    def _parsed(self, endpoint: str) -> BootstrapConfig | None:
        body = self._configs.get(endpoint)
        return None if body is None else bootstrap_config.parse(body, self._definitions)

    async def ask(self, endpoint: str, operation: Operation, path: Path | None = None) -> Response:
        """Send a request to a device in a session, such as a Bootstrap-Read; its answer, whatever its code.

        Raises:
            NoSessionError: there is no session.
            UnavailableError, NoAnswerError: it cannot be sent, or is not answered.
        """
        profile = self._open.get(endpoint)
        if profile is None:
            raise NoSessionError(f"{endpoint[:64]} is in no bootstrap session")
        command = Command(operation=operation, path=path)
        try:
            response = await self._operations.exchange(endpoint, profile, command, STEP_SECONDS)
        except MqttError as error:
            raise UnavailableError(f"broker: {error}") from error
        if operation is Operation.BOOTSTRAP_FINISH and response.code.is_success:
            self._open.pop(endpoint, None)
            self._note(endpoint, "finished")
        return response

    async def _run(self, endpoint: str, profile: str, config: BootstrapConfig, form: int | None) -> None:
        self._note(endpoint, "started")
        answers: list[dict[str, Any]] = []
        for step in _steps(config, form):
            told = {"operation": step.operation.value, "path": None if step.path is None else str(step.path)}
            try:
                response = await self._operations.exchange(endpoint, profile, step, STEP_SECONDS)
            except IiotError as error:
                self._fail(endpoint, answers, told | {"error": str(error)})
                return
            if not response.code.is_success:
                reason = None if response.error is None else str(response.error)
                self._fail(endpoint, answers, told | {"code": response.code.dotted, "error": reason})
                return
            if step.operation in _ASKS:
                answers.append(told | answer(step, response, self._definitions))
        if config.finish:
            self._open.pop(endpoint, None)
        self._note(endpoint, "finished" if config.finish else "open", **_told(answers))

    def _fail(self, endpoint: str, answers: list[dict[str, Any]], told: dict[str, Any]) -> None:
        self._open.pop(endpoint, None)
        self._note(endpoint, "failed", **_told(answers), **told)

    def _note(self, endpoint: str, state: str, **told: object) -> None:
        self._sessions[endpoint] = {"state": state, "timestamp": self._wall_ms(), **told}
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        log.info("bootstrap", endpoint=endpoint, state=state, **told)
        self._events.append("bootstrap", endpoint, {"state": state, **told})


def _steps(config: BootstrapConfig, form: int | None) -> Iterator[Command]:
    asks = ((Operation.BOOTSTRAP_DISCOVER, config.discover), (Operation.BOOTSTRAP_READ, config.read))
    for operation, paths in (*asks, (Operation.BOOTSTRAP_DELETE, config.delete)):
        yield from (Command(operation=operation, path=path) for path in paths)
    for path, records in config.writes.items():
        yield Command(operation=Operation.BOOTSTRAP_WRITE, path=path, records=records, format=form)
    if config.finish:
        yield Command(operation=Operation.BOOTSTRAP_FINISH)


def _told(answers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"answers": answers} if answers else {}
