"""What tests of the LwM2M server share: a clock, a device that is not our own code, a server to run."""

import asyncio
import json
import os
import queue
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2
import paho.mqtt.client as paho
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry

from iiot.service import Service
from iiot.settings import load
from lwm2m_server.__main__ import Server, open_server
from lwm2m_server.settings import Settings
from support import Broker, eventually, free_port

ROOT = Path(__file__).parent.parent


@dataclass
class Clock:
    """Time that only the test moves."""

    now: float = 1000.0
    wall: int = 1_795_000_000_000

    def monotonic(self):
        return self.now

    def wall_ms(self):
        return self.wall

    def advance(self, seconds):
        self.now += seconds
        self.wall += int(seconds * 1000)


class Device:
    """A device on paho-mqtt, with the certificate of its name."""

    def __init__(
        self, broker: Broker, name: str, version: int = paho.MQTTv5, will: str | None = None
    ) -> None:
        self.name = name
        self.received: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.answer: Callable[[str, dict[str, Any]], dict[str, Any] | None] = lambda token, command: None
        self._ready: queue.Queue[bool] = queue.Queue()
        files = broker.identity(name)
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name, protocol=version)
        self.client.tls_set(
            str(files.ca), str(files.cert), str(files.key), tls_version=ssl.PROTOCOL_TLS_CLIENT
        )
        if will is not None:
            self.client.will_set(will, b"death", qos=1)
        self.client.on_connect = self._connected
        self.client.on_subscribe = lambda *_: self._ready.put(True)
        self.client.on_message = self._message
        self.client.connect(broker.host, broker.tls_port)
        self.client.loop_start()
        self._ready.get(timeout=10)

    def say(self, kind: str, body: object = None, **options: Any) -> None:
        """Publish to `lwm2m/{name}/{kind}`; a str goes out as it is."""
        text = body if isinstance(body, str | bytes) else json.dumps({} if body is None else body)
        self.client.publish(f"lwm2m/{self.name}/{kind}", text, qos=1, **options)

    def register(self, lifetime: int = 3600, **changes: Any) -> dict[str, Any]:
        """Register and return the acknowledgement."""
        objects = {"3": {"0": {"0": "ACME", "9": 85}}, "3303": {"0": {"5700": 23.5}}}
        self.say(
            "reg",
            {"endpoint": self.name, "lifetime": lifetime, "version": "1.2", "objects": objects} | changes,
        )
        return self.hears("ack/reg")

    def hears(self, kind: str) -> dict[str, Any]:
        """The next message, which must be of this kind."""
        topic, body = self.received.get(timeout=5)
        assert topic == f"lwm2m/{self.name}/{kind}", (topic, body)
        return body

    def vanish(self) -> None:
        """Drop the connection without DISCONNECT, so that the will is published."""
        self.client.loop_stop()
        self.client.socket().close()

    def close(self) -> None:
        """Leave in good order."""
        self.client.disconnect()
        self.client.loop_stop()

    def _connected(self, client, *_):
        client.subscribe([(f"lwm2m/{self.name}/cmd/+", 1), (f"lwm2m/{self.name}/ack/+", 1)])

    def _message(self, client, _userdata, message):
        body = json.loads(message.payload)
        kind, last = message.topic.split("/")[2:]
        answer = self.answer(last, body) if kind == "cmd" else None
        if answer is not None:
            client.publish(f"lwm2m/{self.name}/resp/{last}", json.dumps(answer), qos=1)
        else:
            self.received.put((message.topic, body))


class OmaDevice(Device):
    """A device that speaks the OMA MQTT binding, of which it knows only CBOR and the numbers."""

    def __init__(
        self, broker: Broker, name: str, version: int = paho.MQTTv5, *, prefix: str = "", **options: Any
    ) -> None:
        self._root = f"{prefix}/lwm2m" if prefix else "lwm2m"
        self.reply: Callable[[dict[Any, Any]], dict[Any, Any] | None] = lambda request: None
        self.requests: list[dict[Any, Any]] = []
        self.echoes = 0
        self._sent: list[bytes] = []
        super().__init__(broker, name, version, **options)

    def tell(self, body: dict[Any, Any] | bytes, interface: str = "rd") -> None:
        """Publish a map, or bytes as they are."""
        payload = body if isinstance(body, bytes) else cbor2.dumps(body)
        self._sent.append(payload)
        self.client.publish(f"{self._root}/{interface}/{self.name}", payload, qos=1)

    def ask(self, body: dict[Any, Any], interface: str = "rd") -> dict[Any, Any]:
        """Publish a request and return the response."""
        self.tell(body, interface)
        while True:
            answer = self.received.get(timeout=5)[1]
            if answer.get(2) == body[2] and 18 in answer:
                return answer

    def register(self, lifetime: int = 3600, **changes: Any) -> dict[Any, Any]:
        """Register with objects 1, 3, 5 and 3303."""
        links = b"</1/0>,</3/0>,</5/0>,</3303>;ver=1.1,</3303/0>"
        return self.ask({1: 6, 2: 1, 8: lifetime, 9: "1.2", 10: "M", 7: links} | changes)

    def _connected(self, client, *_):
        client.subscribe([(f"{self._root}/{kind}/{self.name}", 1) for kind in ("rd", "bs")])

    def _message(self, client, _userdata, message):
        if message.payload in self._sent:
            self.echoes += 1
            return
        body = cbor2.loads(message.payload)
        interface = message.topic.split("/")[-2]
        if 1 not in body:
            self.received.put((message.topic, body))
            return
        self.requests.append(body)
        answer = self.reply(body)
        if answer is not None:
            self.tell({18: 205, 2: body[2]} | answer, interface)


