"""Work that many events ask for, and that is done once for all of them."""

import asyncio
from collections.abc import Callable


class Soon:
    """Calls a function in the event loop's next turn, however often it is asked for until then.

    Args:
        work: what to do; must not raise.
    """

    __slots__ = ("_asked", "_work")

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._asked = False

    def ask(self) -> None:
        """Have the work done soon."""
        if not self._asked:
            self._asked = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._asked = False
        self._work()
