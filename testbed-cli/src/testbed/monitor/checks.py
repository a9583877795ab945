"""Is it there, and is it well: one check for each connection and service."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from iiot.errors import MqttConnectError, MqttError
from iiot.mqtt import Connection, ConnectOptions
from iiot.settings import MqttSettings
from testbed.monitor.figures import NO_ANSWER, TIMEOUT, Figures, query
from testbed.monitor.model import Check, State
from testbed.monitor.places import Places

CONNECTOR: Final = "lwm2m-http-source"


async def check_broker(places: Places) -> Check:
    """An MQTT CONNECT on the plain listener."""
    settings = MqttSettings(mqtt_host=places.mqtt_host, mqtt_port=places.mqtt_port, mqtt_tls=False)
    began = time.perf_counter()
    try:
        async with asyncio.timeout(2):
            connection = await Connection.open(ConnectOptions("", settings), lambda message: None)
        milliseconds = (time.perf_counter() - began) * 1000
        await connection.disconnect()
    except MqttConnectError:
        return Check("MQTT broker", "down", f"no answer on port {places.mqtt_port}")
    except (MqttError, TimeoutError) as exc:
        return Check("MQTT broker", "down", _words(exc))
    return Check("MQTT broker", "up", f"answers in {milliseconds:.1f} ms")


async def check_service(session: aiohttp.ClientSession, name: str, url: str) -> Check:
    """`/api/health` of one of our services."""
    try:
        async with session.get(f"{url}/api/health", timeout=TIMEOUT) as response:
            body = await response.json(content_type=None)
            return Check(name, _state(response.status == 200), health_in_words(body))
    except NO_ANSWER as exc:
        return Check(name, "down", _words(exc))


async def check_scaled(
    session: aiohttp.ClientSession, name: str, url: str, job: str, prometheus: str
) -> Check:
    """A service that may have many instances without published ports: Prometheus sees what we cannot."""
    direct = await check_service(session, name, url)
    if direct.state == "up":
        return direct
    try:
        instances = await query(session, prometheus, f'up{{job="{job}"}}')
    except NO_ANSWER:
        return direct
    alive = sum(1 for instance in instances if instance.value == 1)
    if not instances or ":503" in direct.detail:
        return direct
    return Check(name, _state(alive == len(instances)), f"{alive} of {len(instances)} answer Prometheus")


async def check_connect(session: aiohttp.ClientSession, places: Places) -> tuple[Check, Check]:
    """Redpanda Connect itself, and its HTTP source in Kafka Connect's words."""
    engine = await _ready(session, places.connect_url)
    try:
        url = f"{places.connect_url}/connectors/{CONNECTOR}/status"
        async with session.get(url, timeout=TIMEOUT, raise_for_status=True) as response:
            return engine, _connector(await response.json(content_type=None))
    except NO_ANSWER as exc:
        return engine, Check("HTTP source", "down", _words(exc))


def check_websocket(figures: Figures | None) -> Check:
    """Whether anyone, which is Redpanda Connect, follows the server's WebSocket feed."""
    clients = figures.total("lwm2m_ws_clients") if figures else None
    if clients is None:
        return Check("WebSocket", "down", "server is silent")
    if not clients:
        return Check("WebSocket", "down", "nobody is connected")
    return Check("WebSocket", "up", f"{clients:.0f} connected")


def check_link(name: str, figures: Figures | None, metric: str) -> Check:
    """A connection that the bridge reports, 1 or 0 for each instance."""
    value = figures.total(metric) if figures else None
    if figures is None or value is None:
        return Check(name, "unknown", "bridge is silent")
    if value < figures.instances:
        return Check(name, "down", f"{value:.0f} of {figures.instances} bridges connected")
    return Check(name, "up", "connected" if value == 1 else f"{value:.0f} bridges connected")


def health_in_words(body: Any) -> str:
    """The telling members of a health answer."""
    if not isinstance(body, Mapping):
        return "answers, but not with a health report"
    skipped = {"status", "timestamp"}
    told = [_member(name, value) for name, value in body.items() if name not in skipped and value != ""]
    status = body.get("status")
    return ", ".join([*([] if status == "healthy" else [str(status)]), *told])


def _member(name: str, value: Any) -> str:
    words = name.replace("_", " ")
    if isinstance(value, Mapping):
        told = value.get("detail") or " ".join(f"{key} {item}" for key, item in value.items())
        return f"{words} {told}"
    if isinstance(value, bool):
        return words if value else f"not {words}"
    return f"{value} {words}" if isinstance(value, int) else f"{words} {value}"


async def _ready(session: aiohttp.ClientSession, url: str) -> Check:
    try:
        async with session.get(f"{url}/ready", timeout=TIMEOUT) as response:
            body = await response.json(content_type=None)
            away = [
                f"{status.get('label') or status.get('path')}: {status.get('error') or 'not connected'}"
                for status in body.get("statuses") or ()
                if not status.get("connected")
            ]
            return Check("Redpanda Connect", _state(response.status == 200), "; ".join(away) or "ready")
    except (*NO_ANSWER, AttributeError) as exc:
        return Check("Redpanda Connect", "down", _words(exc))


def _connector(status: Any) -> Check:
    failed = [task.get("trace") or task["state"] for task in status["tasks"] if task["state"] != "RUNNING"]
    state = status["connector"]["state"]
    up = state == "RUNNING" and not failed
    return Check("HTTP source", _state(up), "; ".join(failed) or state.lower())


def _state(up: bool) -> State:
    return "up" if up else "down"


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no answer on port {error.port}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
