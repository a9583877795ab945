"""Access control by object 2 (Core 8): what the server that a device is registered with may do.

Object 2 counts only on a device that has accounts (instances of object 1) of several servers; a single server
may do everything, but for object 2 itself. The server is the one of account /1/0, since a device has one
connection.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from device_simulator.state import DeviceState
from device_simulator.tree import Held, OperationError
from iiot.lwm2m.message import Code, Command, Operation, Record
from iiot.lwm2m.path import MAX_ID, Path

READ, WRITE, EXECUTE, DELETE, CREATE = 1, 2, 4, 8, 16
"""Bits of an access right (resource /2/x/2)."""
CONTROL: Final = 2
"""The Access Control object, and its resources."""
OBJECT, INSTANCE, RIGHTS, OWNER = 0, 1, 2, 3
_SERVER: Final = 1
_SHORT_ID: Final = Path.of(_SERVER, 0, 0)
_ALL: Final = READ | WRITE | EXECUTE | DELETE | CREATE
_NEEDED: Final = {
    Operation.READ: READ,
    Operation.OBSERVE: READ,
    Operation.WRITE_ATTRIBUTES: READ,
    Operation.WRITE: WRITE,
    Operation.WRITE_PARTIAL: WRITE,
    Operation.EXECUTE: EXECUTE,
    Operation.DELETE: DELETE,
}
"""Discover needs no right, and a composite Read or Observe leaves out what may not be read."""


class Access:
    """The access rights of the server on one device, as its instances of object 2 stand at the moment."""

    __slots__ = ("_state",)

    def __init__(self, state: DeviceState) -> None:
        self._state = state

    @property
    def is_enforced(self) -> bool:
        """The device has accounts of several servers."""
        return any(instance.ids[0] == _SERVER for instance in self._state.created)

    @property
    def server(self) -> int:
        """Short Server ID of the server that the device is registered with."""
        return int(str(self._state.written.get(_SHORT_ID, 1)))

    def check(self, command: Command, instances: Iterable[Path]) -> None:
        """Refuse what the server may not do.

        Args:
            command: what it asks for.
            instances: all object instances of the device; what is not there is not refused here.

        Raises:
            OperationError: 4.01.
        """
        if command.operation is Operation.CREATE and command.path is not None:
            self._check_create(command.path)
        elif command.operation is Operation.WRITE_COMPOSITE:
            for path in dict.fromkeys(Path(record.path.ids[:2]) for record in command.records):
                self._require(path, WRITE, instances)
        elif command.path is not None and command.operation in _NEEDED:
            self._require(command.path, _NEEDED[command.operation], instances)

    def readable(self, records: tuple[Record, ...]) -> tuple[Record, ...]:
        """What of these the server may read."""
        if not self.is_enforced:
            return records
        known: dict[Path, bool] = {}
        for path in {Path(record.path.ids[:2]) for record in records}:
            known[path] = bool(self.rights(path) & READ)
        return tuple(record for record in records if known[Path(record.path.ids[:2])])

    def rights(self, instance: Path) -> int:
        """The sum of rights on an object instance; on /object/65535 the right to create instances counts."""
        if instance.ids[0] == CONTROL:
            owned = self._state.created.get(instance, {}).get(OWNER) == self.server
            return READ | WRITE if owned else READ
        if not self.is_enforced:
            return _ALL
        control = next(self._controls(instance), None)
        return 0 if control is None else _granted(self._state.created[control], self.server)

    def created(self, instance: Path) -> None:
        """The server created an instance, and so owns it."""
        if self.is_enforced:
            taken = {path.ids[1] for path in self._state.created if path.ids[0] == CONTROL}
            free = next(number for number in range(MAX_ID) if number not in taken)
            self._state.created[Path.of(CONTROL, free)] = {
                OBJECT: instance.ids[0],
                INSTANCE: instance.ids[1],
                RIGHTS: {},
                OWNER: self.server,
            }

    def deleted(self, instance: Path) -> None:
        """An instance is gone, and with it what says who may use it."""
        for path in tuple(self._controls(instance)):
            del self._state.created[path]

    def _check_create(self, path: Path) -> None:
        object_id = path.ids[0]
        if object_id == CONTROL or not self.rights(Path((object_id, MAX_ID))) & CREATE:
            raise _refusal(f"create instances of /{object_id}")

    def _require(self, path: Path, right: int, instances: Iterable[Path]) -> None:
        there = [found for found in instances if path.contains(found) or found.contains(path)]
        if there and not any(self.rights(found) & right for found in there):
            raise _refusal(f"do this on {path}")

    def _controls(self, instance: Path) -> Iterator[Path]:
        for path, contents in self._state.created.items():
            if path.ids[0] == CONTROL and _is_about(contents, instance):
                yield path


def _granted(contents: dict[int, Held], server: int) -> int:
    listed = contents.get(RIGHTS)
    rights = listed if isinstance(listed, dict) else {}
    if server in rights:
        return int(str(rights[server]))
    if contents.get(OWNER) == server:
        return _ALL
    return int(str(rights.get(0, 0)))


def _is_about(contents: dict[int, Held], instance: Path) -> bool:
    return (contents.get(OBJECT), contents.get(INSTANCE)) == instance.ids[:2]


def _refusal(what: str) -> OperationError:
    return OperationError(Code.UNAUTHORIZED, f"the server has no right in object 2 to {what}")
