"""One list of both protocols: LwM2M registration and Sparkplug state of each device, joined by its id."""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from console.decode import Decoder
from console.upstream import UnavailableError, Upstreams

FRESH: Final = 1.5
PAGE: Final = 1000
_Listed = list[dict[str, Any]]
_REGISTRATION: Final = ("online", "lifetime", "lastUpdate", "registrationDate", "profile", "bindingMode")
_NODE: Final = (
    *("online", "stale", "seen_at", "born_at", "died_at", "births", "gaps", "rebirth_requests"),
    *("devices_online", "devices_total", "duplicate_id", "group"),
)


def join(
    clients: Iterable[Mapping[str, Any]] | None, nodes: Iterable[Mapping[str, Any]] | None
) -> list[dict[str, Any]]:
    """Devices by id; `lwm2m` or `sparkplug` is null where that side knows nothing of the device."""
    devices: dict[str, dict[str, Any]] = {}
    for client in clients or ():
        entry = devices.setdefault(client["endpoint"], _empty(client["endpoint"]))
        entry["lwm2m"] = {name: client.get(name) for name in _REGISTRATION}
    for node in nodes or ():
        entry = devices.setdefault(node["edge_node"], _empty(node["edge_node"]))
        entry["sparkplug"] = {name: node.get(name) for name in _NODE}
    return [devices[name] for name in sorted(devices)]


def _empty(device: str) -> dict[str, Any]:
    return {"id": device, "lwm2m": None, "sparkplug": None}


class Devices:
    """The joined list, fetched when a page asks and not more often than `FRESH`."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._lock = asyncio.Lock()
        self._answer: dict[str, Any] = {}
        self._answered_for: tuple[str | None, float] = (None, 0.0)

    async def all(self, authorization: str | None) -> dict[str, Any]:
        """All devices, and for each side that does not answer why."""
        async with self._lock:
            asked_by, at = self._answered_for
            if not self._answer or asked_by != authorization or time.monotonic() - at > FRESH:
                self._answer = await self._fetch(authorization)
                self._answered_for = (authorization, time.monotonic())
            return self._answer

    async def _fetch(self, authorization: str | None) -> dict[str, Any]:
        unavailable: dict[str, str] = {}

        async def ask(part: str, answer: Awaitable[_Listed]) -> _Listed | None:
            try:
                return await answer
            except UnavailableError as exc:
                unavailable[part] = str(exc)
                return None

        clients, nodes = await asyncio.gather(
            ask("lwm2m-server", self._clients(authorization)),
            ask("sparkplug-host", self._nodes(authorization)),
        )
        return {"devices": join(clients, nodes), "unavailable": unavailable}

    async def _clients(self, authorization: str | None) -> list[dict[str, Any]]:
        answer = await self._upstreams.json("lwm2m-server", "/api/clients", authorization=authorization)
        return _list(answer, "lwm2m-server", "clients")

    async def _nodes(self, authorization: str | None) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = []
        while True:
            path = f"/api/nodes?offset={len(nodes)}&limit={PAGE}"
            answer = await self._upstreams.json("sparkplug-host", path, authorization=authorization)
            page = _list(answer, "sparkplug-host", "nodes")
            nodes += page
            if len(page) < PAGE:
                return nodes

    async def teach(self, decoder: Decoder, device: str, authorization: str | None) -> None:
        """Tell a decoder the metrics that a device's births announced; without the host it does without."""
        root = f"/api/nodes/{quote(device, safe='')}"
        try:
            node = await self._upstreams.json("sparkplug-host", root, authorization=authorization)
            units: dict[str | None, Any] = {None: node["metrics"]}
            for unit in node["devices"]:
                path = f"{root}/devices/{quote(unit['device'], safe='')}"
                shown = await self._upstreams.json("sparkplug-host", path, authorization=authorization)
                units[unit["device"]] = shown["metrics"]
            decoder.learn(node["group"], node["edge_node"], units)
        except (UnavailableError, KeyError, TypeError):
            return


def _list(answer: Any, part: str, member: str) -> list[dict[str, Any]]:
    found = answer.get(member) if isinstance(answer, dict) else answer
    if not isinstance(found, list):
        raise UnavailableError(f"{part} answers no list of {member}")
    return found
