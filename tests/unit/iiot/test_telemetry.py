import asyncio
import io
import json
import logging

import aiohttp
import pytest
import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from iiot import telemetry
from iiot.telemetry import HealthReport, json_response, make_app, problem, serve


@pytest.fixture
def state():
    return {"healthy": True}


@pytest.fixture
async def client(state):
    registry = CollectorRegistry()
    Counter("example_things_total", "Things", registry=registry).inc(3)
    app = make_app(registry, lambda: HealthReport(state["healthy"], {"active_devices": 5}))

    async def echo(request):
        return json_response({"size": len(await request.read())})

    async def refuse(_):
        raise problem(409, "device is asleep", endpoint="device-temp-001")

    async def crash(_):
        raise RuntimeError("secret detail")

    async def redirect(_):
        raise web.HTTPFound("/api/health")

    app.router.add_post("/echo", echo)
    app.router.add_get("/refuse", refuse)
    app.router.add_get("/crash", crash)
    app.router.add_get("/moved", redirect)
    async with (
        serve(app, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


async def problem_of(response):
    assert response.content_type == "application/problem+json"
    body = json.loads(await response.text())
    assert body["status"] == response.status
    return body


async def test_health_has_the_promised_shape(client):
    async with client.get("/api/health") as response:
        assert response.status == 200
        body = await response.json()
    assert body["status"] == "healthy"
    assert body["active_devices"] == 5
    # As in 2024-01-01T12:00:00
    assert len(body["timestamp"]) == 19
    assert body["timestamp"][10] == "T"


async def test_unhealthy_is_503(client, state):
    state["healthy"] = False
    async with client.get("/api/health") as response:
        assert response.status == 503
        assert (await response.json())["status"] == "unhealthy"


async def test_metrics_are_prometheus_text(client):
    async with client.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    assert families["example_things"].samples[0].value == 3


async def test_errors_of_handlers_are_problems(client):
    async with client.get("/refuse") as response:
        body = await problem_of(response)
    assert response.status == 409
    assert body.pop("correlation_id") == response.headers["X-Request-ID"]
    assert body == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "device is asleep",
        "endpoint": "device-temp-001",
    }


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("DELETE", "/echo", 405)])
async def test_errors_of_the_router_are_problems_too(client, method, path, status):
    async with client.request(method, path) as response:
        assert response.status == status
        assert path in (await problem_of(response))["detail"]


async def test_method_not_allowed_names_the_allowed_ones(client):
    async with client.delete("/echo") as response:
        assert response.headers["Allow"] == "POST"


async def test_a_crash_is_a_500_without_inner_detail(client, caplog):
    async with client.get("/crash") as response:
        body = await problem_of(response)
    assert response.status == 500
    assert "secret" not in json.dumps(body)


async def test_redirects_pass(client):
    async with client.get("/moved", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "/api/health")


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 413)])
async def test_bodies_are_bounded(client, extra, status):
    async with client.post("/echo", data=io.BytesIO(bytes(telemetry.MAX_BODY_BYTES + extra))) as response:
        assert response.status == status
        if status == 413:
            await problem_of(response)


async def test_a_client_that_takes_nothing_or_says_nothing_is_bounded(monkeypatch):
    monkeypatch.setattr(telemetry, "IDLE_TIMEOUT", 0.2)
    monkeypatch.setattr(telemetry, "SEND_TIMEOUT", 1)
    app = web.Application()
    ended = asyncio.Event()

    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(1 << 20))
        finally:
            ended.set()

    app.router.add_get("/endless", endless)
    async with serve(app, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.wait_for(ended.wait(), 10)
        writer.close()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504])
def test_problem_keeps_its_status(status):
    assert problem(status, "why").status == status


@pytest.fixture
def logs(capsys):
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_a_log_line_is_one_json_object(logs):
    telemetry.configure_logging("lwm2m-server", "INFO", "json")
    telemetry.get_logger("part").info("registered", endpoint="device-temp-001", path=None)
    telemetry.get_logger("part").debug("not shown")
    logging.getLogger("library").warning("from a library: %s", 5)
    ours, theirs = logs()
    assert ours["event"] == "registered"
    assert (ours["service"], ours["level"], ours["endpoint"]) == ("lwm2m-server", "info", "device-temp-001")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["level"], theirs["service"]) == (
        "from a library: 5",
        "warning",
        "lwm2m-server",
    )


async def test_garbage_instead_of_http_leaves_no_trace_in_the_log(logs):
    telemetry.configure_logging("x", "INFO", "json")
    async with serve(web.Application(), "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nX-Null: \0\r\n\r\n")
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        await writer.wait_closed()
    assert [line["event"] for line in logs()] == ["http_listening"]


def test_exceptions_and_odd_values_stay_on_one_line(logs):
    telemetry.configure_logging("x", "INFO", "json")
    try:
        int("a\nb")
    except ValueError:
        telemetry.get_logger("part").exception("failed", payload=b"\xff", where=object)
    [line] = logs()
    assert "ValueError: invalid literal" in line["exception"]
