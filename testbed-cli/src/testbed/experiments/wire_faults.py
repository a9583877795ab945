"""Faults that come over the wire, from devices and clients that do what a good one never does."""

import asyncio
import time
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from testbed.experiments.guest import Guest
from testbed.experiments.lab import Lab, living
from testbed.experiments.loads import SECONDS
from testbed.experiments.model import Expectation, Experiment, Number, Values

PATIENCE: Final = 30.0
POISON: Final = (
    ("send", b"{not JSON"),
    ("send", b"\xff\xfe\x00"),
    ("update", b'{"lifetime": 60'),
    ("DDATA", b"\xff\xff\xff not a protobuf"),
    ("DDATA", b"\x12\x03\x0a"),
)
"""Topics and payloads that no part can read."""
STREAMS: Final = ("/api/events/stream?after=1", "/api/events?limit=1000")
_HELD_OPEN: Final = 2_048
"""Bytes of a receive buffer that is never emptied."""


async def poison(lab: Lab, values: Values) -> None:
    """Payloads that cannot be read, between good ones."""
    before = await lab.dead_letters()
    count = int(values["messages"])
    async with lab.devices(1) as (guest,):
        for number in range(count):
            kind, payload = POISON[number % len(POISON)]
            guest.publish(guest.topic(kind), payload, qos=1 if kind.islower() else 0)
            guest.send(5)
            await asyncio.sleep(0.005)
        lab.calm()
        found = await _until(lab, before + count)
    lab.check(
        "each is in a dead-letter topic, once", f"{count}", f"{found - before}", good=found - before == count
    )


async def _until(lab: Lab, wanted: int) -> int:
    for _ in range(int(PATIENCE / 0.5)):
        if (found := await lab.dead_letters()) >= wanted:
            break
        await asyncio.sleep(0.5)
    return found


async def gaps(lab: Lab, values: Values) -> None:
    """Sequence numbers are left out, as when a message is lost on its way."""
    async with lab.devices(int(values["devices"])) as guests:
        for guest in guests:
            guest.send(3)
            guest.skip()
            guest.send(3)
        began, waiting = time.monotonic(), set(guests)
        while waiting and time.monotonic() - began < PATIENCE:
            waiting = {guest for guest in waiting if not guest.rebirths}
            for guest in guests:
                guest.send(1)
            await asyncio.sleep(0.1)
        took = time.monotonic() - began
        lab.calm()
    answered = len(guests) - len(waiting)
    lab.figures["seconds_to_all_rebirths"] = round(took, 2)
    lab.check(
        "the host asks each edge node for a rebirth",
        f"{len(guests)} within {PATIENCE:g} s",
        f"{answered} after {took:.1f} s",
        good=not waiting,
    )


async def takeover(lab: Lab, values: Values) -> None:
    """Two clients with one certificate throw each other out again and again."""
    async with lab.devices(1, numbered=False) as (first,):
        second = Guest(first.name, lab.identities(first.name), numbered=False)
        ends = time.monotonic() + int(values["seconds"])
        async with living((second,)):
            while time.monotonic() < ends:
                for guest in (first, second):
                    guest.send(1)
                await asyncio.sleep(0.05)
        lab.calm()
        takeovers = first.connects + second.connects - 1
        online = await _is_online(lab, first.name)
    lab.figures["takeovers"] = takeovers
    lab.check("the id changes hands", "at least 2 times", takeovers, good=takeovers >= 2)
    lab.check("the host sees the survivor online", "online", "online" if online else "offline", good=online)


async def _is_online(lab: Lab, name: str) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        node = await lab.rest("GET", f"{lab.places.sparkplug_host_url}/api/nodes/{name}", good=(200, 404))
        if node.get("online"):
            return True
        await asyncio.sleep(0.2)
    return False


async def slow_clients(lab: Lab, values: Values) -> None:
    """Clients of the LwM2M server that ask for much and read nothing."""
    where = urlsplit(lab.places.lwm2m_server_url)
    opened: list[asyncio.StreamWriter] = []
    try:
        for number in range(int(values["clients"])):
            # Nobody reads, so the stream stops taking from the socket at twice this limit.
            _, writer = await asyncio.open_connection(where.hostname, where.port or 80, limit=_HELD_OPEN)
            opened.append(writer)
            path = STREAMS[number % len(STREAMS)]
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode() * 20)
            await writer.drain()
        lab.tell(f"{len(opened)} clients wait without reading")
        await asyncio.sleep(int(values["seconds"]))
        lab.calm()
    finally:
        for writer in opened:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()
    found = await lab.rest("GET", f"{lab.places.lwm2m_server_url}/api/health", good=(200, 503))
    lab.check(
        "the server is healthy afterwards", "healthy", found["status"], good=found["status"] == "healthy"
    )


WIRE_FAULTS: Final = (
    Experiment(
        "poison",
        "Payloads that nobody can read",
        "fault",
        "A device of its own sends broken JSON and broken protobuf between good messages.",
        "Each broken one lands in a dead-letter topic with the reason; every good one arrives.",
        (Number("messages", "broken messages", 100, 1, 10_000),),
        poison,
        lambda _: Expectation(recovers_within=30),
    ),
    Experiment(
        "sequence-gap",
        "Gaps in the sequence",
        "fault",
        "Devices of its own leave out a Sparkplug sequence number.",
        "The host notices each gap and asks for a rebirth; nothing that was sent is lost.",
        (Number("devices", "devices of the experiment's own", 5, 1, 200),),
        gaps,
        lambda _: Expectation(recovers_within=30),
    ),
    Experiment(
        "takeover",
        "Two devices with one id",
        "fault",
        "Two clients with the same certificate connect again and again, each throwing the other out.",
        "The host follows births and deaths, and ends with the survivor online; the fleet is not affected.",
        (SECONDS,),
        takeover,
        lambda _: Expectation(recovers_within=30),
    ),
    Experiment(
        "slow-clients",
        "REST clients that do not read",
        "fault",
        "Clients ask the LwM2M server for events, and then take nothing of the answers.",
        "The server drops them in time; others are answered as before, and no message is lost.",
        (Number("clients", "connections", 50, 1, 150), SECONDS),
        slow_clients,
        lambda _: Expectation(recovers_within=30),
    ),
)
