"""The LwM2M client of a device: registration, reporting, and answers to the servers' commands.

It knows neither sockets nor clocks: it is asked for the next message, given what arrives, and hands
back what to publish.
"""

from math import inf
from typing import Final

from device_simulator import objects
from device_simulator.bootstrap import Bootstrap
from device_simulator.ledger import Stream
from device_simulator.lwm2m_operations import Operations
from device_simulator.lwm2m_wire import BadRequestError, JsonWire, Publication, Wire
from device_simulator.observations import Observations, Told
from device_simulator.registration import Registration
from device_simulator.repeats import Repeats
from device_simulator.retry import Retry
from device_simulator.sleep import SleepCycle, SleepPlan
from device_simulator.state import DeviceState, World
from device_simulator.tree import OperationError, Tree
from iiot.errors import InvalidValueError
from iiot.lwm2m.message import (
    BootstrapRequest,
    Code,
    Command,
    Notify,
    Operation,
    Record,
    Refusal,
    Response,
    Send,
)
from iiot.lwm2m.path import Path

SHORT_LIFETIME: Final = 120
"""s of a lifetime of which half may be shorter than the time from one report to the next."""
_REPEATABLE: Final = frozenset(
    {
        Operation.READ,
        Operation.READ_COMPOSITE,
        Operation.DISCOVER,
        Operation.BOOTSTRAP_READ,
        Operation.BOOTSTRAP_DISCOVER,
    }
)
"""Operations that may be carried out twice."""
_REPORTS: Final = (Operation.UPDATE, Operation.SEND)


