"""What every HTTP server refuses before a handler runs: foreign names, and bodies that inflate."""

import ast
import asyncio
import json
import re
import resource
import zlib
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from prometheus_client import CollectorRegistry

from iiot.errors import SettingsError
from iiot.http_guard import SERVICE_HOSTS, hosts_of, is_allowed
from iiot.rest import Access, Api, make_api
from iiot.settings import ServiceSettings, load
from iiot.telemetry import HealthReport, json_response, make_app, serve

ROOT = Path(__file__).parents[3]
MEBIBYTE = bytes(1 << 20)


def healthy():
    return HealthReport(healthy=True)


def echo_in(app):
    async def echo(request):
        return json_response({"size": len(await request.read())})

    app.router.add_route("*", "/echo", echo)
    return app


APPLICATIONS = {
    "bare": lambda _: echo_in(web.Application()),
    "service": lambda registry: echo_in(make_app(registry, healthy)),
    "api": lambda registry: echo_in(make_api(registry, healthy, Api("A", "", ()), Access())),
    "closed api": lambda registry: echo_in(make_api(registry, healthy, Api("A", "", ()), Access("t" * 16))),
}


@pytest.fixture(params=APPLICATIONS)
def application(request):
    return APPLICATIONS[request.param](CollectorRegistry())


def bomb(mebibytes):
    """Gzip whose deflated blocks are equal, so that it is made as fast as it is sent."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block + (packer.compress(MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)) * (mebibytes - 1)


def posting(path, coding, body):
    return f"POST {path} HTTP/1.1\nHost: localhost\nContent-Encoding: {coding}\nContent-Length: {len(body)}"


async def ask(port, head, body=b""):
    """Send a request as it stands; returns status, header lines and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
        status = int((await asyncio.wait_for(reader.readline(), 10)).split()[1])
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"(?i)content-length: (\d+)", head)
        return status, head, await reader.readexactly(int(length[1])) if length else b""
    finally:
        writer.close()


@pytest.mark.parametrize("path", ["/echo", "/nothing", "/metrics"])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip", "x"])
async def test_a_compressed_body_is_refused_unread(application, path, coding):
    body = bomb(1000)
    assert 900_000 < len(body) < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with serve(application, "127.0.0.1", 0) as port:
        status, headers, text = await ask(port, posting(path, coding, body), body)
    assert status == 415
    assert "Accept-Encoding: identity" in headers
    assert json.loads(text)["field"] == "Content-Encoding"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB; 1 GB would be more


async def test_bytes_that_say_nothing_of_compression_are_taken_as_they_are(application):
    body = bomb(1)
    async with serve(application, "127.0.0.1", 0) as port:
        status, _, text = await ask(port, posting("/echo", "identity", body), body)
    assert (status, json.loads(text)) == (200, {"size": len(body)})


NAMES = hosts_of(["Testbed.Example.", ""])


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:8080", "localhost.", "127.0.0.1", "127.0.0.1:8080", "10.1.2.3:8083"),
        *("[::1]", "[::1]:8080", "[fe80::1%eth0]:1", "::1", "testbed.example", "TESTBED.example.:80"),
        *("localhost:", *SERVICE_HOSTS),
    ],
)
def test_addresses_and_known_names_are_allowed(host):
    assert is_allowed(host, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "evil.example:8080", "localhost.evil.example", "evil.example.localhost"),
        *("127.0.0.1.evil.example", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.1 "),
        *("[localhost]", "[::1", "localhost..", "localhost:80:80", "localhost:8o", "localhost/", "test"),
        *("a@localhost", "localhost@evil.example", "loc\u0430lhost", "localhost, evil.example", "x" * 5000),
        "\u0661\u0662\u0667.0.0.1",
    ],
)
def test_other_names_are_not(host):
    assert not is_allowed(host, NAMES)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /metrics HTTP/1.1\nHost: evil.example:8080", 421),
        ("GET /api/health HTTP/1.1\nHost: evil.example", 421),
        ("POST /echo HTTP/1.1\nHost: evil.example\nContent-Length: 0", 421),
        ("GET /ws HTTP/1.1\nHost: evil.example\nConnection: upgrade\nUpgrade: websocket", 421),
        ("GET http://evil.example/echo HTTP/1.1\nHost: localhost", 421),
        ("GET http://localhost/echo HTTP/1.1\nHost: evil.example", 421),
        ("GET http:///echo HTTP/1.1\nHost: localhost", 400),
        ("GET /echo HTTP/1.1\nHost: localhost\nHost: evil.example", 400),
        ("GET /echo HTTP/1.1", 400),
        ("GET /echo HTTP/1.0", 400),
        ("GET /echo HTTP/1.1\nHost:", 421),
        ("GET /echo HTTP/1.1\nHost: \xe9vil", 421),
        ("GET http://localhost:1/echo HTTP/1.1\nHost: 127.0.0.1", 200),
        ("GET http://[::1]:1/echo HTTP/1.1\nHost: [::1]:1", 200),
        ("GET /echo HTTP/1.1\nHost: here.example", 200),
    ],
)
async def test_a_request_for_another_name_is_refused(application, head, status):
    async with serve(application, "127.0.0.1", 0, ["here.example"]) as port:
        got, _, text = await ask(port, head)
    assert got == status
    if status == 421:
        answer = json.loads(text)
        assert answer["field"] == "Host"
        assert "ALLOWED_HOSTS" in answer["allowed"]


