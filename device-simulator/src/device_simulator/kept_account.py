"""What a device goes back to when a bootstrap fails: the account that works, and all that a server wrote.

Times are monotonic s and passed in.
"""

from copy import deepcopy
from typing import Any, Final

from device_simulator.state import DeviceState
from device_simulator.tree import Created

ANSWER_SECONDS: Final = 5.0
"""How long a Bootstrap-Request, or the first Register with a new account, waits for its answer."""
SILENCE_SECONDS: Final = 10.0
"""How long a bootstrap server may be silent before Bootstrap-Finish.

The specification allows 247 s (Core 6.1.3.3), minutes in which a device that works would hear nobody.
"""
LONGEST_SECONDS: Final = 60.0
"""How long all of it may take, from the Bootstrap-Request to the answer to the Register."""


class KeptAccount:
    """A copy of everything that a bootstrap server can write or delete, and until when to wait for it.

    Args:
        state: the device.
        stored: instances of the objects that only bootstrap servers see.
        now: monotonic s.
    """

    __slots__ = ("_created", "_lifetime", "_longest", "_stored", "_written", "deadline")

    def __init__(self, state: DeviceState, stored: Created, now: float) -> None:
        self._written = dict(state.written)
        self._created = deepcopy(state.created)
        self._stored = deepcopy(stored)
        self._lifetime = state.lifetime
        self.asked(now)

    def asked(self, now: float) -> None:
        """The device asked its bootstrap server at `now`, or came back to do so."""
        self._longest = now + LONGEST_SECONDS
        self.deadline = now + ANSWER_SECONDS

    def heard(self, now: float) -> None:
        """The bootstrap server said something, or was answered; patience ends after `LONGEST_SECONDS`."""
        self.deadline = min(now + SILENCE_SECONDS, self._longest)

    def restore(self, state: DeviceState, stored: Created) -> None:
        """Put everything back as it was; the mappings stay the same objects, since others hold them."""
        _replace(state.written, self._written)
        _replace(state.created, self._created)
        _replace(stored, self._stored)
        state.lifetime = self._lifetime


def _replace(mapping: dict[Any, Any], contents: dict[Any, Any]) -> None:
    mapping.clear()
    mapping.update(contents)
