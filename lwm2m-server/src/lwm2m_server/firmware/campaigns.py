"""Runs campaigns: several devices at a time, each led by its state and result, also after a restart."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

import orjson

from iiot.errors import IiotError
from iiot.lwm2m.message import Command, Operation, Record, Response
from iiot.lwm2m.path import Path
from iiot.telemetry import get_logger
from lwm2m_server.firmware.campaign import CAMPAIGN, CAMPAIGN_DEVICE, Campaign, Progress
from lwm2m_server.firmware.packages import Package, Packages
from lwm2m_server.firmware.plan import RESULTS, Action, Step, decide
from lwm2m_server.firmware.protocols import SUPPORTED, unsupported
from lwm2m_server.observations import Observations
from lwm2m_server.operations import Operations
from lwm2m_server.registry import Registry
from lwm2m_server.request_queue import Delayed, NoAnswerError, UnavailableError, UnknownEndpointError
from lwm2m_server.values import Values

INSTANCE: Final = Path.of(5, 0)
PACKAGE_DATA, PACKAGE_URI, UPDATE, STATE, RESULT = (INSTANCE / number for number in (0, 1, 2, 3, 5))
LOOK_EVERY: Final = 0.25
"""s between looks at what a device said."""
ASK_EVERY: Final = 5.0
"""s after which a device that said nothing is asked."""
REQUEST_SECONDS: Final = 30.0
MAX_CAMPAIGNS: Final = 1000

log = get_logger("lwm2m_server.firmware")


class Events(Protocol):
    """Where campaigns are kept and told of."""

    def append(self, kind: str, endpoint: str, data: dict[str, object], /) -> int:
        """Add an event."""

    def put(self, kind: str, name: str, body: bytes | None) -> None:
        """Store or remove a document."""

    async def stored(self, kind: str, name: str, body: bytes | None) -> None:
        """Store or remove a document, and wait until that is on disk."""


class Campaigns:
    """All campaigns.

    Args:
        registry, operations, observations, values: what devices are reached and known by.
        packages: what is installed.
        events: keeps campaigns and tells of each step.
        wall_ms: ms since 1970.
    """

    def __init__(
        self,
        registry: Registry,
        operations: Operations,
        observations: Observations,
        values: Values,
        packages: Packages,
        events: Events,
        wall_ms: Callable[[], int],
    ) -> None:
        self._registry = registry
        self._operations = operations
        self._observations = observations
        self._values = values
        self._packages = packages
        self._events = events
        self._wall_ms = wall_ms
        self._all: dict[str, Campaign] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def all(self) -> list[Campaign]:
        """The campaigns, newest first."""
        return sorted(self._all.values(), key=lambda campaign: -campaign.created)

    def get(self, number: str) -> Campaign | None:
        """A campaign by its id."""
        return self._all.get(number)

    def uses(self, package: Package) -> bool:
        """Whether a campaign that runs needs a package."""
        return any(c.package == package.id and c.state == "running" for c in self._all.values())

    def busy(self, endpoint: str) -> Campaign | None:
        """The campaign that a device is in at the moment."""
        for campaign in self._all.values():
            progress = campaign.devices.get(endpoint)
            if progress is not None and not progress.step.over:
                return campaign
        return None

    async def start(self, endpoints: list[str], **settings: Any) -> Campaign:
        """Begin a campaign; see `Campaign` for the settings."""
        campaign = Campaign(id=secrets.token_hex(6), created=self._wall_ms(), **settings)
        campaign.devices = {endpoint: Progress() for endpoint in endpoints}
        self._all[campaign.id] = campaign
        await self._events.stored(CAMPAIGN, campaign.id, campaign.dump())
        self._run(campaign)
        return campaign

    async def cancel(self, campaign: Campaign) -> None:
        """Begin no more devices and leave those under way as they are."""
        campaign.cancelled = True
        task = self._tasks.pop(campaign.id, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for endpoint, progress in campaign.devices.items():
            if not progress.step.over:
                self._step(campaign, endpoint, Step.CANCELLED, f"while {progress.step}")
        await self._events.stored(CAMPAIGN, campaign.id, campaign.dump())

    async def remove(self, campaign: Campaign) -> None:
        """Forget a campaign that is over."""
        del self._all[campaign.id]
        for endpoint in campaign.devices:
            self._events.put(CAMPAIGN_DEVICE, f"{campaign.id}/{endpoint}", None)
        await self._events.stored(CAMPAIGN, campaign.id, None)

    def restore(self, campaigns: Mapping[str, bytes], progress: dict[str, bytes]) -> None:
        """Take back stored campaigns, and go on with those that run; needs the event loop."""
        for body in campaigns.values():
            campaign = Campaign.load(body, progress)
            self._all[campaign.id] = campaign
            if campaign.state == "running":
                self._run(campaign)

    async def close(self) -> None:
        """Stop; the next start goes on."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, campaign: Campaign) -> None:
        self._tasks[campaign.id] = asyncio.create_task(self._lead(campaign), name=f"campaign-{campaign.id}")

    async def _lead(self, campaign: Campaign) -> None:
        slots = asyncio.Semaphore(campaign.concurrency)

        async def one(endpoint: str) -> None:
            async with slots:
                await self._device(campaign, endpoint)

        async with asyncio.TaskGroup() as group:
            for endpoint, progress in campaign.devices.items():
                if not progress.step.over:
                    group.create_task(one(endpoint))
        self._tasks.pop(campaign.id, None)
        log.info("campaign_ended", campaign=campaign.id, state=campaign.state)

    async def _device(self, campaign: Campaign, endpoint: str) -> None:
        watched = [self._watch(endpoint, path) for path in (STATE, RESULT)]
        try:
            async with asyncio.timeout(campaign.timeout):
                await self._through(campaign, endpoint)
        except TimeoutError:
            step = campaign.devices[endpoint].step
            self._step(campaign, endpoint, Step.FAILED, f"not done within {campaign.timeout:g} s: {step}")
        except (IiotError, OSError) as error:
            self._step(campaign, endpoint, Step.FAILED, str(error))
        if campaign.devices[endpoint].step.over:
            for was_there, path in watched:
                known = self._observations.find(endpoint, (path,), False)
                if not was_there and known is not None:
                    self._observations.forget(known)
                    command = Command(operation=Operation.CANCEL_OBSERVE, token=known.token)
                    self._operations.submit(endpoint, command)

    def _watch(self, endpoint: str, path: Path) -> tuple[bool, Path]:
        was_there = self._observations.find(endpoint, (path,), False) is not None
        observation = self._observations.intend(endpoint, (path,), False)
        if not was_there and self._registry.get(endpoint) is not None:
            self._operations.submit(endpoint, observation.command)
        return was_there, path

    async def _through(self, campaign: Campaign, endpoint: str) -> None:
        loop = asyncio.get_running_loop()
        acted = asked = loop.time() - ASK_EVERY
        progress, seen = campaign.devices[endpoint], self._wall_ms()
        while not progress.step.over:
            told = self._told(endpoint)
            if loop.time() - asked >= ASK_EVERY:
                asked = loop.time()
                await self._ask(endpoint)
            elif told is not None and max(told[2:]) > seen:
                seen = max(told[2:])
                progress.state, progress.result = told[:2]
                since = loop.time() - acted
                action = decide(progress.step, progress.state, progress.result, since)
                begins = progress.step in (Step.PENDING, Step.TRANSFERRING)
                if action in (Action.SUCCEED, Action.FAIL) or (action is Action.TRANSFER and not begins):
                    action = await self._confirmed(endpoint, progress, since)
                if action is not Action.WAIT:
                    acted, asked, seen = loop.time(), loop.time() - ASK_EVERY + 1, self._wall_ms()
                    with suppress(
                        NoAnswerError, UnavailableError, UnknownEndpointError
                    ):  # shows by the state
                        await self._act(campaign, endpoint, action)
            else:
                await asyncio.sleep(LOOK_EVERY)

    def _told(self, endpoint: str) -> tuple[int, int, int, int] | None:
        """State, result, and when the device said each of them."""
        newest = self._values.latest(endpoint, INSTANCE)
        if STATE not in newest or RESULT not in newest:
            return None
        (at, state), (when, result) = newest[STATE], newest[RESULT]
        if not isinstance(state, int) or not isinstance(result, int) or not 0 <= state <= 3:
            return None
        return state, result, at, when

    async def _confirmed(self, endpoint: str, progress: Progress, since: float) -> Action:
        """The end as the device tells it when asked: notifications of state and result come one by one."""
        started = self._wall_ms()
        await self._ask(endpoint)
        told = self._told(endpoint)
        if told is None or min(told[2:]) < started:
            return Action.WAIT
        progress.state, progress.result = told[:2]
        return decide(progress.step, progress.state, progress.result, since)

    async def _ask(self, endpoint: str) -> None:
        """Read state and result, when the device can be reached; what it says comes by its values."""
        registration = self._registry.get(endpoint)
        if registration is None or not registration.reachable:
            await asyncio.sleep(LOOK_EVERY)
            return
        for path in (STATE, RESULT):
            command = Command(operation=Operation.READ, path=path)
            try:
                response = await self._operations.request(endpoint, command, REQUEST_SECONDS, REQUEST_SECONDS)
            except IiotError:
                return
            if isinstance(response, Response) and not response.code.is_success:
                raise IiotError(f"{path}: {_reason(response)}")

    async def _act(self, campaign: Campaign, endpoint: str, action: Action) -> None:
        progress = campaign.devices[endpoint]
        match action:
            case Action.RESET:
                await self._request(endpoint, Operation.WRITE, Record(PACKAGE_URI, ""))
            case Action.TRANSFER:
                await self._check_protocol(campaign, endpoint)
                await self._stored_step(campaign, endpoint, Step.TRANSFERRING)
                await self._request(endpoint, Operation.WRITE, await self._transfer(campaign))
                self._step(campaign, endpoint, Step.DOWNLOADING)
            case Action.UPDATE:
                await self._stored_step(campaign, endpoint, Step.UPDATING)
                await self._request(endpoint, Operation.EXECUTE, Record(UPDATE))
            case Action.SUCCEED:
                self._step(campaign, endpoint, Step.SUCCEEDED)
            case Action.FAIL:
                self._step(
                    campaign, endpoint, Step.FAILED, RESULTS.get(progress.result or 0, "unknown result")
                )

    async def _check_protocol(self, campaign: Campaign, endpoint: str) -> None:
        # A device that is given a URI which it cannot fetch may try for as long as the campaign lasts.
        if campaign.method != "pull":
            return
        command = Command(operation=Operation.READ, path=SUPPORTED)
        with suppress(NoAnswerError):
            response = await self._operations.request(endpoint, command, ASK_EVERY, ASK_EVERY)
            told = response.records if isinstance(response, Response) else ()
            problem = unsupported(campaign.uri, told)
            if problem is not None:
                raise IiotError(f"{RESULTS[9]}: {problem}")

    async def _transfer(self, campaign: Campaign) -> Record:
        if campaign.method == "pull":
            return Record(PACKAGE_URI, campaign.uri)
        package = self._packages.get(campaign.package)
        if package is None:
            raise IiotError("the package is gone")
        return Record(PACKAGE_DATA, await asyncio.to_thread(self._packages.read, package))

    async def _request(self, endpoint: str, operation: Operation, record: Record) -> None:
        records = () if record.value is None else (record,)
        command = Command(operation=operation, path=record.path, records=records)
        response = await self._operations.request(endpoint, command, REQUEST_SECONDS)
        if isinstance(response, Delayed):
            return  # its effect will show
        if not response.code.is_success:
            raise IiotError(
                f"{operation} {record.path}: {response.code.dotted} {response.error or ''}".strip()
            )

    async def _stored_step(self, campaign: Campaign, endpoint: str, step: Step) -> None:
        """Change the step, and wait until that is on disk: a restart must know what was begun."""
        self._step(campaign, endpoint, step)
        await self._events.stored(*self._document(campaign, endpoint))

    def _step(self, campaign: Campaign, endpoint: str, step: Step, detail: str = "") -> None:
        progress = campaign.devices[endpoint]
        progress.step, progress.detail, progress.changed = step, detail, self._wall_ms()
        self._events.put(*self._document(campaign, endpoint))
        told: dict[str, object] = {"campaign": campaign.id, "step": step.value, "detail": detail}
        self._events.append("firmware", endpoint, told)

    def _document(self, campaign: Campaign, endpoint: str) -> tuple[str, str, bytes]:
        body = orjson.dumps(campaign.devices[endpoint].describe())
        return CAMPAIGN_DEVICE, f"{campaign.id}/{endpoint}", body


def _reason(response: Response) -> str:
    return f"{response.code.dotted} {response.error or ''}".strip()
