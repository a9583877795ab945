"""Every parameter and body of every route of every API, with values that nobody sensible sends: never a 500.

The routes come from the services themselves, so a new one is asked as well.
"""

import asyncio
import re
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import aiohttp
import pytest
from yarl import URL

from console.app import make_console
from console.settings import Settings as ConsoleSettings
from console.topics import Topics
from iiot.errors import KafkaError
from iiot.rest import Access, make_api
from iiot.service import Service
from iiot.settings import load
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode, MetricDefinition
from iiot.telemetry import HealthReport, serve
from lwm2m_server.__main__ import open_server
from lwm2m_server.settings import Settings as ServerSettings
from sparkplug_host.api import host_api
from sparkplug_host.host import HostApplication
from sparkplug_host.settings import Settings as HostSettings
from testbed.experiments.api import experiments_api
from testbed.experiments.desk import Desk
from testbed.experiments.store import Reports

NOWHERE = {"http_port": 0, "mqtt_host": "127.0.0.1", "mqtt_port": 1, "mqtt_tls": False}
VALUES = (
    *("9" * 5000, "-1", "1e999", "nan", "0x10", "", "x" * 5000, "%7B%7D", "%2F..%2F"),
    *("%00", "%FF", "%C3%28", "%ED%A0%80", "%0D%0A", "%E2%80%AE"),
)
BODIES = (
    *(b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 900 + b"]" * 900, b'{"value":' + b"9" * 5000 + b"}"),
    *(b'{"id":"\\ud800","value":"\\ud800"}', b'{"\\ud800":1}', b'{"id":1e999}'),
    *(b'{"id":-1,"kind":"x","value":{}}', b'{"' + b"k" * 500_000 + b'":1}'),
    b"{" + b",".join(b'"k%d":0' % n for n in range(50_000)) + b"}",
    b'{"alerts":[{"status":"firing","labels":{"a":"\\ud800"}}]}',
)
HEADERS = (
    {"Authorization": "Bearer \xe9"},
    {"Last-Event-ID": "9" * 5000},
    {"Last-Event-ID": "\xe9"},
    {"Range": "bytes=9-1"},
    {"Content-Type": "\xe9/;charset=\xe9"},
    {"Content-Type": "text/plain; charset=nosuch"},
    {"X-Request-ID": "\xe9"},
    {"Origin": "http://["},
    {"Cookie": "\xe9=\xe9;;"},
    {"If-None-Match": "\xe9"},
    {"Accept": "\xe9" * 1000},
    {"If-Modified-Since": "Thu, 99 Foo 99999 99:99:99 GMT"},
)


@asynccontextmanager
async def lwm2m_server(directory):
    service = Service("lwm2m-server")
    settings = load(ServerSettings, **NOWHERE, database=directory / "server.db")
    async with open_server(settings, service) as (_, port):
        yield port
        service.stopping.set()


@asynccontextmanager
async def sparkplug_host(_):
    host = HostApplication(load(HostSettings), Service("sparkplug-host"))
    edge = EdgeNode("IIoT", "edge-1", [], {"pump": [MetricDefinition("Level", DataType.INT16)]})
    edge.next_will()
    for sent in edge.births(1, lambda device: {"Level": -5} if device else {}):
        host._on_message(
            SimpleNamespace(topic=sent.topic, payload=sent.payload, retain=False, ack=lambda: None)
        )
    stopping = asyncio.Event()
    app = make_api(Service("x").registry, host.health, host_api(host, "IIoT", stopping), Access())
    async with serve(app, "127.0.0.1", 0) as port:
        yield port
        stopping.set()


@asynccontextmanager
async def exporter(directory):
    service = Service("testbed-exporter")
    api = experiments_api(Desk(Reports(directory)), None, service.stopping)
    app = make_api(service.registry, lambda: HealthReport(healthy=True), api, Access())
    async with serve(app, "127.0.0.1", 0) as port:
        yield port
        service.stopping.set()


