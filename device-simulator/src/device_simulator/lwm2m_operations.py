"""What a device does on its servers' commands (Core 6.1, 6.3, 6.4)."""

from collections.abc import Callable
from typing import ClassVar

from device_simulator import tree_write
from device_simulator.access import Access
from device_simulator.bootstrap import Bootstrap
from device_simulator.observations import Observations
from device_simulator.state import DeviceState
from device_simulator.tree import OperationError, Tree
from iiot.errors import InvalidValueError
from iiot.lwm2m.message import Code, Command, Operation, Record, Refusal, Response
from iiot.lwm2m.observe import OwnAttributes
from iiot.lwm2m.path import Path


class Operations:
    """Carries out commands on one device."""

    __slots__ = ("_access", "_account", "_observations", "_state", "_tree")

    def __init__(
        self,
        state: DeviceState,
        tree: Tree[DeviceState],
        observations: Observations,
        account: Bootstrap,
    ) -> None:
        self._access = Access(state)
        self._account = account
        self._state = state
        self._tree = tree
        self._observations = observations

    def readable(self, records: list[Record]) -> tuple[Record, ...]:
        """What of these a Send may hold (Core 6.4.6)."""
        return self._access.readable(tuple(records))

    def answer(self, command: Command, now: float) -> Response:
        """Carry a command out at `now` (monotonic s), or say why not."""
        try:
            self._access.check(command, self._tree.instances(self._state))
            perform = self._PERFORM.get(command.operation)
            return perform(self, command, now) if perform else self._account.carry_out(command)
        except InvalidValueError as exc:
            return Response(token=command.token, code=Code.BAD_REQUEST, error=Refusal.of(exc))
        except OperationError as exc:
            return Response(token=command.token, code=exc.code, error=str(exc))

    def _read(self, command: Command, _: float) -> Response:
        records = self._access.readable(self._tree.read(self._state, _target(command)))
        return Response(token=command.token, code=Code.CONTENT, records=records)

    def _read_composite(self, command: Command, _: float) -> Response:
        records = self._observations.read(_targets(command))
        return Response(token=command.token, code=Code.CONTENT, records=records)

    def _discover(self, command: Command, _: float) -> Response:
        target = _target(command)
        links = self._tree.discover(self._state, target, command.depth)
        return Response(token=command.token, code=Code.CONTENT, links=self._observations.links(links, target))

    def _write(self, command: Command, _: float) -> Response:
        target = _target(command)
        if target.level == "object":
            raise OperationError(Code.METHOD_NOT_ALLOWED, "an object cannot be written, only its instances")
        replaces = command.operation is Operation.WRITE
        return self._written(command, target if replaces else None)

    def _write_composite(self, command: Command, _: float) -> Response:
        return self._written(command, None)

    def _written(self, command: Command, replace: Path | None) -> Response:
        if command.path is not None and not all(command.path.contains(r.path) for r in command.records):
            raise OperationError(Code.BAD_REQUEST, f"values outside of {command.path}")
        tree_write.write(self._tree, self._state, command.records, replace=replace)
        self._observations.follow_defaults()
        return Response(token=command.token, code=Code.CHANGED)

    def _write_attributes(self, command: Command, _: float) -> Response:
        if command.attributes is None:
            raise InvalidValueError("attributes", None, "at least one attribute")
        self._observations.write_attributes(_target(command), command.attributes)
        return Response(token=command.token, code=Code.CHANGED)

    def _execute(self, command: Command, _: float) -> Response:
        self._tree.execute(self._state, _target(command), command.arguments)
        return Response(token=command.token, code=Code.CHANGED)

    def _create(self, command: Command, _: float) -> Response:
        values = {r.path: r.value for r in command.records if r.value is not None}
        location = self._tree.create(self._state, _target(command), values)
        self._access.created(location)
        self._state.update_wanted = True
        return Response(token=command.token, code=Code.CREATED, location=location)

    def _delete(self, command: Command, _: float) -> Response:
        target = _target(command)
        self._tree.delete(self._state, target)
        if target.level == "instance":
            self._access.deleted(target)
        self._state.attributes.forget(target)
        self._state.update_wanted = target.level == "instance"
        return Response(token=command.token, code=Code.DELETED)

    def _observe(self, command: Command, now: float) -> Response:
        own = None if command.attributes is None else OwnAttributes(command.attributes)
        records = self._observations.observe(command.token, (_target(command),), now, own)
        return Response(token=command.token, code=Code.CONTENT, records=records)

    def _observe_composite(self, command: Command, now: float) -> Response:
        own = None if command.attributes is None else OwnAttributes(command.attributes, composite=True)
        records = self._observations.observe(command.token, _targets(command), now, own)
        return Response(token=command.token, code=Code.CONTENT, records=records)

    def _cancel(self, command: Command, _: float) -> Response:
        if not self._observations.cancel(command.token):
            raise OperationError(Code.NOT_FOUND, f"no observation has the token {command.token}")
        return Response(token=command.token, code=Code.CONTENT)

    _PERFORM: ClassVar[dict[Operation, Callable[["Operations", Command, float], Response]]] = {
        Operation.READ: _read,
        Operation.READ_COMPOSITE: _read_composite,
        Operation.DISCOVER: _discover,
        Operation.WRITE: _write,
        Operation.WRITE_PARTIAL: _write,
        Operation.WRITE_ATTRIBUTES: _write_attributes,
        Operation.WRITE_COMPOSITE: _write_composite,
        Operation.EXECUTE: _execute,
        Operation.CREATE: _create,
        Operation.DELETE: _delete,
        Operation.OBSERVE: _observe,
        Operation.OBSERVE_COMPOSITE: _observe_composite,
        Operation.CANCEL_OBSERVE: _cancel,
    }


def _target(command: Command) -> Path:
    if command.path is None or not command.path.ids:
        shown = None if command.path is None else "/"
        raise InvalidValueError("path", shown, "an object or a node below one")
    return command.path


def _targets(command: Command) -> tuple[Path, ...]:
    if not command.paths:
        raise InvalidValueError("paths", [], "at least one path")
    return tuple(dict.fromkeys(command.paths))
