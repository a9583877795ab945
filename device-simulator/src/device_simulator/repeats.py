"""Commands that come twice, as QoS 1 may deliver them: answered again, carried out once."""

from collections import OrderedDict
from hashlib import blake2b
from typing import Final

from device_simulator.lwm2m_wire import Publication

REMEMBER_SECONDS: Final = 10.0
MAX_REMEMBERED: Final = 64


class Repeats:
    """The last answers of one device by token; a token that is used for something else begins anew."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        self._answers: OrderedDict[str, tuple[float, bytes, Publication]] = OrderedDict()

    def answer(self, token: str, request: bytes, now: float) -> Publication | None:
        """The answer given to the very same request within `REMEMBER_SECONDS`; `now` in monotonic s."""
        at, digest, answer = self._answers.get(token, (0.0, b"", None))
        return answer if now - at <= REMEMBER_SECONDS and digest == _digest(request) else None

    def remember(self, token: str, request: bytes, answer: Publication, now: float) -> None:
        """Note an answer."""
        self._answers[token] = (now, _digest(request), answer)
        self._answers.move_to_end(token)
        while len(self._answers) > MAX_REMEMBERED or now - self._oldest > REMEMBER_SECONDS:
            self._answers.popitem(last=False)

    def clear(self) -> None:
        """Forget all: with a Register the server's tokens may begin anew."""
        self._answers.clear()

    @property
    def _oldest(self) -> float:
        return next(iter(self._answers.values()))[0]


def _digest(request: bytes) -> bytes:
    return blake2b(request, digest_size=16).digest()
