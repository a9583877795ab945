"""A device's account with its server as a bootstrap server writes it (Core 6.1): objects 0, 1, 2 and 24."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from device_simulator import objects, tree_write
from device_simulator.access import CONTROL
from device_simulator.kept_account import KeptAccount
from device_simulator.state import DeviceState
from device_simulator.tree import Created, OperationError, Tree, place
from iiot.errors import InvalidValueError
from iiot.lwm2m.message import Code, Command, Link, Operation, Record, Response, Value
from iiot.lwm2m.path import ROOT, Path

SECURITY, SERVER, DEVICE = 0, 1, 3
_ACCOUNT: Final = Path.of(SERVER, 0)
_STORED: Final = (SECURITY, 23, 24)
"""Objects that only bootstrap servers see; this device keeps what is written, it connects by its settings."""
_IS_BOOTSTRAP, _SHORT_ID, _URI = 1, 10, 0
_SCHEMES: Final = ("mqtt", "mqtts")
"""Of a server URI (Transport 8): this device speaks nothing else."""


class Bootstrap:
    """The bootstrap interface of one device.

    Args:
        state: the device.
        tree: its objects.
        mode: `off`, or `request` or `pack` for a bootstrap before the first registration.

    Attributes:
        active: the device waits for its bootstrap server, and does what that asks.
        wanted: it has a bootstrap server.
        packed: it asks for everything in one message, until that fails.
        failed: how often it went back to the account that worked.
    """

    __slots__ = (
        "_finished",
        "_kept",
        "_prefers_pack",
        "_state",
        "_stored",
        "_tree",
        "_without_account",
        "active",
        "failed",
        "packed",
        "wanted",
    )

    def __init__(self, state: DeviceState, tree: Tree[DeviceState], mode: str = "off") -> None:
        self._state = state
        self._tree = tree
        self._stored: Created = {}
        self._without_account = False
        self._finished = False
        self._kept: KeptAccount | None = None
        self.failed = 0
        self.active = self.wanted = mode != "off"
        self.packed = self._prefers_pack = mode == "pack"

    @property
    def on_trial(self) -> bool:
        """There is an account to go back to, should the bootstrap or the first Register after it fail."""
        return self._kept is not None

    def begin(self, now: float, *, works: bool) -> None:
        """Ask for an account at `now` (monotonic s); `works`: the present one does, so that it is kept."""
        self.active = True
        self.packed = self._prefers_pack
        if works and self._kept is None:
            self._kept = KeptAccount(self._state, self._stored, now)
        self.asked(now)

    def asked(self, now: float) -> None:
        """A message left at `now` that the bootstrap server, or the server after it, must answer."""
        if self._kept is not None:
            self._kept.asked(now)

    def heard(self, now: float) -> None:
        """The bootstrap goes on."""
        if self._kept is not None:
            self._kept.heard(now)

    def is_overdue(self, now: float) -> bool:
        """Whether to give up, and go back to the account that worked."""
        return self._kept is not None and now >= self._kept.deadline

    def unpack(self) -> bool:
        """The pack failed: whether to ask step by step instead, as Core 6.1.7.7 demands."""
        failed, self.packed = self.packed, False
        return failed

    def give_up(self) -> bool:
        """Go back to the account that worked; False when there is none, so that asking goes on."""
        if self._kept is None:
            return False
        self.failed += 1
        self._kept.restore(self._state, self._stored)
        self._kept = None
        self.active = self._finished = self._without_account = False
        return True

    def confirm(self) -> None:
        """The device registered with its account: that is the one to keep from now on."""
        self._kept = None

    def finish(self) -> bool:
        """Whether the bootstrap has just come to its end; true once."""
        ended, self._finished = self.active and self._finished, False
        self.active = self.active and not ended
        return ended

    def carry_out(self, command: Command) -> Response:
        """Do what a bootstrap server asks (Core 6.1.7).

        Raises:
            OperationError: 4.00, 4.04, 4.05 or 4.06.
            InvalidValueError: a value has the wrong type or is out of range.
        """
        if not self.active:
            raise OperationError(Code.METHOD_NOT_ALLOWED, "no bootstrap is under way")
        path, token = command.path or ROOT, command.token
        match command.operation:
            case Operation.BOOTSTRAP_WRITE:
                self.write(command.records)
                return Response(token=token, code=Code.CHANGED)
            case Operation.BOOTSTRAP_READ:
                if path.object_id not in (SERVER, 2):
                    raise OperationError(Code.METHOD_NOT_ALLOWED, "only /1 and /2 can be read")
                records = () if self._without_account else self._tree.read(self._state, path)
                return Response(token=token, code=Code.CONTENT, records=records)
            case Operation.BOOTSTRAP_DELETE:
                self._delete(path)
                return Response(token=token, code=Code.DELETED)
            case Operation.BOOTSTRAP_DISCOVER:
                return Response(token=token, code=Code.CONTENT, links=self._links(path))
        if self._without_account:
            raise OperationError(Code.NOT_ACCEPTABLE, "there is no server account /1/0")
        self._finished = True
        return Response(token=token, code=Code.CHANGED)

    def write(self, records: Iterable[Record]) -> None:
        """Take values, all or none; those of resources that this device does not have are ignored.

        Raises:
            OperationError: 4.00, an object or instance that this device has no room for.
            InvalidValueError: a value has the wrong type or is out of range.
        """
        records = tuple(records)
        if not records:
            raise OperationError(Code.BAD_REQUEST, "nothing to write")
        for record in records:
            if not record.path.is_value:
                raise OperationError(Code.BAD_REQUEST, f"{record.path} is no resource")
            if record.path.ids[0] == SERVER and not _ACCOUNT.contains(record.path):
                raise OperationError(Code.BAD_REQUEST, f"{record.path}: there is room for one account, /1/0")
            if record.value is None:
                raise InvalidValueError(str(record.path), None, "a value")
            self._check(record.path, self._tree.definitions.check(record.path, record.value))
        others = [r for r in records if r.path.ids[0] not in (*_STORED, SERVER, CONTROL)]
        if others:
            tree_write.write(self._tree, self._state, others)
        for record in records:
            self._take(record)

    def take_pack(self, records: Iterable[Record]) -> None:
        """Take the answer to a Bootstrap-Pack-Request, which is all there is to it.

        Raises:
            OperationError, InvalidValueError: see `write`.
        """
        self.write(records)
        self._finished = True

    def _check(self, path: Path, value: Value) -> None:
        # What a server may not write, a bootstrap server may not either: nobody could undo it.
        if path.ids[0] == SECURITY and path.ids[2] == _URI:
            _check_uri(path, str(value))
        with suppress(OperationError):  # what this device does not have is ignored
            check = self._tree.resource(self._state, path).check if path.ids[0] == SERVER else None
            if check is not None:
                check(self._state, value)

    def _take(self, record: Record) -> None:
        if record.path.ids[0] in _STORED:
            self._store(record, self._stored)
        elif record.path.ids[0] == CONTROL:
            self._store(record, self._state.created)
        elif record.path.ids[0] == SERVER:
            self._write_account(record)

    def _store(self, record: Record, instances: Created) -> None:
        definition = self._tree.definitions.resource(record.path)
        if definition is not None and record.value is not None:
            value = definition.check(record.value, str(record.path))
            place(instances.setdefault(Path(record.path.ids[:2]), {}), definition, record.path, value)

    def _write_account(self, record: Record) -> None:
        self._without_account = False
        if record.path == objects.LIFETIME:
            tree_write.write(self._tree, self._state, (record,))
        elif record.value is not None:
            self._state.written[record.path] = self._tree.definitions.check(record.path, record.value)

    def _delete(self, path: Path) -> None:
        if path.level not in ("root", "object", "instance"):
            raise OperationError(Code.BAD_REQUEST, "only objects and instances can be deleted")
        for instance, contents in list(self._stored.items()):
            own_account = instance.ids[0] == SECURITY and contents.get(_IS_BOOTSTRAP) is True
            if path.contains(instance) and not own_account:
                del self._stored[instance]
        for instance in [instance for instance in self._state.created if path.contains(instance)]:
            del self._state.created[instance]
        if path.contains(_ACCOUNT):
            self._without_account = True
            for written in [written for written in self._state.written if _ACCOUNT.contains(written)]:
                del self._state.written[written]

    def _links(self, path: Path) -> tuple[Link, ...]:
        if path.level not in ("root", "object"):
            raise OperationError(Code.BAD_REQUEST, "Bootstrap-Discover is for all objects or one of them")
        links = [Link(ROOT, {"lwm2m": "1.2"})]
        links += (self._stored_link(instance) for instance in sorted(self._stored))
        for link in self._tree.links(self._state):
            if link.path == _ACCOUNT and self._without_account:
                continue
            ssid = {"ssid": int(str(self._state.written.get(_ACCOUNT / 0, 1)))}
            links.append(Link(link.path, {**link.attributes, **(ssid if link.path == _ACCOUNT else {})}))
        found = tuple(link for link in links if link.path == ROOT or path.contains(link.path))
        if len(found) == 1:
            raise OperationError(Code.NOT_FOUND, f"{path} does not exist")
        return found

    def _stored_link(self, instance: Path) -> Link:
        contents = self._stored[instance]
        attributes: dict[str, str | int | float | bool | None] = {}
        if instance.ids[0] == SECURITY and contents.get(_IS_BOOTSTRAP) is not True:
            attributes = {"ssid": int(str(contents.get(_SHORT_ID, 0))), "uri": str(contents.get(_URI, ""))}
        return Link(instance, attributes)


def _check_uri(path: Path, uri: str) -> None:
    try:
        parts = urlsplit(uri)
        usable = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidValueError(str(path), uri, "mqtt:// or mqtts:// with a host, and perhaps a port")