async def test_refusals_are_counted():
    registry = CollectorRegistry()
    async with serve(make_app(registry, healthy), "127.0.0.1", 0) as port:
        await ask(port, "GET /metrics HTTP/1.1\nHost: evil.example")
        await ask(port, "GET /metrics HTTP/1.1\nHost: localhost\nContent-Encoding: gzip")
    for reason in ("host", "encoding"):
        assert registry.get_sample_value("iiot_http_refused_total", {"reason": reason}) == 1


async def test_where_a_server_listens_by_name_is_a_name_of_it():
    async with serve(echo_in(web.Application()), "localhost", 0) as port:
        status, _, _ = await ask(port, "GET /echo HTTP/1.1\nHost: localhost")
    assert status == 200


def test_the_setting_takes_names():
    settings = load(ServiceSettings, allowed_hosts="a.example, B.example.,")
    assert settings.http_names == ("a.example", "B.example.")
    assert is_allowed("b.example:80", hosts_of(settings.http_names))


@pytest.mark.parametrize("text", ["http://a", "a:80", "*", "*.a", "a/b", "a b", "é", "a..b"])
def test_the_setting_takes_nothing_else(text):
    with pytest.raises(SettingsError, match=r"ALLOWED_HOSTS=.*names with commas"):
        load(ServiceSettings, allowed_hosts=text)


def test_the_names_of_compose_are_known():
    """Prometheus, the console and Redpanda Connect reach the services by these."""
    compose = (ROOT / "docker-compose.yml").read_text()
    ours = {
        name
        for name, service in yaml.safe_load(compose)["services"].items()
        if "iiot.healthcheck" in str(service.get("healthcheck"))
    }
    texts = compose + (ROOT / "prometheus/alertmanager.yml").read_text()
    asked = set(re.findall(r"(?:http|ws)://([a-z][a-z0-9-]+):80[0-9]{2}", texts))
    assert {"lwm2m-server", "console", "redpanda"} <= asked
    assert (ours | asked) - {"redpanda"} == set(SERVICE_HOSTS)


def calls(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute | ast.Name):
            yield node.attr if isinstance(node, ast.Attribute) else node.id


def test_every_server_is_served_the_same_way():
    """A server of its own kind would inflate and take any name."""
    own = {"AppRunner", "TCPSite", "SockSite", "run_app", "HTTPServer", "ThreadingHTTPServer", "ServerRunner"}
    sources = [path for path in ROOT.glob("*/src/**/*.py") if "/_pb/" not in str(path)]
    assert len(sources) > 200
    found = {path.name: own.intersection(calls(path)) for path in sources}
    assert {name: kinds for name, kinds in found.items() if kinds} == {
        "telemetry.py": {"AppRunner"},
        "downloads.py": {"TCPSite"},
    }
    assert "make_runner" in (ROOT / "lwm2m-server/src/lwm2m_server/firmware/downloads.py").read_text()
