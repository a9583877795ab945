"""What devices say they sent: `GET /api/ledger` of every simulator."""

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from iiot.errors import IiotError
from testbed.verify.ledger import Counter

ANSWER_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)


class SimulatorsError(IiotError):
    """The simulators cannot be found or asked."""


@dataclass(slots=True)
class Answers:
    """The counters of all simulators that answered, and what went wrong with the others."""

    counters: list[Counter] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    answered: int = 0


async def read_counters(session: aiohttp.ClientSession, simulators: str) -> Answers:
    """Ask all simulators at once.

    Args:
        session: the HTTP client.
        simulators: comma-separated `host:port`; a name stands for every address it resolves to, so one
            name covers a scaled service.

    Raises:
        SimulatorsError: no name in it resolves.
    """
    addresses = await resolve(simulators)
    answers = Answers()
    for result in await asyncio.gather(*(_ask(session, host, port) for host, port in addresses)):
        if isinstance(result, str):
            answers.problems.append(result)
        else:
            answers.answered += 1
            answers.counters += result
    return answers


async def resolve(simulators: str) -> list[tuple[str, int]]:
    """The addresses behind a comma-separated list of `host:port`.

    Raises:
        SimulatorsError: nothing in it resolves.
    """
    loop = asyncio.get_running_loop()
    addresses: set[tuple[str, int]] = set()
    problems = []
    for host, port in parse_addresses(simulators):
        try:
            # IPv4 only: `localhost` would otherwise be two simulators, one of which never answers.
            found = await loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
        except OSError as exc:
            problems.append(f"{host}: {exc.strerror or exc}")
        else:
            addresses.update((str(address[0]), int(address[1])) for *_, address in found)
    if not addresses:
        raise SimulatorsError("; ".join(problems))
    return sorted(addresses)


def parse_addresses(text: str) -> list[tuple[str, int]]:
    """A comma-separated list of `host:port`.

    Raises:
        ValueError: it is something else.
    """
    addresses = []
    for item in filter(None, map(str.strip, text.split(","))):
        host, _, port = item.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError("must be host:port, or several with commas")
        addresses.append((host, int(port)))
    if not addresses:
        raise ValueError("must be host:port, or several with commas")
    return addresses


async def _ask(session: aiohttp.ClientSession, host: str, port: int) -> list[Counter] | str:
    url = f"http://{host}:{port}/api/ledger"
    try:
        async with session.get(url, timeout=ANSWER_TIMEOUT, raise_for_status=True) as response:
            return list(_counters(await response.json()))
    except aiohttp.ClientConnectorError as exc:
        return f"no answer from {url} ({exc.strerror or exc.os_error})"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError) as exc:
        return f"{url}: {str(exc) or type(exc).__name__}"


def _counters(body: Any) -> Iterable[Counter]:
    for stream in body["streams"]:
        yield Counter(stream["device"], stream["stream"], int(stream["first"]), int(stream["last"]))