@contextmanager
def oma_device(broker: Broker, name: str, **options: Any) -> Iterator[OmaDevice]:
    """A connected device that leaves at the end."""
    made = OmaDevice(broker, name, **options)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def device(broker: Broker, name: str, **options: Any) -> Iterator[Device]:
    """A connected device that leaves at the end."""
    made = Device(broker, name, **options)
    try:
        yield made
    finally:
        made.close()


def server_environment(broker: Broker, database: Path) -> dict[str, str]:
    """Environment variables of a server of its own on this broker."""
    files = broker.identity("lwm2m-server")
    return {
        "MQTT_HOST": broker.host, "MQTT_PORT": str(broker.tls_port), "MQTT_CA": str(files.ca),
        "MQTT_CERT": str(files.cert), "MQTT_KEY": str(files.key), "DATABASE": str(database), "HTTP_PORT": "0",
    }  # fmt: skip


class Client:
    """HTTP client of a running server."""

    def __init__(self, session: ClientSession, server: Server, url: str, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.session = session
        self.server = server
        self.url = url

    def count(self, name: str, **labels: str) -> float:
        """A counter's value."""
        value = self._registry.get_sample_value(f"{name}_total", labels)
        assert value is not None
        return value

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Status and JSON body."""
        async with self.session.request(method, self.url + path, **options) as response:
            return response.status, await response.json(content_type=None)

    async def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON body of a GET."""
        return await self.call("GET", path)

    async def events(self, endpoint: str, after: int = 0) -> list[dict[str, Any]]:
        """Events of one device."""
        _, page = await self.get(f"/api/events?limit=1000&after={after}")
        return [event for event in page["events"] if event["endpoint"] == endpoint]

    async def kinds(self, endpoint: str) -> list[str]:
        """Types of the events of one device."""
        return [event["type"] for event in await self.events(endpoint)]


@asynccontextmanager
async def running_server(broker: Broker, database: Path, **changes: Any) -> AsyncIterator[Client]:
    """A server in this process, with a session that ends with it."""
    environment = server_environment(broker, database)
    fields = {name.lower(): value for name, value in environment.items()}
    settings = load(Settings, **fields | {"mqtt_session_expiry": 0} | changes)
    service = Service("lwm2m-server")
    async with open_server(settings, service) as (server, port), ClientSession() as session:
        await eventually(lambda: server.transport.connected, "the server is subscribed")
        await asyncio.sleep(0)
        yield Client(session, server, f"http://127.0.0.1:{port}", service.registry)


def spawn_server(mosquitto, database, port, log, **changes):
    """A server in a process of its own."""
    environment = (
        os.environ
        | server_environment(mosquitto, database)
        | {"HTTP_PORT": str(port), "MQTT_SESSION_EXPIRY": "60"}
        | changes
    )
    members = ("common", "lwm2m-server")
    environment["PYTHONPATH"] = ":".join(str(ROOT / member / "src") for member in members)
    command = [sys.executable, "-m", "lwm2m_server"]
    with log.open("ab") as output:
        return subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)


def spawn_simulator(mosquitto, directory, **settings):
    """A simulator of one device in a process of its own; it keeps its state in `directory`."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MQTT_PORT": str(mosquitto.tls_port),
        "DEVICE_CA_DIR": str(mosquitto.certs / "device-ca"),
        "STATE_DIR": str(directory / "state"),
        "HTTP_PORT": str(free_port()),
        "DEVICE_COUNT": "1",
        "TELEMETRY_INTERVAL": "0.2",
    }
    command = [sys.executable, "-m", "device_simulator"]
    with (directory / "simulator.log").open("ab") as log:
        return subprocess.Popen(command, env=environment | settings, stdout=log, stderr=log)


async def metrics(server):
    async with server.session.get(server.url + "/metrics") as response:
        return await response.text()


async def campaign_over(server: Client, campaign: dict[str, Any]) -> Any:
    """The campaign once it does not run any more."""
    _, body = await server.get(f"/api/firmware/campaigns/{campaign['id']}")
    return body["state"] != "running" and body