class Lwm2mClient:
    """One device's LwM2M client.

    Args:
        state: the device.
        tree: its objects.
        stream: the ledger's numbers of its messages.
        world: its clocks.
        update_every: each n-th report is an Update.
        wire: the profile; the JSON profile when not given.
        sleep: how it sleeps in queue mode, None never.
        bootstrap: `request` and `pack` ask a bootstrap server before the first Register.
        profile_id: send a Profile ID in place of an object list that the server had before.

    Attributes:
        registered: the server answered the last Register with success.
        refused: messages that the server answered with an error.
        rejected: commands that this device answered with an error.
        wire: the profile.
    """

    __slots__ = (
        "_account",
        "_away_until",
        "_observations",
        "_operations",
        "_paths",
        "_proven",
        "_registration",
        "_repeats",
        "_retry",
        "_sleep",
        "_state",
        "_tree",
        "_turn",
        "_update_at",
        "_update_every",
        "_world",
        "refused",
        "registered",
        "rejected",
        "wire",
    )

    def __init__(
        self,
        state: DeviceState,
        tree: Tree[DeviceState],
        stream: Stream,
        world: World,
        update_every: int,
        *,
        wire: Wire | None = None,
        sleep: SleepPlan | None = None,
        bootstrap: str = "off",
        profile_id: bool = False,
    ) -> None:
        self._state = state
        self._tree = tree
        self._world = world
        self.wire = wire or JsonWire(state.plan.id)
        numbers = {"numbered": self.wire.numbered, "named": profile_id and self.wire.numbered}
        self._registration = Registration(state, tree, stream, world, **numbers)
        self._paths = [Path.parse(channel.path) for channel in state.plan.kind.channels]
        self._observations = Observations(state, tree, world)
        self._account = Bootstrap(state, tree, bootstrap)
        self._operations = Operations(state, tree, self._observations, self._account)
        self._repeats = Repeats()
        self._sleep = SleepCycle(sleep)
        self._away_until: float | None = None
        self._update_every = update_every
        self._turn = 0
        self._retry = Retry(state.written)
        self._update_at = 0.0
        self._proven = False
        self.registered = False
        self.refused = 0
        self.rejected = 0

    @property
    def needs_ticks(self) -> bool:
        """Time makes a difference beside the reports: `tick` must be called."""
        return (
            len(self._observations) > 0
            or self._state.firmware.busy
            or self._away_until is not None
            or self._sleep.planned
            or self._account.on_trial
            or 0 < self._state.lifetime <= SHORT_LIFETIME
        )

    @property
    def bootstraps_failed(self) -> int:
        """How often this device went back to the account that worked."""
        return self._account.failed

    def connected(self, now: float, *, booted: bool = False) -> list[Publication]:
        """What opens a connection: a Register, before the first one perhaps a Bootstrap-Request.

        A device that a server disabled stays away, unless it has just booted.
        """
        if booted:
            self._away_until = None
        self._retry.begin()
        self._account.asked(now)
        return [] if self._away_until is not None else [self._introduce(now)]

    def register(self, now: float) -> Publication:
        """The Register that opens a connection, or repeats one (Core 6.2.1); `now` in monotonic s."""
        state = self._state
        self.registered = state.update_wanted = False
        self._repeats.clear()
        self._observations.cancel_all()
        self._sleep.stay_awake(now)
        self._retry.attempted(now)
        self._plan_update(now)
        return self.wire.encode(self._registration.register(), now)

    def report(self, now: float) -> Publication | None:
        """The message that is due now: a Send, in its turn an Update, or a Register if one is needed.

        None while the device sleeps, is disabled, awaits its bootstrap server, or may tell nothing.
        """
        if self._is_away or self._is_asleep(now):
            return None
        if self._account.is_overdue(now):
            return self._fall_back(now)[0]
        if self._retry.at is not None and now >= self._retry.at and not self._account.on_trial:
            self._account.unpack()
            return self._introduce(now)
        if self._account.active or self._retry.has_failed:
            return self._resort(now)
        self._turn += 1
        if self._turn % self._update_every == 0 or now >= self._update_at or self._is_muted:
            return self.update(now)
        values = self._state.sample(now)
        records = [
            Record(path, value) for path, value in zip(self._paths, values, strict=True) if value is not None
        ]
        records.append(Record(objects.BATTERY_LEVEL, self._state.battery_level))
        told = self._operations.readable(records)
        if not told:
            return None
        message = Send(records=told, seq=self._registration.number(), timestamp=self._world.timestamp())
        return self.wire.encode(message, now)

    def update(self, now: float) -> Publication:
        """An Update with what changed since the last one (Core 6.2.2)."""
        self._state.update_wanted = False
        self._plan_update(now)
        return self.wire.encode(self._registration.update(), now)

    def changed(self, now: float) -> list[Publication]:
        """What the server must hear of at once after something else than its command changed the device."""
        if self._is_away or self._account.active:
            return []
        messages = [self.update(now)] if self._state.update_wanted else []
        if not self._is_asleep(now):
            messages += self._notify(self._observations.flush() + self._observations.collect(now), now)
        return messages

    def deregister(self) -> Publication:
        """The De-register of a clean stop (Core 6.2.3)."""
        self.registered = False
        return self.wire.encode(self._registration.deregister(), self._world.monotonic())

    def tick(self, now: float, *, online: bool) -> list[Publication]:
        """Let time pass: notifications, the firmware update, waking up, the end of being disabled.

        Args:
            now: monotonic s.
            online: the device is connected; otherwise it only stores what it would notify.
        """
        self._state.sample(now)
        if self._state.firmware.tick(now):
            self._state.reboot_wanted = True
            return []
        messages: list[Publication] = []
        if online and self._away_until is not None and now >= self._away_until:
            self._away_until = None
            messages.append(self._introduce(now))
        elif online and not self._is_away and self._account.is_overdue(now):
            messages += self._fall_back(now)
        elif online and not self._is_away and self._must_update(now):
            self._sleep.stay_awake(now)
            messages.append(self.update(now))
        if not online or self._is_away or self._account.active or self._is_asleep(now):
            self._observations.store(now)
        else:
            messages += self._notify(self._observations.flush() + self._observations.collect(now), now)
        return messages

    def receive(self, topic: str, payload: bytes, now: float) -> list[Publication]:
        """Act on a message of a server; what to publish in answer.

        Raises:
            DecodeError: nothing that this device understands, or could answer.
        """
        try:
            message = self.wire.decode(topic, payload, now)
        except BadRequestError as exc:
            self.rejected += 1
            answer = self.wire.encode(exc.response, now)
            return [answer._replace(topic=self.wire.reply_topic(topic))]
        if message is None:
            return []
        if isinstance(message, Response):
            return self._answered(message, now)
        bootstraps = message.operation.startswith("bootstrap")
        if self._is_away or self._is_asleep(now) or (self._account.active and not bootstraps):
            return []  # deaf
        self._sleep.stay_awake(now)
        known = self._repeats.answer(message.token, payload, now)
        if known is not None:
            return [known]
        response, answer = self._carry_out(message, now)
        if bootstraps:
            self._account.heard(now)
        self.rejected += not response.code.is_success
        if message.operation not in _REPEATABLE:
            self._repeats.remember(message.token, payload, answer, now)
        return [answer, *self._consequences(now)]

    def _consequences(self, now: float) -> list[Publication]:
        # What a command made necessary beside its answer.
        state = self._state
        if self._account.finish():
            self._retry.begin()
            self._account.heard(now)
            return [self.register(now)]
        if state.bootstrap_wanted:
            state.bootstrap_wanted = False
            return [self._ask_for_account(now, works=True)]
        if state.disable_wanted:
            state.disable_wanted = False
            timeout = state.written.get(objects.DISABLE_TIMEOUT, objects.DISABLED_FOR)
            self._away_until = now + float(str(timeout))
            return [self.deregister()]
        return [] if state.reboot_wanted else self.changed(now)

    @property
    def _is_muted(self) -> bool:
        return self._state.written.get(objects.MUTE_SEND) is True

    @property
    def _is_away(self) -> bool:
        return self._away_until is not None

    def _must_update(self, now: float) -> bool:
        # To wake up, or in time for a lifetime that is shorter than the time from report to report.
        if self._queues and self._sleep.must_wake(now):
            return True
        known = self._retry.at is None and not self._account.active
        return known and now >= self._update_at and not self._is_asleep(now)

    @property
    def _queues(self) -> bool:
        return "Q" in objects.binding(self._state)

    def _is_asleep(self, now: float) -> bool:
        return self._sleep.is_asleep(now) and self._queues and not self._account.active

    def _plan_update(self, now: float) -> None:
        # Half the lifetime leaves time for a reconnect before the server gives the device up.
        self._update_at = now + (self._state.lifetime / 2 or inf)

    def _resort(self, now: float) -> Publication | None:
        # Every attempt was in vain: a device with a bootstrap server asks that, as /1/0/16 would have it;
        # others rest until the next connection.
        if self._account.active or not self._account.wanted:
            return None
        return self._ask_for_account(now, works=self._proven)

    def _ask_for_account(self, now: float, *, works: bool) -> Publication:
        self._account.begin(now, works=works)
        self._retry.begin()
        return self._introduce(now)

    def _fall_back(self, now: float) -> list[Publication]:
        # The bootstrap failed: the account that worked before is still there.
        if self._account.active and self._account.unpack():
            self._account.asked(now)
            return [self._introduce(now)]
        if not self._account.give_up():
            return []
        self._retry.begin()
        return [self.register(now)]

    def _introduce(self, now: float) -> Publication:
        if not self._account.active:
            return self.register(now)
        self.registered = False
        self._repeats.clear()
        self._retry.attempted(now)
        return self.wire.encode(BootstrapRequest(pack=self._account.packed), now)

    def _notify(self, told: list[Told], now: float) -> list[Publication]:
        return [
            self.wire.encode(
                Notify(
                    token=token,
                    records=records,
                    seq=self._registration.number(),
                    timestamp=self._world.timestamp(),
                ),
                now,
            )
            for token, records in told
        ]

    def _answered(self, answer: Response, now: float) -> list[Publication]:
        if not answer.code.is_success:
            self.refused += 1
            forgotten = answer.code is Code.NOT_FOUND and answer.operation in _REPORTS
            if forgotten and self._retry.at is None:
                self.registered = False
                self._retry.at = now
            if answer.operation is Operation.REGISTER and self._registration.was_too_short(answer.code):
                return [self.register(now)]
            asked = Operation.BOOTSTRAP_REQUEST if self._account.active else Operation.REGISTER
            return self._fall_back(now) if answer.operation is asked else []
        if answer.operation is Operation.REGISTER:
            self.registered = self._proven = True
            self._account.confirm()
            self._retry.succeeded()
        elif answer.operation is Operation.BOOTSTRAP_REQUEST and self._account.active:
            self._account.heard(now)
            if answer.code is Code.CONTENT:
                return self._take_pack(answer.records, now)
        return []

    def _take_pack(self, records: tuple[Record, ...], now: float) -> list[Publication]:
        try:
            self._account.take_pack(records)
        except (OperationError, InvalidValueError):
            self.rejected += 1
            return self._fall_back(now)
        return self._consequences(now)

    def _carry_out(self, command: Command, now: float) -> tuple[Response, Publication]:
        self._state.sample(now)
        response = self._operations.answer(command, now)
        try:
            return response, self.wire.encode(response, now, command)
        except InvalidValueError as exc:
            if command.operation in (Operation.OBSERVE, Operation.OBSERVE_COMPOSITE):
                self._observations.cancel(command.token)  # an Observe that is refused observes nothing
            response = Response(token=command.token, code=Code.NOT_ACCEPTABLE, error=Refusal.of(exc))
            return response, self.wire.encode(response, now, command)
