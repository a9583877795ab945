"""All devices: registrations at the LwM2M server beside edge nodes at the Sparkplug host."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import aiohttp

from testbed.monitor.figures import NO_ANSWER
from testbed.monitor.places import Places

MOST: Final = 1000
"""Devices that are asked for."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
"""A list is longer than a figure."""


class DeviceLine(NamedTuple):
    """A device, as both sides see it.

    Attributes:
        name: endpoint and edge node id.
        lwm2m: `online`, `offline`, `sleeping` or `-` when it is not registered.
        updated: when its registration was last updated.
        sparkplug: `born`, `dead`, `stale` or `-` when the host does not know it.
        devices: of its Sparkplug devices those that are born, and all.
        seen: when the host last heard of it.
        gaps, rebirths: how often messages were missing, and births were asked for.
    """

    name: str
    lwm2m: str = "-"
    updated: datetime | None = None
    sparkplug: str = "-"
    devices: tuple[int, int] = (0, 0)
    seen: datetime | None = None
    gaps: int = 0
    rebirths: int = 0

    @property
    def good(self) -> bool:
        """Both sides have it."""
        return self.lwm2m in {"online", "sleeping"} and self.sparkplug == "born"


class DeviceList(NamedTuple):
    """What was found, and what is wrong with it."""

    lines: tuple[DeviceLine, ...] = ()
    total: int = 0
    problems: tuple[str, ...] = ()


async def read_devices(session: aiohttp.ClientSession, places: Places, name_part: str) -> DeviceList:
    """The devices whose name contains `name_part`, at most `MOST` of each side."""
    clients = f"{places.lwm2m_server_url}/api/clients"
    nodes = f"{places.sparkplug_host_url}/api/nodes"
    registered, born = await asyncio.gather(
        _get(session, clients, {"limit": MOST, "sort": "endpoint", "filter": name_part}, "LwM2M server"),
        _get(session, nodes, {"limit": MOST}, "Sparkplug host"),
    )
    problems = tuple(answer for answer in (registered, born) if isinstance(answer, str))
    lines: dict[str, DeviceLine] = {}
    total = 0
    if not isinstance(registered, str):
        body, total = registered
        lines = {client["endpoint"]: _registered(client) for client in body}
    if not isinstance(born, str):
        for node in born[0]["nodes"]:
            name = node["edge_node"]
            if name_part in name and (name in lines or len(lines) < MOST):
                lines[name] = _born(lines.get(name, DeviceLine(name)), node)
    return DeviceList(tuple(line for _, line in sorted(lines.items())), max(total, len(lines)), problems)


async def _get(
    session: aiohttp.ClientSession, url: str, parameters: Mapping[str, str | int], who: str
) -> tuple[Any, int] | str:
    """The body and the number of all that there are; in words why there is none."""
    try:
        async with session.get(url, params=parameters, timeout=_TIMEOUT) as response:
            if response.status == 401:
                return f"{who}: reads need the token, which the monitor does not have"
            response.raise_for_status()
            return await response.json(), int(response.headers.get("X-Total-Count", 0))
    except NO_ANSWER:
        return f"{who} does not answer"


def _registered(client: Mapping[str, Any]) -> DeviceLine:
    state = "sleeping" if client.get("sleeping") else "online" if client["online"] else "offline"
    updated = datetime.fromisoformat(client["lastUpdate"])
    return DeviceLine(client["endpoint"], state, updated)


def _born(line: DeviceLine, node: Mapping[str, Any]) -> DeviceLine:
    state = "born" if node["online"] else "stale" if node["stale"] else "dead"
    seen = node["seen_at"]
    return line._replace(
        sparkplug=state,
        devices=(node["devices_online"], node["devices_total"]),
        seen=None if seen is None else datetime.fromtimestamp(seen / 1000, UTC),
        gaps=node["gaps"],
        rebirths=node["rebirth_requests"],
    )
