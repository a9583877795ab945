"""One id for a request on all its way: HTTP header, log lines, MQTT user property, answer.

Whoever asks may bring an id (`X-Request-ID`, or the trace id of a W3C `traceparent`), else one is made. It
is kept in the context of the running code: log lines and published messages carry it without being told.
"""

import itertools
import re
import secrets
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Final

HEADER: Final = "X-Request-ID"
PROPERTY: Final = "correlation-id"
"""Name of the MQTT 5 user property."""
FIELD: Final = "correlation_id"
"""Name in log lines and problem+json."""
MAX_LENGTH: Final = 64

_LEGAL = re.compile(rf"[A-Za-z0-9._:/+=@-]{{1,{MAX_LENGTH}}}", re.ASCII)
# Trace Context, level 1, section 3.2: version, trace id, parent id, flags; later versions may append.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)
# Ids of our own: random for each process, counted within it.
_PROCESS: Final = secrets.token_hex(4)
_numbers = itertools.count(secrets.randbelow(1 << 24))
_current: ContextVar[str] = ContextVar(FIELD, default="")


def current() -> str:
    """The id of the request that this code runs for; empty when it runs for none."""
    return _current.get()


class _Bound:
    """What `bound` returns; a class, because every request and message enters one."""

    __slots__ = ("_id", "_token")

    def __init__(self, correlation_id: str) -> None:
        self._id = correlation_id

    def __enter__(self) -> None:
        self._token = _current.set(self._id)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def bound(correlation_id: str) -> AbstractContextManager[None]:
    """Run the block for the request with this id; an empty one for none."""
    return _Bound(correlation_id)


def legal(text: str) -> str:
    """`text` if it may be an id, else nothing: what others send must not forge log lines."""
    return text if _LEGAL.fullmatch(text) else ""


def of_headers(headers: Mapping[str, str]) -> str:
    """The id that a request brought, or a new one; too long a one, or one of other characters, is ignored."""
    given, parent = headers.get(HEADER), headers.get("traceparent")
    if given and legal(given):
        return given
    trace = _TRACEPARENT.fullmatch(parent) if parent else None
    return trace[1] if trace else f"{_PROCESS}{next(_numbers):08x}"


def add_to_log(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the id on every line that is written for a request."""
    correlation_id = _current.get()
    if correlation_id:
        event.setdefault(FIELD, correlation_id)
    return event
