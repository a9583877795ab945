"""Loads: more devices, more messages, waves of registrations."""

import asyncio
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from testbed.experiments.lab import ExperimentError, Lab
from testbed.experiments.model import Choice, Expectation, Experiment, Number, Values

BURST_EVERY: Final = 5.0
BURST_SECONDS: Final = 1.0
ACK_PATIENCE: Final = 60.0

SECONDS = Number("seconds", "how long", 20, 5, 600, "s")
DEVICES = Number("devices", "devices of the experiment's own", 20, 1, 1000)


def shape_of(name: str) -> Callable[[float], float]:
    """How the rate goes over time, with a mean of 1."""
    if name == "steady":
        return lambda _: 1.0
    share = BURST_SECONDS / BURST_EVERY
    return lambda elapsed: (1 / share) if elapsed % BURST_EVERY < BURST_SECONDS else 0.0


async def load(lab: Lab, values: Values) -> None:
    """Devices of our own send beside the fleet."""
    seconds, rate = int(values["seconds"]), int(values["rate"])
    async with lab.devices(int(values["devices"])) as guests:
        held = await lab.load(guests, rate, seconds, shape_of(str(values["shape"])))
        lab.calm()
    lab.figures["held_back"] = held
    offered = rate * seconds
    lab.check(
        "the load was offered in full",
        "at most 1 % held back by the connections",
        f"{held} of {offered} messages held back",
        good=held <= offered * 0.01,
    )


async def registrations(lab: Lab, values: Values) -> None:
    """All devices register again and again, as after a restart of a whole plant."""
    rounds = int(values["rounds"])
    async with lab.devices(int(values["devices"])) as guests:
        began = time.monotonic()
        for _ in range(rounds):
            for guest in guests:
                if guest.connection is not None:
                    guest.register()
            await asyncio.sleep(0)
        wanted = len(guests) * (rounds + 1)
        deadline = time.monotonic() + ACK_PATIENCE
        while (answered := sum(g.acknowledged["2.01"] for g in guests)) < wanted:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
        took = time.monotonic() - began
        lab.calm()
    lab.figures["registrations_per_second"] = round((answered - len(guests)) / took, 1)
    lab.check("every Register is acknowledged", f"{wanted} times 2.01", answered, good=answered == wanted)


async def reboots(lab: Lab, values: Values) -> None:
    """Devices of the fleet reboot over REST and come back with a new bdSeq."""
    root = lab.places.lwm2m_server_url
    found = await lab.rest("GET", f"{root}/api/clients")
    clients = found["clients"] if isinstance(found, dict) else found
    online = [client["endpoint"] for client in clients if client.get("online")]
    chosen = online[: int(values["devices"])]
    if not chosen:
        raise ExperimentError("no device is online to reboot")
    before = {name: (await _node(lab, name))["births"] for name in chosen}
    for name in chosen:
        await lab.rest("POST", f"{root}/api/clients/{quote(name, safe='')}/3/0/4")
    lab.tell(f"{len(chosen)} devices were told to reboot")
    began = time.monotonic()
    waiting = set(chosen)
    while waiting and time.monotonic() - began < ACK_PATIENCE:
        for name in sorted(waiting):
            node = await _node(lab, name)
            if node["online"] and node["births"] > before[name]:
                waiting.discard(name)
        await asyncio.sleep(0.1)
    lab.calm()
    lab.figures["all_back_after_seconds"] = round(time.monotonic() - began, 2)
    found_back = f"{len(chosen) - len(waiting)} of {len(chosen)}"
    lab.check("every device is born again", f"{len(chosen)} of {len(chosen)}", found_back, good=not waiting)


async def rebirths(lab: Lab, values: Values) -> None:
    """Every edge node is asked for its births again and again."""
    root = lab.places.sparkplug_host_url
    page = await lab.rest("GET", f"{root}/api/nodes?limit=1000")
    nodes = [node["edge_node"] for node in page["nodes"] if node["online"]]
    for _ in range(int(values["rounds"])):
        for name in nodes:
            await lab.rest("POST", f"{root}/api/nodes/{quote(name, safe='')}/rebirth", good=(202, 409))
        await asyncio.sleep(1)
    lab.calm()
    after = await lab.rest("GET", f"{root}/api/nodes?limit=1000")
    online = {node["edge_node"] for node in after["nodes"] if node["online"]}
    lab.figures["rebirths_requested"] = len(nodes) * int(values["rounds"])
    lab.check(
        "every edge node stays online",
        f"{len(nodes)}",
        f"{len(online & set(nodes))}",
        good=online >= set(nodes),
    )


async def _node(lab: Lab, name: str) -> dict[str, int]:
    url = f"{lab.places.sparkplug_host_url}/api/nodes/{quote(name, safe='')}"
    node: dict[str, int] = await lab.rest("GET", url)
    return node


LOADS: Final = (
    Experiment(
        "load",
        "More devices, more messages",
        "load",
        "Connects devices of its own over TLS, each with a certificate, and has them send Sparkplug and "
        "LwM2M (19 : 1) beside the fleet.",
        "Every message arrives once and in order; latency rises, but comes down again.",
        (
            DEVICES,
            Number("rate", "messages per second of all together", 500, 1, 20_000, "/s"),
            SECONDS,
            Choice("shape", "steady, or all of it in one second of five", "steady", ("steady", "bursts")),
        ),
        load,
        lambda _: Expectation(recovers_within=30),
    ),
    Experiment(
        "registration-storm",
        "Everybody registers at once",
        "load",
        "Devices of its own send Register as fast as they can, some rounds in a row, as after a power cut.",
        "The LwM2M server acknowledges each one, and the fleet's messages go on.",
        (DEVICES, Number("rounds", "registrations of each device", 20, 1, 200)),
        registrations,
        lambda _: Expectation(recovers_within=30),
    ),
    Experiment(
        "reboot",
        "Devices reboot",
        "load",
        "Executes /3/0/4 on devices of the fleet: each disconnects and comes back with a new bdSeq.",
        "All are born again within a minute. Sparkplug data is QoS 0: what was on the wire may be lost.",
        (Number("devices", "devices of the fleet", 2, 1, 1000),),
        reboots,
        lambda _: Expectation(lost=0.5, recovers_within=60),
    ),
    Experiment(
        "rebirth-storm",
        "Rebirths for all",
        "load",
        "Asks every edge node for its births through the Sparkplug host, once a second.",
        "Births interrupt no data: everything arrives in order, and all edge nodes stay online.",
        (Number("rounds", "requests to each edge node, one per second", 10, 1, 120),),
        rebirths,
        lambda _: Expectation(recovers_within=30),
    ),
)
