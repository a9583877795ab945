"""What every HTTP server checks before a handler sees a request: whom it is for, and how the body is coded.

To a browser a page is of the same origin as the service when the page's owner lets its name resolve to
127.0.0.1 (DNS rebinding): it reads answers and needs no permission to write. It cannot hide the name, though:
the browser puts it into `Host`. Addresses are no names, so they are allowed as they are.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from aiohttp import web

from iiot.errors import IiotError

SERVICE_HOSTS: Final = (
    *("lwm2m-server", "sparkplug-host", "mqtt-redpanda-bridge", "redpanda-connect"),
    *("device-simulator", "console", "testbed-exporter"),
)
"""Names by which services reach each other in docker-compose.yml."""
LOOPBACK: Final = "localhost"
HOST_NAME: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*"
)
"""A name as `ALLOWED_HOSTS` takes it: lower case, no port, no dot at the end."""

_LONGEST: Final = 300
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^\[\]:]+))(?::[0-9]{0,5})?", re.ASCII)


class RequestRefusedError(IiotError):
    """A request that no handler shall see.

    Attributes:
        status: HTTP status.
        reason: `host` or `encoding`, for counters.
        field, value, allowed: as in every error of the APIs.
    """

    def __init__(self, status: int, reason: str, field: str, value: str, allowed: str) -> None:
        super().__init__(f"{field}: got {value!r}, allowed: {allowed}")
        self.status, self.reason = status, reason
        self.field, self.value, self.allowed = field, value, allowed


def hosts_of(names: Iterable[str]) -> frozenset[str]:
    """The names that a server answers to: its own, those of compose, `localhost`, and `names`."""
    return frozenset((LOOPBACK, *SERVICE_HOSTS, *(name.lower().rstrip(".") for name in names if name)))


def check_request(request: web.Request, hosts: frozenset[str] | None) -> None:
    """Let a request pass that is for us and whose body is what it seems.

    Args:
        request: nothing of its body has been read yet.
        hosts: the names allowed beside addresses; None where TLS has proved the name already.

    Raises:
        RequestRefusedError: 400 without exactly one `Host`, 421 for another name (RFC 9110, section
            15.5.20), 415 for a `Content-Encoding` (section 15.5.16).
    """
    if hosts is not None:
        given = request.headers.getall("Host", [])
        if len(given) != 1:
            raise RequestRefusedError(400, "host", "Host", f"{len(given)} times", "once in each request")
        # A target in absolute form has a host of its own, which counts (RFC 9112, section 3.2.2).
        for name in {given[0], request.host}:
            if not is_allowed(name or "", hosts):
                raise RequestRefusedError(421, "host", "Host", str(name)[:100], _allowed(hosts))
    for header in request.headers.getall("Content-Encoding", []):
        if header.strip().lower() not in ("", "identity"):
            raise RequestRefusedError(
                415, "encoding", "Content-Encoding", header[:100], "identity: send it as it is"
            )


def is_allowed(host: str, hosts: frozenset[str]) -> bool:
    """Whether a value of `Host` is an address, or one of these names."""
    name = _name_of(host)
    return name is not None and (name == "" or name in hosts)


@lru_cache(maxsize=256)
def _name_of(host: str) -> str | None:
    """The name in `host`, lower case; empty for an address, None for neither."""
    if len(host) > _LONGEST:
        return None
    found = _HOST.fullmatch(host)
    address, name = (found[1], found[2]) if found else (host, None)
    try:
        ip_address(address or name or "")
    except ValueError:
        return name.lower().removesuffix(".") if name else None
    return ""


def _allowed(hosts: frozenset[str]) -> str:
    return f"an IP address, {', '.join(sorted(hosts))}; ALLOWED_HOSTS takes more names"
