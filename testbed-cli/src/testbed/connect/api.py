"""The HTTP interface: `/ready`, `/metrics` and Kafka Connect's `/connectors`, as in containers."""

import asyncio
import importlib.metadata
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from iiot import telemetry
from iiot.telemetry import HealthReport
from testbed.connect.config import Source
from testbed.connect.pump import Pump

SLOW_AFTER: Final = 15
"""Seconds that a batch may wait for Kafka before its source counts as failed."""
PROBE_TIMEOUT: Final = 1.0


class Api:
    """What runs here, and is it well.

    Args:
        paths: each source with the pump that moves it.
        health: directory with what the file's processors noted about themselves.
        worker_id: `host:port` of this process.
    """

    def __init__(self, paths: Sequence[tuple[Source, Pump]], health: Path, worker_id: str) -> None:
        self._paths = {source.name: (source, pump) for source, pump in paths}
        self._health = health
        self._worker_id = worker_id

    def application(self, registry: CollectorRegistry) -> web.Application:
        """The routes."""
        registry.register(Figures([pump for _, pump in self._paths.values()]))
        app = telemetry.make_app(registry, lambda: HealthReport(healthy=True))
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/ping", self._ping)
        app.router.add_get("/version", self._version)
        app.router.add_get("/connectors", self._connectors)
        app.router.add_get("/connectors/{connector}", self._connector)
        app.router.add_get("/connectors/{connector}/status", self._status)
        return app

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(text="pong")

    async def _version(self, _: web.Request) -> web.Response:
        return telemetry.json_response({"version": f"embedded {_engine_version()}", "built": ""})

    async def _connectors(self, request: web.Request) -> web.Response:
        if not request.query.get("expand"):
            return telemetry.json_response(list(self._paths))
        # Both for either, as the configuration file answers.
        found = {name: {"info": self._info(name), "status": await self._state(name)} for name in self._paths}
        return telemetry.json_response(found)

    async def _connector(self, request: web.Request) -> web.Response:
        name = request.match_info["connector"]
        if name not in self._paths:
            return _unknown(f"Connector {name} not found")
        return telemetry.json_response(self._info(name))

    def _info(self, name: str) -> dict[str, object]:
        topic = self._paths[name][0].topic
        return {
            "name": name,
            "config": {
                "name": name,
                "connector.class": "redpanda-connect",
                "tasks.max": "1",
                "topic": topic,
            },
            "tasks": [{"connector": name, "task": 0}],
            "type": "source",
        }

    async def _ready(self, _: web.Request) -> web.Response:
        statuses = []
        for source, pump in self._paths.values():
            error = await _unreachable(source.url)
            statuses.append(_ready_line(source.name, error))
            statuses.append(_ready_line(f"kafka:{source.name}", "" if pump.sink.connected else "unreachable"))
        ready = all(status["connected"] for status in statuses)
        return telemetry.json_response({"statuses": statuses}, status=200 if ready else 503)

    async def _status(self, request: web.Request) -> web.Response:
        name = request.match_info["connector"]
        if name not in self._paths:
            return _unknown(f"No status found for connector {name}")
        return telemetry.json_response(await self._state(name))

    async def _state(self, name: str) -> dict[str, object]:
        trace = await _unreachable(self._paths[name][0].url) or self._note(name, "error") or self._stuck(name)
        task = {"id": 0, "state": "FAILED" if trace else "RUNNING", "worker_id": self._worker_id}
        return {
            "name": name,
            "connector": {"state": "RUNNING", "worker_id": self._worker_id},
            "tasks": [task | {"trace": trace} if trace else task],
            "type": "source",
        }

    def _stuck(self, name: str) -> str:
        since = self._note(name, "waiting")
        waited = time.time() - float(since) if since else 0.0
        return f"a batch waits for Kafka since {waited:.0f} s" if waited > SLOW_AFTER else ""

    def _note(self, name: str, kind: str) -> str:
        try:
            return (self._health / f"{name}.{kind}").read_text()
        except FileNotFoundError:
            return ""


class Figures(Collector):
    """Counters under the names that Redpanda Connect exports."""

    def __init__(self, pumps: Sequence[Pump]) -> None:
        self._pumps = pumps

    def collect(self) -> Iterable[Metric]:
        """Read the pumps' counts."""
        for name, field, text in (
            ("input_received", "received", "Messages read from the source"),
            ("output_sent", "sent", "Messages that Kafka acknowledged"),
            ("output_error", "refused", "Messages that Kafka refused"),
            ("output_batch_sent", "committed", "Batches delivered whose position is stored"),
            ("connect_dead_letters_total", "dead_letters", "Messages delivered to a dead-letter topic"),
            ("connect_lost_letters_total", "lost_letters", "Dead letters that Kafka refused for good"),
        ):
            # Untyped, because Prometheus' client would add _total to the engine's names.
            metric = Metric(name, text, "unknown")
            for pump in self._pumps:
                metric.add_sample(name, {"source": pump.name}, getattr(pump.counts, field))
            yield metric


def local_worker_id(port: int) -> str:
    """Name of this worker as Kafka Connect writes it."""
    return f"{socket.gethostname()}:{port}"


def _unknown(message: str) -> web.Response:
    return telemetry.json_response({"error_code": 404, "message": message}, status=404)


def _engine_version() -> str:
    try:
        return importlib.metadata.version("mq-bridge-connect")
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def _ready_line(label: str, error: str) -> dict[str, object]:
    line: dict[str, object] = {"label": label, "connected": not error}
    return line | {"error": error} if error else line


async def _unreachable(url: str | None) -> str:
    """Why a WebSocket cannot be connected now; its input connects within a second of when it can."""
    if url is None:
        return ""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except OSError as exc:
        return f"{parts.netloc}: {exc or 'no answer'}"
    writer.close()
    return ""
