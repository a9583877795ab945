"""Requests to devices and the answers that come back (Core 6.3 to 6.5): tokens, queues, time-outs."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from iiot import correlation
from iiot.errors import IiotError, MqttError
from iiot.lwm2m.message import Code, Command, Response
from iiot.sparing import SparingLog
from iiot.telemetry import get_logger
from lwm2m_server.answer_check import checked, unintelligible
from lwm2m_server.answers import answer
from lwm2m_server.job_table import JobTable
from lwm2m_server.models import Models
from lwm2m_server.registry import Registration, Registry
from lwm2m_server.request_queue import (
    MAX_ATTEMPTS,
    REQUEST,
    Delayed,
    Events,
    Failure,
    Job,
    Metrics,
    NoAnswerError,
    Outcome,
    UnavailableError,
    UnknownEndpointError,
)

ANSWER_SECONDS: Final = 30.0
"""How long an answer is expected when nobody waits for it."""

_sparing = SparingLog(get_logger("lwm2m_server.operations"), time.monotonic)


class Operations:
    """Sends commands, one at a time to each device, and gives their answers to those who wait.

    Args:
        registry: the registered devices.
        models: known objects in the versions of a device, for the types of answered values.
        send: hands a command to a device's profile and the broker, given endpoint and profile; raises
            `MqttError`, or `InvalidValueError` when the profile cannot express it.
        check: raises that `InvalidValueError`, and sends nothing.
        events: keeps what outlives a restart.
        metrics: counts.
        wall_ms: ms since 1970.
        ttl: s for which a request waits for a device that cannot be reached.

    Attributes:
        listeners: told endpoint, command and outcome of every command that ended.
    """

    def __init__(
        self,
        registry: Registry,
        models: Models,
        send: Callable[[str, str, Command], None],
        check: Callable[[str, str, Command], object],
        events: Events,
        metrics: Metrics,
        wall_ms: Callable[[], int],
        ttl: float,
    ) -> None:
        self.listeners: list[Callable[[str, Command, Outcome], None]] = []
        self._registry = registry
        self._models = models
        self._send = send
        self._check = check
        self._events = events
        self._metrics = metrics
        self._wall_ms = wall_ms
        self._ttl = ttl
        self._jobs = JobTable()
        # Even numbers from a random start: neither an old token nor, on the OMA topic, a device's odd one.
        self._token = secrets.randbits(40) * 2

    @property
    def pending(self) -> int:
        """Commands sent and without an answer."""
        return self._jobs.awaited

    @property
    def queued(self) -> int:
        """Commands that wait to be sent."""
        return self._jobs.queued

    def next_token(self) -> str:
        """A token that was never used."""
        self._token += 2
        return str(self._token)

    async def request(
        self,
        endpoint: str,
        command: Command,
        timeout: float,  # noqa: ASYNC109
        ttl: float | None = None,
    ) -> Response | Delayed:
        """Send a command and wait for the answer, whatever its code; or leave it to the queue.

        Args:
            endpoint: the device.
            command: what to do; without a token it gets one.
            timeout: s to wait.
            ttl: s for which it waits in the queue if the device sleeps or is offline.

        Raises:
            UnknownEndpointError: the device is not registered.
            UnavailableError: the broker is away, or too many commands wait.
            InvalidValueError: the device's profile cannot express the command.
            NoAnswerError: no answer within `timeout`.
        """
        registration = self.check_registered(endpoint)
        job = self._job(endpoint, command, self._ttl if ttl is None else ttl)
        if not registration.reachable:
            return await self._delay(registration, job)
        job.waiter = asyncio.get_running_loop().create_future()
        self._jobs.wait(job)
        self.pump(endpoint)
        try:
            async with asyncio.timeout(timeout):
                return await job.waiter
        except TimeoutError as error:
            self._metrics.command(command.operation, "timeout", timeout)
            job.note_end(Failure.TIMEOUT)
            if self._jobs.flying(endpoint) is job:
                self._registry.sleep(endpoint)
            raise NoAnswerError(f"{endpoint} did not answer within {timeout:g} s") from error
        finally:
            self._jobs.withdraw(job)
            self.pump(endpoint)

    def submit(self, endpoint: str, command: Command) -> None:
        """Queue a command of the server's own; its outcome goes to the listeners only."""
        job = self._job(endpoint, command, self._ttl, bounded=False)
        self._jobs.wait(job)
        self.pump(endpoint)

    def tell(self, endpoint: str, command: Command) -> None:
        """Send a command past the queue: nobody waits for its answer, and nothing waits behind it."""
        registration = self._registry.get(endpoint)
        if registration is None or self._jobs.awaiting(endpoint, command.token) is not None:
            return
        job = self._job(endpoint, command, self._ttl, bounded=False)
        self._jobs.pass_by(job)
        job.deadline = time.monotonic() + ANSWER_SECONDS
        try:
            self._send(endpoint, registration.profile, job.command)
        except Exception as error:  # noqa: BLE001 - whatever the encoder raises, the job must not stay
            job.note_failure(error)
            self._finish(job, Failure.TIMEOUT)

    async def exchange(
        self,
        endpoint: str,
        profile: str,
        command: Command,
        timeout: float,  # noqa: ASYNC109
    ) -> Response:
        """Send a command past the queue, also to a device that is not registered (bootstrap).

        Raises:
            MqttError, InvalidValueError: it cannot be sent.
            NoAnswerError: no answer within `timeout`.
        """
        job = self._job(endpoint, command, timeout)
        job.waiter = asyncio.get_running_loop().create_future()
        self._jobs.pass_by(job)
        job.deadline = time.monotonic() + ANSWER_SECONDS
        try:
            self._send(endpoint, profile, job.command)
            async with asyncio.timeout(timeout):
                return await job.waiter
        except TimeoutError as error:
            self._metrics.command(command.operation, "timeout", timeout)
            raise NoAnswerError(f"{endpoint} did not answer within {timeout:g} s") from error
        finally:
            self._jobs.withdraw(job)

    def command(self, endpoint: str, token: str) -> Command | None:
        """The command that waits for an answer with this token."""
        job = self._jobs.awaiting(endpoint, token)
        return None if job is None else job.command

    def handle(self, endpoint: str, response: Response) -> None:
        """A response from a device; one that matches no command is dropped."""
        job = self._jobs.awaiting(endpoint, response.token)
        if job is None:
            self._metrics.unmatched_response()
            _sparing.warning("response_unmatched", endpoint=endpoint, token=response.token[:40])
            return
        try:
            self._finish(job, self._fitting(job, response))
        finally:
            self._jobs.land(job)
            self.pump(endpoint)

    def not_understood(self, endpoint: str, token: str, error: IiotError) -> None:
        """A response that cannot be read ends the waiting for it all the same."""
        command = self.command(endpoint, token)
        if command is not None:
            self._metrics.unfit(command.operation)
        self.handle(endpoint, unintelligible(endpoint, token, error))

    def _fitting(self, job: Job, response: Response) -> Response:
        registration = self._registry.get(job.endpoint)
        profile = "" if registration is None else registration.profile
        try:
            now = self._wall_ms() / 1000
            return checked(job.command, response, profile, self._models.of(job.endpoint), now)
        except Exception as error:  # noqa: BLE001 - whatever it raises, the waiting ends
            self._metrics.unfit(job.command.operation)
            return unintelligible(job.endpoint, response.token, error)

    def pump(self, endpoint: str) -> None:
        """Send what waits for a device, if it can be reached and nothing is in flight."""
        registration = self._registry.get(endpoint)
        if registration is None or not registration.reachable or not registration.ready:
            return
        while (job := self._jobs.next(endpoint)) is not None:
            if job.waiter is not None and job.waiter.done():
                continue
            self._jobs.fly(job)
            job.deadline = time.monotonic() + ANSWER_SECONDS
            if job.delayed and job.once:
                # Noted before it leaves, so that a restart does not send it again.
                job.sent = True
                self._events.put(REQUEST, job.id, job.dump(), partial(self._transmit, job))
            elif not self._transmit(job):
                break

    def registered(self, endpoint: str) -> None:
        """A device registered anew: it answers nothing that it was asked before."""
        job = self._jobs.flying(endpoint)
        if job is not None and job.waiter is None:
            self._retry(job)
        self.pump(endpoint)

    def ended(self, endpoint: str) -> None:
        """A registration ended: nobody waits for answers; what is stored waits for the next one."""
        for job in self.queue(endpoint):
            if not job.delayed:
                self._finish(job, Failure.ENDED)
            elif job is self._jobs.flying(endpoint):
                self._retry(job)

    def tick(self, now: float) -> None:
        """Give up what nobody answered, and what waited too long. `now` in monotonic s."""
        for job in self._jobs.overdue(now):
            if self._jobs.flying(job.endpoint) is not job:
                self._finish(job, Failure.TIMEOUT)  # nothing waits behind it, see `tell`
                continue
            self._registry.sleep(job.endpoint)
            self._retry(job)
            self.pump(job.endpoint)
        for job in self._jobs.expired(self._wall_ms()):
            self._finish(job, Failure.EXPIRED)

    def queue(self, endpoint: str) -> list[Job]:
        """What waits for a device, the one in flight first."""
        return self._jobs.of(endpoint)

    def cancel(self, endpoint: str, request_id: str | None = None) -> int:
        """Take requests out of the queue, one or all; what was sent already may still have its effect."""
        jobs = [job for job in self.queue(endpoint) if request_id in (None, job.id)]
        for job in jobs:
            self._finish(job, Failure.CANCELLED)
        self.pump(endpoint)
        return len(jobs)

    def restore(self, bodies: Iterable[bytes]) -> None:
        """Take back stored requests, oldest first."""
        for job in sorted(map(Job.load, bodies), key=lambda job: (job.created, job.id)):
            self._jobs.count += 1
            if job.sent and job.once:
                self._jobs.fly(job)
                job.deadline = time.monotonic() + ANSWER_SECONDS
            else:
                self._jobs.wait(job)

    def check_registered(self, endpoint: str) -> Registration:
        """The registration of a device.

        Raises:
            UnknownEndpointError: there is none.
        """
        registration = self._registry.get(endpoint)
        if registration is None:
            raise UnknownEndpointError(f"no device {endpoint[:64]!r} is registered")
        return registration

    def _job(self, endpoint: str, command: Command, ttl: float, *, bounded: bool = True) -> Job:
        if bounded:
            self._jobs.check_room(endpoint)
        self._jobs.count += 1
        number, now = self.next_token(), self._wall_ms()
        told = replace(command, token=command.token or number)
        return Job(number, endpoint, told, now, now + round(ttl * 1000))

    async def _delay(self, registration: Registration, job: Job) -> Delayed:
        job.delayed = True
        durable = asyncio.Event()
        try:
            self._check(registration.endpoint, registration.profile, job.command)
            self._events.put(REQUEST, job.id, job.dump(), durable.set)
        except Exception as error:
            self._jobs.withdraw(job)
            raise job.refusal(error) from error
        self._jobs.wait(job)
        self._metrics.command(job.command.operation, "delayed", 0.0)
        job.note("command_waits", ttl_s=(job.expires - job.created) / 1000)
        await durable.wait()
        return Delayed(job.id)

    def _transmit(self, job: Job) -> bool:
        """False when the broker is away."""
        if self._jobs.flying(job.endpoint) is not job:
            return True  # cancelled meanwhile
        registration = self._registry.get(job.endpoint)
        job.attempts, job.deadline = job.attempts + 1, time.monotonic() + ANSWER_SECONDS
        try:
            if registration is not None:
                job.note("command_sent", profile=registration.profile)
                with correlation.bound(job.correlation_id):
                    self._send(job.endpoint, registration.profile, job.command)
        except MqttError as error:
            if job.waiter is None:
                self._jobs.land(job)
                job.attempts, job.sent = job.attempts - 1, False
                self._jobs.wait(job, first=True)
            else:
                self._metrics.command(job.command.operation, "unavailable", 0.0)
                self._fail(job, UnavailableError(f"broker: {error}"))
            return False
        except Exception as error:  # noqa: BLE001 - whatever it raises, the job must not stay in flight
            self._metrics.command(job.command.operation, "refused", 0.0)
            job.note_failure(error)
            self._fail(job, job.refusal(error))
        return True

    def _retry(self, job: Job) -> None:
        """Put a request that nobody answered back into the queue, unless it must not be sent again."""
        if (job.once and job.sent) or job.attempts >= MAX_ATTEMPTS:
            self._metrics.command(job.command.operation, "timeout", ANSWER_SECONDS)
            self._finish(job, Failure.TIMEOUT)
            return
        self._jobs.land(job)
        self._jobs.wait(job, first=True)

    def _finish(self, job: Job, outcome: Outcome) -> None:
        self._jobs.withdraw(job)
        if isinstance(outcome, Response):
            seconds = max(0.0, time.monotonic() + ANSWER_SECONDS - job.deadline)
            self._metrics.command(job.command.operation, outcome.code.dotted, seconds)
        job.note_end(outcome)
        if job.waiter is not None and not job.waiter.done():
            if isinstance(outcome, Response):
                job.waiter.set_result(outcome)
            else:
                job.waiter.set_exception(UnavailableError(f"{job.endpoint}: {outcome.value}"))
        for listener in self.listeners:
            listener(job.endpoint, job.command, outcome)
        if job.delayed:
            self._events.put(REQUEST, job.id, None)
            self._events.append("response", job.endpoint, self._event(job, outcome))

    def _fail(self, job: Job, error: Exception) -> None:
        waiter = job.waiter
        if waiter is None:
            self._finish(job, Response(token=job.command.token, code=Code.BAD_REQUEST, error=str(error)))
            return
        self._jobs.withdraw(job)
        if not waiter.done():
            waiter.set_exception(error)

    def _event(self, job: Job, outcome: Outcome) -> dict[str, object]:
        if isinstance(outcome, Response):
            return job.told() | {"response": answer(job.command, outcome, self._models.of(job.endpoint))}
        return job.told() | {"response": None, "failure": outcome.value}
