"""Health and rates of every part, looked at when a page asks and not more often than `FRESH`."""

import asyncio
import socket
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from console.experiments import DESK
from console.figures import FIGURES, rates, read_figures
from console.tap import Tap
from console.topics import Topics
from console.upstream import UnavailableError, Upstreams, parse
from iiot.errors import KafkaError
from iiot.topics import is_dlq

FRESH: Final = 1.5
"""s for which an answer serves every page."""
PATIENCE: Final = 2.0
"""s to wait for a part: one that hangs must not keep the others from being shown."""
STALE: Final = 30.0
"""s after which figures are too old to make a rate of."""
_HEALTH_PATHS: Final = {"redpanda-connect": "/ready", "prometheus": "/-/ready"}


@dataclass(slots=True)
class _Look:
    at: float
    sums: dict[str, float]


class Overview:
    """What `GET /api/overview` answers."""

    def __init__(self, upstreams: Upstreams, topics: Topics, tap: Tap) -> None:
        self._upstreams = upstreams
        self._topics = topics
        self._tap = tap
        self._looks: dict[str, _Look] = {}
        self._lock = asyncio.Lock()
        self._answer: dict[str, Any] = {}
        self._answered_at = 0.0

    async def look(self) -> dict[str, Any]:
        """The state of every part: `healthy`, `unhealthy` or `unreachable`, with figures."""
        async with self._lock:
            if not self._answer or time.monotonic() - self._answered_at > FRESH:
                names = [name for name in self._upstreams.urls if name != DESK]
                *parts, kafka = await asyncio.gather(*(self._part(name) for name in names), self._kafka())
                found = dict(zip(names, parts, strict=True))
                found["kafka"] = kafka
                found["mosquitto"] = self._broker()
                self._answer = {"time": round(time.time() * 1000), "parts": found}
                self._answered_at = time.monotonic()
            return self._answer

    async def _part(self, name: str) -> dict[str, Any]:
        instances = await _instances(self._upstreams.urls[name])
        looks, figures = await asyncio.gather(
            asyncio.gather(*(self._instance(name, url) for url in instances)), self._figures(name, instances)
        )
        good = sum(look["status"] == "healthy" for look in looks)
        worst = next((look for look in looks if look["status"] != "healthy"), looks[0])
        part = {"status": worst["status"], "detail": worst["detail"], "health": looks[0]["health"]}
        part |= {"instances": len(looks), "instances_healthy": good}
        if name in FIGURES:
            part["figures"] = figures
        return part

    async def _instance(self, name: str, url: str) -> dict[str, Any]:
        path = _HEALTH_PATHS.get(name)
        try:
            if path is not None:
                await self._upstreams.text(url, path, patience=PATIENCE)
                return {"status": "healthy", "detail": "", "health": {}}
            text = await self._upstreams.text(url, "/api/health", accept=(200, 503), patience=PATIENCE)
            health = parse(name, text)
        except UnavailableError as exc:
            return {"status": "unreachable", "detail": str(exc), "health": {}}
        if not isinstance(health, dict):
            return {"status": "unhealthy", "detail": "its health is no JSON object", "health": {}}
        healthy = health.get("status") == "healthy"
        detail = "" if healthy else _complaint(health)
        return {"status": "healthy" if healthy else "unhealthy", "detail": detail, "health": health}

    async def _figures(self, name: str, instances: list[str]) -> dict[str, float | None]:
        if name not in FIGURES:
            return {}
        asked = (self._upstreams.text(url, "/metrics", patience=PATIENCE) for url in instances)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        try:
            sums = read_figures(name, (text for text in answers if isinstance(text, str)))
        except ValueError:
            sums = {}
        now, before = _Look(time.monotonic(), sums), self._looks.get(name)
        if sums:
            self._looks[name] = now
        if before is None or now.at - before.at > STALE:
            before = _Look(now.at, {})
        return rates(name, before.sums, sums, now.at - before.at)

    async def _kafka(self) -> dict[str, Any]:
        try:
            topics = await self._topics.counts()
        except KafkaError as exc:
            return {"status": "unreachable", "detail": str(exc), "health": {}, "figures": {}}
        known = [topic["rate"] for topic in topics if topic["rate"] is not None]
        figures = {
            "records": sum(topic["records"] for topic in topics),
            "rate": sum(known) if known else None,
            "topics": len(topics),
            "dead_letters": sum(topic["records"] for topic in topics if is_dlq(topic["name"])),
        }
        return {"status": "healthy", "detail": "", "health": {}, "figures": figures}

    def _broker(self) -> dict[str, Any]:
        self._tap.watch_broker()
        state = self._tap.state
        status = {True: "healthy", False: "unreachable", None: "unknown"}[state.connected]
        detail = "" if state.connected else state.detail
        return {"status": status, "detail": detail, "health": {}, "figures": self._tap.broker_figures()}


def _complaint(health: dict[str, Any]) -> str:
    said = [f"{name} is false" for name, value in health.items() if value is False]
    return ": ".join(["it says that it is not healthy", *([", ".join(said)] if said else [])])


async def _instances(url: str) -> list[str]:
    """Each of several URLs; one URL once for each address that its name has."""
    if "," in url:
        return url.split(",")
    where = urlsplit(url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            where.hostname, where.port or 80, family=socket.AF_INET, type=socket.SOCK_STREAM
        )
    except OSError:
        return [url]
    addresses = sorted({str(info[4][0]) for info in found})
    if len(addresses) < 2:
        return [url]
    port = "" if where.port is None else f":{where.port}"
    return [urlunsplit(where._replace(netloc=address + port)) for address in addresses]
