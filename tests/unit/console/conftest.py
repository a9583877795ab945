"""A console on fake parts: small servers that answer what the test says."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from console.app import make_console
from console.settings import Settings
from iiot.service import Service
from iiot.settings import load

GONE = "http://127.0.0.1:9"


class FakePart:
    """Answers GET, PUT and POST from a table of paths, and notes what was asked."""

    def __init__(self):
        self.answers = {}
        self.asked = []

    async def handle(self, request):
        body = await request.text()
        self.asked.append((request.method, request.rel_url.raw_path_qs, dict(request.headers), body))
        answer = self.answers.get(request.path)
        if answer is None:
            return web.json_response({"detail": "no such thing"}, status=404)
        if isinstance(answer, str):
            return web.Response(text=answer)
        return web.json_response(answer)


@pytest.fixture
async def part():
    """A fake part and its base URL."""

    async def make():
        fake = FakePart()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", fake.handle)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        return fake, str(server.make_url("")).rstrip("/")

    servers = []
    yield make
    for server in servers:
        await server.close()


@asynccontextmanager
async def running(**settings):
    """A test client of a console; parts that are not named are gone."""
    urls = ("lwm2m_server", "sparkplug_host", "bridge", "simulator", "connect", "prometheus", "experiments")
    gone = {f"{name}_url": GONE for name in urls}
    where = {"kafka_brokers": "127.0.0.1:9", "mqtt_port": 9, "mqtt_tls": False, "upstream_timeout": 2}
    service = Service.__new__(Service)
    service.name, service.registry, service.stopping = "console", CollectorRegistry(), asyncio.Event()
    async with AsyncExitStack() as stack:
        app, tap = await make_console(load(Settings, **{**gone, **where, **settings}), service, stack)
        client = TestClient(TestServer(app))
        client.tap = tap
        await client.start_server()
        try:
            yield client
        finally:
            await client.close()


@pytest.fixture
def console():
    return running
