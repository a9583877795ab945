"""What a device tells its server of itself: the messages of the registration interface (Core 6.2)."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from device_simulator import objects
from device_simulator.ledger import Stream
from device_simulator.state import DeviceState, World
from device_simulator.tree import Tree
from iiot.lwm2m.message import Code, Deregister, Link, Register, Update
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.path import Path

DEVICE_VALUES: Final = tuple(Path.of(3, 0, number) for number in (0, 1, 2, 3, 16))
"""Resources of object 3 whose values a Register carries."""
_SHA_256_64: Final = 5
"""Suite of SHA-256 cut to 64 bits (RFC 6920, section 9.4)."""


class Registration:
    """Makes one device's Register, Update and De-register.

    Args:
        state: the device.
        tree: its objects.
        stream: the ledger's numbers of its messages.
        world: its clocks.
        numbered: messages carry their number in the ledger.
        named: a Profile ID stands for the object list that the server has had before (Core 6.2.1).
    """

    __slots__ = (
        "_known_id",
        "_named",
        "_numbered",
        "_shortened",
        "_state",
        "_stream",
        "_told",
        "_tree",
        "_world",
    )

    def __init__(
        self,
        state: DeviceState,
        tree: Tree[DeviceState],
        stream: Stream,
        world: World,
        *,
        numbered: bool,
        named: bool = False,
    ) -> None:
        self._state = state
        self._tree = tree
        self._stream = stream
        self._world = world
        self._numbered = numbered
        self._named = named
        self._known_id: str | None = None
        self._shortened = False
        self._told: tuple[int, str, tuple[Path, ...]] | None = None

    def number(self) -> int | None:
        """The number of the next message, None where the profile has no place for it."""
        return self._stream.next() if self._numbered else None

    def register(self) -> Register:
        """The whole device (Core 6.2.1)."""
        state = self._state
        self._told = self._current
        links = self._tree.links(state)
        name = dynamic_id(links, self._tree.definitions) if self._named else None
        self._shortened, self._known_id = name is not None and name == self._known_id, name
        values = () if self._shortened else DEVICE_VALUES
        return Register(
            endpoint=state.plan.id,
            lifetime=state.lifetime,
            binding=objects.binding(state),
            links=() if self._shortened else links,
            profile_id=name,
            records=tuple(record for path in values for record in self._tree.read(state, path)),
            seq=self.number(),
            timestamp=self._world.timestamp(),
        )

    def update(self) -> Update:
        """What changed since the last Register or Update (Core 6.2.2)."""
        known, current = self._told, self._current
        self._told = current
        return Update(
            lifetime=current[0] if known is None or known[0] != current[0] else None,
            binding=current[1] if known is None or known[1] != current[1] else None,
            links=self._tree.links(self._state) if known and known[2] != current[2] else None,
            seq=self.number(),
            timestamp=self._world.timestamp(),
        )

    def was_too_short(self, code: Code) -> bool:
        """A Register was refused: whether one with the whole object list is worth trying at once."""
        if code is not Code.CONFLICT:
            return False
        worth, self._known_id = self._shortened, None
        return worth

    def deregister(self) -> Deregister:
        """The end (Core 6.2.3)."""
        return Deregister(seq=self.number(), timestamp=self._world.timestamp())

    @property
    def _current(self) -> tuple[int, str, tuple[Path, ...]]:
        state = self._state
        return state.lifetime, objects.binding(state), tuple(sorted(state.created))


def dynamic_id(links: Iterable[Link], definitions: Definitions) -> str:
    """The Profile ID of an object list: a hash of its objects with their versions and of its instances."""
    paths = sorted({link.path for link in links} | {Path.of(link.path.ids[0]) for link in links})
    named = (
        f"{path};ver={definitions[path.ids[0]].version}" if len(path.ids) == 1 else f"{path}"
        for path in paths
    )
    return f"{_SHA_256_64}:{sha256(','.join(named).encode()).hexdigest()[:16]}"