@asynccontextmanager
async def console(_):
    service = Service("console")
    urls = ("lwm2m_server", "sparkplug_host", "bridge", "simulator", "connect", "prometheus", "experiments")
    gone = {f"{name}_url": "http://127.0.0.1:9" for name in urls}
    settings = load(ConsoleSettings, **NOWHERE, **gone, kafka_brokers="127.0.0.1:9", upstream_timeout=1)
    async with AsyncExitStack() as stack:
        app, _ = await make_console(settings, service, stack)
        async with serve(app, "127.0.0.1", 0) as port:
            yield port
            service.stopping.set()


SERVICES = {
    "lwm2m-server": lwm2m_server,
    "sparkplug-host": sparkplug_host,
    "exporter": exporter,
    "console": console,
}
SAFE = {
    "endpoint": "device-1",
    "node": "edge-1",
    "device": "pump",
    "metric": "Level",
    "object": "3",
    "instance": "0",
}
CONSOLE = (
    ("GET", "/api/topics/{topic}/records?limit={limit}"),
    ("GET", "/api/events?endpoint={endpoint}"),
    ("GET", "/api/devices/{device}/messages"),
    ("GET", "/api/prometheus/{query}?query={expression}"),
    ("POST", "/api/alerts/webhook"),
    ("GET", "/api/lwm2m/{path}?timeout={timeout}"),
    ("PUT", "/api/sparkplug/{path}"),
    ("GET", "/{file}.html"),
    ("GET", "/api/experiments?x={x}"),
    ("POST", "/api/experiments"),
    ("GET", "/api/experiments/{id}"),
    ("GET", "/api/overview?x={x}"),
    ("GET", "/api/devices?x={x}"),
)


async def operations(session, service):
    """Method and URL with `{name}` for each parameter."""
    if service == "console":
        return CONSOLE
    async with session.get("/api/openapi.json") as response:
        document = await response.json()
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            queries = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"]
            query = "&".join(f"{name}={{{name}}}" for name in queries)
            found.append((method.upper(), f"{path}?{query}" if query else path))
    return found


def hostile(method, template):
    """Requests with one wrong thing each: URL, body, headers."""
    path, _, query = template.partition("?")
    names = re.findall(r"{(\w+)}", path)
    safe = {name: SAFE.get(name, "1") for name in names}
    plain = path.format(**safe)
    for name in names:
        for value in VALUES:
            yield path.format(**safe | {name: value}), b"", {}
    for name in re.findall(r"{(\w+)}", query):
        for value in VALUES:
            yield f"{plain}?{name}={value}", b"", {}
    for body in BODIES if method in ("POST", "PUT", "PATCH") else ():
        yield plain, body, {}
    for headers in HEADERS:
        yield plain, b"", headers


async def ask(session, method, request):
    """What is wrong with the answer, if anything."""
    url, body, headers = request
    target = URL(f"{session._base_url}{url.lstrip('/')}", encoded=True)
    shown = (method, url[:80], body[:40], headers and str(headers)[:60])
    try:
        async with session.request(
            method, target, data=body, headers=headers, allow_redirects=False
        ) as response:
            bad = response.status == 500 or response.status > 504
            return (response.status, *shown) if bad else None
    except (aiohttp.ClientError, TimeoutError) as error:
        return (str(error)[:80] or type(error).__name__, *shown)


@pytest.mark.parametrize("service", SERVICES)
async def test_no_request_makes_a_service_fail(service, tmp_path, monkeypatch):
    async def away(*_):
        raise KafkaError("away")

    monkeypatch.setattr(Topics, "newest", away)  # each would wait until it knows
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)  # all wait for a connection at first
    async with (
        SERVICES[service](tmp_path) as port,
        aiohttp.ClientSession(
            f"http://127.0.0.1:{port}/", timeout=timeout, connector=aiohttp.TCPConnector(limit=64)
        ) as session,
    ):
        table = await operations(session, service)
        assert len(table) > 5
        asked = [(method, request) for method, template in table for request in hostile(method, template)]
        answers = await asyncio.gather(*(ask(session, *each) for each in asked))
    failed = list(filter(None, answers))
    assert not failed, "\n".join(map(str, failed[:20]))
