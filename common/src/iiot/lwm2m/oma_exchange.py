"""What keeps the shared topic of the OMA profile apart: echoes of our own messages, and repeated requests.

Pure: the caller gives the time. Both memories are bounded in time and in number.
"""

from collections import OrderedDict
from hashlib import blake2b
from typing import Final

REMEMBER_SECONDS: Final = 10.0
MAX_ENTRIES: Final = 20_000
MAX_REQUESTS: Final = 32
"""Requests remembered per endpoint."""


class Echoes:
    """Messages that we published a moment ago, to drop them when the broker gives them back.

    Without No Local (MQTT 3.1.1, bridges) a response of ours could pass for the answer to a request of ours.
    """

    def __init__(self) -> None:
        self._sent: OrderedDict[bytes, float] = OrderedDict()

    def sent(self, endpoint: str, payload: bytes, now: float) -> None:
        """Note what leaves. `now` in s, monotonic."""
        key = _digest(endpoint, payload)
        self._sent[key] = now
        self._sent.move_to_end(key)
        while len(self._sent) > MAX_ENTRIES or next(iter(self._sent.values())) < now - REMEMBER_SECONDS:
            self._sent.popitem(last=False)

    def is_echo(self, endpoint: str, payload: bytes, now: float) -> bool:
        """Whether these are bytes that we published within `REMEMBER_SECONDS`; true once per message."""
        at = self._sent.pop(_digest(endpoint, payload), None)
        return at is not None and now - at <= REMEMBER_SECONDS


class Replays:
    """Requests answered a moment ago: one that comes again gets the same answer and is not acted on again."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, OrderedDict[bytes, tuple[float, bytes]]] = OrderedDict()

    def answered(self, endpoint: str, request: bytes, answer: bytes, now: float) -> None:
        """Note the answer to a request. `now` in s, monotonic."""
        answers = self._answers.setdefault(endpoint, OrderedDict())
        answers[_digest(endpoint, request)] = (now, answer)
        while len(answers) > MAX_REQUESTS or next(iter(answers.values()))[0] < now - REMEMBER_SECONDS:
            answers.popitem(last=False)
        self._answers.move_to_end(endpoint)
        if len(self._answers) > MAX_ENTRIES:
            self._answers.popitem(last=False)

    def answer(self, endpoint: str, request: bytes, now: float) -> bytes | None:
        """The answer given to the very same request within `REMEMBER_SECONDS`."""
        known = self._answers.get(endpoint, OrderedDict()).get(_digest(endpoint, request))
        return known[1] if known is not None and now - known[0] <= REMEMBER_SECONDS else None

    def forget(self, endpoint: str) -> None:
        """Forget an endpoint's requests: after a Register its tokens begin anew."""
        self._answers.pop(endpoint, None)


def _digest(endpoint: str, payload: bytes) -> bytes:
    return blake2b(endpoint.encode() + b"/" + payload, digest_size=16).digest()
