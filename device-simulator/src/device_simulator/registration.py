"""What a device tells its server of itself: the messages of the registration interface (Core 6.2)."""

from typing import Final

from device_simulator import objects
from device_simulator.ledger import Stream
from device_simulator.state import DeviceState, World
from device_simulator.tree import Tree
from iiot.lwm2m.message import Deregister, Register, Update
from iiot.lwm2m.path import Path

DEVICE_VALUES: Final = tuple(Path.of(3, 0, number) for number in (0, 1, 2, 3, 16))
"""Resources of object 3 whose values a Register carries."""


class Registration:
    """Makes one device's Register, Update and De-register.

    Args:
        state: the device.
        tree: its objects.
        stream: the ledger's numbers of its messages.
        world: its clocks.
        numbered: messages carry their number in the ledger.
    """

    __slots__ = ("_numbered", "_state", "_stream", "_told", "_tree", "_world")

    def __init__(
        self, state: DeviceState, tree: Tree[DeviceState], stream: Stream, world: World, *, numbered: bool
    ) -> None:
        self._state = state
        self._tree = tree
        self._stream = stream
        self._world = world
        self._numbered = numbered
        self._told: tuple[int, str, tuple[Path, ...]] | None = None

    def number(self) -> int | None:
        """The number of the next message, None where the profile has no place for it."""
        return self._stream.next() if self._numbered else None

    def register(self) -> Register:
        """The whole device (Core 6.2.1)."""
        state = self._state
        self._told = self._current
        return Register(
            endpoint=state.plan.id,
            lifetime=state.lifetime,
            binding=objects.binding(state),
            links=self._tree.links(state),
            records=tuple(record for path in DEVICE_VALUES for record in self._tree.read(state, path)),
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

    def deregister(self) -> Deregister:
        """The end (Core 6.2.3)."""
        return Deregister(seq=self.number(), timestamp=self._world.timestamp())

    @property
    def _current(self) -> tuple[int, str, tuple[Path, ...]]:
        state = self._state
        return state.lifetime, objects.binding(state), tuple(sorted(state.created))
