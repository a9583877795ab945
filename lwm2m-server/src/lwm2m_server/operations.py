"""Commands to devices and the answers that come back (Core 6.3): tokens, time-outs, late answers."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from iiot.errors import IiotError, InvalidValueError, MqttError
from iiot.lwm2m.message import Code, Command, Operation, Record, Response
from iiot.lwm2m.model import Definitions
from iiot.telemetry import get_logger
from lwm2m_server.registry import Registration, Registry
from lwm2m_server.sparing import SparingLog

MAX_PENDING: Final = 10_000
"""Commands without an answer at most, over all devices."""

_sparing = SparingLog(get_logger("lwm2m_server.operations"), time.monotonic)


class UnknownEndpointError(IiotError):
    """No device of that name is registered."""


class UnavailableError(IiotError):
    """The command cannot be sent now: the device is offline, or the broker unreachable."""


class NoAnswerError(IiotError):
    """The device did not answer in time."""


class Metrics(Protocol):
    """What is counted here."""

    def command(self, operation: Operation, outcome: str, seconds: float) -> None:
        """A command ended with a code such as `2.05`, with `timeout` or with `unavailable`."""

    def unmatched_response(self) -> None:
        """A response came that nobody waits for: late, repeated or forged."""


class Operations:
    """Sends commands and gives their answers to those who wait.

    Args:
        registry: the registered devices.
        definitions: known objects, for the types of answered values.
        send: hands a command to the device's profile and the broker; raises `MqttError`.
        metrics: counts.
    """

    def __init__(
        self,
        registry: Registry,
        definitions: Definitions,
        send: Callable[[Registration, Command], None],
        metrics: Metrics,
    ) -> None:
        self._registry = registry
        self._definitions = definitions
        self._send = send
        self._metrics = metrics
        self._pending: dict[tuple[str, str], tuple[Command, asyncio.Future[Response]]] = {}
        # Even numbers from a random start: a rebooted device never takes a new token for an old one, and on
        # the OMA profile's shared topic the device's own tokens can be odd (facts of the binding: echo).
        self._token = secrets.randbits(40) * 2

    @property
    def pending(self) -> int:
        """Commands without an answer."""
        return len(self._pending)

    async def request(self, endpoint: str, command: Command, timeout: float) -> Response:  # noqa: ASYNC109
        """Send a command and wait for the answer, whatever its code.

        Args:
            endpoint: the device.
            command: what to do; its token is filled in.
            timeout: s to wait.

        Raises:
            UnknownEndpointError: the device is not registered.
            UnavailableError: it is offline, the broker is away, or too many commands wait.
            NoAnswerError: no answer within `timeout`.
        """
        registration = self._registry.get(endpoint)
        if registration is None:
            raise UnknownEndpointError(f"no device {endpoint!r} is registered")
        loop = asyncio.get_running_loop()
        started = loop.time()
        outcome = "unavailable"
        self._token += 2
        key = (endpoint, str(self._token))
        try:
            answer = self._start(registration, replace(command, token=key[1]), key)
            outcome = "timeout"
            async with asyncio.timeout(timeout):
                response = await answer
            outcome = response.code.dotted
        except TimeoutError as error:
            raise NoAnswerError(f"{endpoint} did not answer within {timeout:g} s") from error
        finally:
            self._pending.pop(key, None)
            self._metrics.command(command.operation, outcome, loop.time() - started)
        return replace(response, records=tuple(map(self._typed, response.records)))

    def command(self, endpoint: str, token: str) -> Command | None:
        """The command that waits for an answer with this token."""
        waiting = self._pending.get((endpoint, token))
        return None if waiting is None else waiting[0]

    def handle(self, endpoint: str, response: Response) -> None:
        """A response from a device; one that matches no command is dropped."""
        _, answer = self._pending.get((endpoint, response.token), (None, None))
        if answer is None or answer.done():
            self._metrics.unmatched_response()
            _sparing.warning("response_unmatched", endpoint=endpoint, token=response.token[:40])
            return
        answer.set_result(response)

    def refuse(self, endpoint: str, token: str, reason: str) -> None:
        """A response came that cannot be understood: whoever waits for it learns why."""
        self.handle(endpoint, Response(token=token, code=Code.INTERNAL_SERVER_ERROR, error=reason))

    def _start(
        self, registration: Registration, command: Command, key: tuple[str, str]
    ) -> asyncio.Future[Response]:
        if not registration.online:
            raise UnavailableError(f"{registration.endpoint} is offline")
        if len(self._pending) >= MAX_PENDING:
            raise UnavailableError(f"{MAX_PENDING} commands already wait for answers")
        try:
            self._send(registration, command)
        except MqttError as error:
            raise UnavailableError(f"broker: {error}") from error
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._pending[key] = (command, answer)
        return answer

    def _typed(self, record: Record) -> Record:
        if record.value is None:
            return record
        try:
            return replace(record, value=self._definitions.check(record.path, record.value))
        except InvalidValueError:
            return record  # what the device says is shown as it says it
