"""The LwM2M side of a device: registration, reporting, and answers to the server's commands (JSON profile).

It knows neither sockets nor clocks: it is asked for the next message, given what arrives, and hands
back what to publish.
"""

import random
from typing import Final

from device_simulator.ledger import Stream
from device_simulator.objects import BATTERY_LEVEL, BINDING, DEFAULT_BINDING, MUTE_SEND
from device_simulator.state import DeviceState, World
from device_simulator.tree import OperationError, Tree
from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m import json_profile
from iiot.lwm2m.message import (
    Code,
    Command,
    Deregister,
    Operation,
    Record,
    Refusal,
    Register,
    Response,
    Send,
    Update,
    Uplink,
)
from iiot.lwm2m.path import Path

Publication = tuple[str, bytes]
"""Topic and payload, to be published with QoS 1."""

REGISTER_RETRY: Final = (10.0, 300.0)
"""s until an unanswered or refused Register is sent again: the first time, and at most (doubling)."""
DEVICE_VALUES: Final = tuple(Path.of(3, 0, number) for number in (0, 1, 2, 3, 16))
"""Resources of object 3 whose values a Register carries."""


class Lwm2mClient:
    """One device's LwM2M client.

    Attributes:
        registered: the server answered the last Register with success.
        refused: messages that the server answered with an error.
        rejected: commands that this device answered with an error.
    """

    __slots__ = (
        "_endpoint",
        "_paths",
        "_register_at",
        "_retry",
        "_state",
        "_stream",
        "_told",
        "_tree",
        "_turn",
        "_update_at",
        "_update_every",
        "_world",
        "refused",
        "registered",
        "rejected",
    )

    def __init__(
        self, state: DeviceState, tree: Tree[DeviceState], stream: Stream, world: World, update_every: int
    ) -> None:
        self._state = state
        self._tree = tree
        self._stream = stream
        self._world = world
        self._endpoint = state.plan.id
        self._paths = [Path.parse(channel.path) for channel in state.plan.kind.channels]
        self._update_every = update_every
        self._turn = 0
        self._retry = REGISTER_RETRY[0]
        self._register_at: float | None = None
        self._update_at = 0.0
        self._told: tuple[int, str] | None = None
        self.registered = False
        self.refused = 0
        self.rejected = 0

    def register(self, now: float) -> Publication:
        """The Register that opens every connection, or repeats one (Core 6.2.1); `now` in monotonic s."""
        state = self._state
        self.registered = False
        self._register_at = now + self._retry * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        self._retry = min(self._retry * 2, REGISTER_RETRY[1])
        self._told = (state.lifetime, self._binding)
        self._plan_update(now)
        return self._publication(
            Register(
                endpoint=self._endpoint,
                lifetime=state.lifetime,
                binding=self._binding,
                links=self._tree.links(),
                records=tuple(record for path in DEVICE_VALUES for record in self._tree.read(state, path)),
                seq=self._stream.next(),
                timestamp=self._world.timestamp(),
            )
        )

    def report(self, now: float) -> Publication:
        """The message that is due now: a Send, in its turn an Update, or a Register if one is needed."""
        if self._register_at is not None and now >= self._register_at:
            return self.register(now)
        self._turn += 1
        if self._turn % self._update_every == 0 or now >= self._update_at or self._is_muted:
            return self.update(now)
        self._state.sample(now)
        values = self._state.values
        records = [
            Record(path, value) for path, value in zip(self._paths, values, strict=True) if value is not None
        ]
        records.append(Record(BATTERY_LEVEL, self._state.battery_level))
        return self._publication(
            Send(records=tuple(records), seq=self._stream.next(), timestamp=self._world.timestamp())
        )

    def update(self, now: float) -> Publication:
        """An Update with what changed since the last one (Core 6.2.2)."""
        known, current = self._told, (self._state.lifetime, self._binding)
        self._told = current
        self._state.update_wanted = False
        self._plan_update(now)
        return self._publication(
            Update(
                lifetime=current[0] if known is None or known[0] != current[0] else None,
                binding=current[1] if known is None or known[1] != current[1] else None,
                seq=self._stream.next(),
                timestamp=self._world.timestamp(),
            )
        )

    def deregister(self) -> Publication:
        """The De-register of a clean stop (Core 6.2.3)."""
        self.registered = False
        return self._publication(Deregister(seq=self._stream.next(), timestamp=self._world.timestamp()))

    def receive(self, topic: str, payload: bytes, now: float) -> list[Publication]:
        """Act on a message of the server; what to publish in answer.

        Raises:
            DecodeError: the topic is not one of this device's own downlink topics.
        """
        try:
            where = json_profile.parse_topic(topic)
        except InvalidValueError as exc:
            raise DecodeError(str(exc)) from exc
        if where.kind not in json_profile.DOWN_KINDS or where.endpoint != self._endpoint:
            raise DecodeError(f"{topic}: not for this device")
        try:
            message = json_profile.decode_downlink(where, payload)
        except (DecodeError, InvalidValueError) as exc:
            if where.kind != "cmd":
                raise DecodeError(str(exc)) from exc
            self.rejected += 1
            error = Refusal.of(exc) if isinstance(exc, InvalidValueError) else str(exc)
            return [self._publication(Response(token=where.token, code=Code.BAD_REQUEST, error=error))]
        if isinstance(message, Response):
            self._acknowledged(message, now)
            return []
        answer = self._carry_out(message)
        self.rejected += not answer.code.is_success
        answers = [self._publication(answer)]
        if self._state.update_wanted:
            answers.append(self.update(now))
        return answers

    @property
    def _binding(self) -> str:
        return str(self._state.written.get(BINDING, DEFAULT_BINDING))

    @property
    def _is_muted(self) -> bool:
        return self._state.written.get(MUTE_SEND) is True

    def _plan_update(self, now: float) -> None:
        # Half the lifetime leaves time for a reconnect before the server gives the device up.
        self._update_at = now + self._state.lifetime / 2

    def _publication(self, message: Uplink) -> Publication:
        return json_profile.encode_uplink(self._endpoint, message)

    def _acknowledged(self, answer: Response, now: float) -> None:
        if answer.code.is_success:
            if answer.operation is Operation.REGISTER:
                self.registered = True
                self._register_at = None
                self._retry = REGISTER_RETRY[0]
            return
        self.refused += 1
        forgotten = answer.code is Code.NOT_FOUND and answer.operation in (Operation.UPDATE, Operation.SEND)
        if forgotten and self._register_at is None:
            self.registered = False
            self._register_at = now

    def _carry_out(self, command: Command) -> Response:
        token = command.token
        try:
            self._state.sample_now()
            return self._operate(command)
        except InvalidValueError as exc:
            return Response(token=token, code=Code.BAD_REQUEST, error=Refusal.of(exc))
        except OperationError as exc:
            return Response(token=token, code=exc.code, error=str(exc))

    def _operate(self, command: Command) -> Response:
        device, tree, token = self._state, self._tree, command.token
        match command.operation:
            case Operation.READ:
                return Response(token=token, code=Code.CONTENT, records=tree.read(device, _target(command)))
            case Operation.WRITE | Operation.WRITE_PARTIAL | Operation.WRITE_COMPOSITE:
                tree.write(device, command.records)
                return Response(token=token, code=Code.CHANGED)
            case Operation.EXECUTE:
                tree.execute(device, _target(command), command.arguments)
                return Response(token=token, code=Code.CHANGED)
            case Operation.DISCOVER:
                return Response(token=token, code=Code.CONTENT, links=tree.discover(_target(command)))
        return Response(
            token=token,
            code=Code.NOT_IMPLEMENTED,
            error=f"{command.operation} is not supported by this device",
        )


def _target(command: Command) -> Path:
    if command.path is None or not command.path.ids:
        raise InvalidValueError(
            "path", None if command.path is None else "/", "an object or a node below one"
        )
    return command.path
