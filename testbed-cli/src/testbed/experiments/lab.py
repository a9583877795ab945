"""What an experiment may use while it runs: devices of its own, REST, faults on parts, checks."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import aiohttp

from iiot.errors import IiotError, KafkaError
from iiot.http_client import open_session
from iiot.kafka_reader import TopicReader
from iiot.settings import MqttSettings
from iiot.topics import is_dlq
from testbed.experiments.guest import Guest
from testbed.experiments.places import Places

CONNECT_PATIENCE: Final = 30.0
FAREWELL_PATIENCE: Final = 10.0
REST_PATIENCE: Final = 20.0
AT_ONCE: Final = 50
"""Devices that connect at the same time."""
STEP: Final = 0.01
"""s between two looks at what is due."""

FaultKind = Literal["kill", "stop", "pause"]
Fault = Callable[[FaultKind, str, float], Awaitable[None]]
Tell = Callable[[str], None]


class ExperimentError(IiotError):
    """An experiment cannot be carried out; the text says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to hold, and what was found."""

    name: str
    expected: str
    found: str
    good: bool


@dataclass(slots=True)
class Lab:
    """The means of one run.

    Attributes:
        places: where the parts are.
        identities: a certificate for each device of the run's own.
        fault: does something to a part and returns when it is over.
        tell: says something to whoever watches.
        checks: what the experiment itself has found.
        figures: more figures for the report.
        guests: devices of the run's own; the ledger accounts for them.
        disturbed_until: UTC ms at which the disturbance ended.
    """

    places: Places
    identities: Callable[[str], MqttSettings]
    fault: Fault
    tell: Tell
    checks: list[Check] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    guests: list[Guest] = field(default_factory=list)
    disturbed_until: int = 0

    def check(self, name: str, expected: str, found: object, *, good: bool) -> None:
        """Note something that has to hold."""
        self.checks.append(Check(name, expected, str(found), good))

    def calm(self) -> None:
        """The disturbance is over; what follows is recovery."""
        self.disturbed_until = time.time_ns() // 1_000_000

    @asynccontextmanager
    async def devices(self, count: int, *, numbered: bool = True) -> AsyncIterator[list[Guest]]:
        """Devices of the run's own, connected and registered inside the block, gone after it.

        Raises:
            ExperimentError: they do not all come online.
        """
        names = [f"experiment-{number:04}" for number in range(1, count + 1)]
        settings = await asyncio.to_thread(lambda: [self.identities(name) for name in names])
        made = [Guest(name, own, numbered=numbered) for name, own in zip(names, settings, strict=True)]
        self.guests += made
        async with living(made):
            await self._come_online(made)
            yield made

    async def _come_online(self, made: Sequence[Guest]) -> None:
        try:
            async with asyncio.timeout(CONNECT_PATIENCE + len(made) / AT_ONCE):
                for guest in made:
                    await guest.ready.wait()
        except TimeoutError as exc:
            away = sum(not guest.ready.is_set() for guest in made)
            raise ExperimentError(f"{away} of {len(made)} devices of the experiment stay offline") from exc
        self.tell(f"{len(made)} devices of the experiment are online")

    async def load(
        self, guests: Sequence[Guest], rate: float, seconds: float, factor: Callable[[float], float]
    ) -> int:
        """Have guests send in turn; returns how many messages they could not take.

        Args:
            guests: who sends.
            rate: messages per second of all together.
            seconds: how long.
            factor: multiplies the rate, by seconds since the start.
        """
        began = time.monotonic()
        due, last, turn, held = 0.0, 0.0, 0, 0
        while (elapsed := time.monotonic() - began) < seconds:
            due += (elapsed - last) * rate * factor(elapsed)
            last = elapsed
            while due >= 1:
                due -= 1
                held += not guests[turn % len(guests)].send(1)
                turn += 1
            await asyncio.sleep(STEP)
        return held

    async def rest(self, method: str, url: str, *, good: Sequence[int] = (200, 202)) -> Any:
        """An answer of one of the APIs as JSON.

        Raises:
            ExperimentError: it does not answer, or refuses.
        """
        headers = {}
        if self.places.api_token_file is not None:
            token = await asyncio.to_thread(self.places.api_token_file.read_text)
            headers["Authorization"] = f"Bearer {token.strip()}"
        timeout = aiohttp.ClientTimeout(total=REST_PATIENCE)
        try:
            async with (
                open_session(headers=headers, timeout=timeout) as session,
                session.request(method, url) as answer,
            ):
                body = await answer.text()
                if answer.status not in good:
                    raise ExperimentError(f"{method} {url} answers {answer.status}: {body[:200]}")
                return await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ExperimentError(f"{method} {url}: {str(exc) or type(exc).__name__}") from exc

    async def dead_letters(self) -> int:
        """Records ever written to the dead-letter topics.

        Raises:
            ExperimentError: Kafka does not answer.
        """
        try:
            return await asyncio.to_thread(_count_dead_letters, self.places.kafka_brokers)
        except KafkaError as exc:
            raise ExperimentError(f"Kafka: {exc}") from exc

    def checks_json(self) -> list[dict[str, Any]]:
        """The checks for the report."""
        return [asdict(check) for check in self.checks]


@asynccontextmanager
async def living(guests: Sequence[Guest]) -> AsyncIterator[None]:
    """Run guests inside the block; they say farewell after it, whatever happened in it."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def live(guest: Guest) -> None:
        async with gate:
            running = asyncio.create_task(guest.run())
            ready = asyncio.create_task(guest.ready.wait())
            await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
        await running

    lives = [asyncio.create_task(live(guest), name=guest.name) for guest in guests]
    try:
        yield
    finally:
        for guest in guests:
            guest.leave()
        _, late = await asyncio.wait(lives, timeout=FAREWELL_PATIENCE)
        for task in late:
            task.cancel()
        await asyncio.gather(*lives, return_exceptions=True)


def _count_dead_letters(brokers: str) -> int:
    with closing(TopicReader(brokers, "testbed-experiment")) as reader:
        return sum(count.ends for topic, count in reader.counts().items() if is_dlq(topic))
