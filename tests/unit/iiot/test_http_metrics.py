from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from iiot.http_metrics import HttpMetrics
from iiot.telemetry import HealthReport, make_app, problem


def watched(registry):
    app = make_app(registry, lambda: HealthReport(healthy=True))
    HttpMetrics(registry, "example").watch(app)

    async def show(request):
        if request.match_info["item"] == "none":
            raise problem(404, "no such item")
        return web.Response(body=b"x" * 2_000)

    app.router.add_get("/items/{item}", show)
    return app


async def test_requests_are_counted_by_route_and_status():
    registry = CollectorRegistry()
    async with TestClient(TestServer(watched(registry))) as client:
        assert value(registry, method="GET", route="/items/{item}", status="200") == 0  # before the first
        for path in ("/items/a", "/items/b", "/items/none", "/nowhere"):
            await client.get(path)
    assert value(registry, method="GET", route="/items/{item}", status="200") == 2
    assert value(registry, method="GET", route="/items/{item}", status="404") == 1
    assert value(registry, method="unknown", route="unknown", status="404") == 1


async def test_sizes_and_durations_are_distributions():
    registry = CollectorRegistry()
    async with TestClient(TestServer(watched(registry))) as client:
        await client.get("/items/a")
    route = {"route": "/items/{item}"}
    assert registry.get_sample_value("example_http_response_size_bytes_sum", route) == 2_000
    assert (
        registry.get_sample_value("example_http_response_size_bytes_bucket", {**route, "le": "1000.0"}) == 0
    )
    assert (
        registry.get_sample_value("example_http_response_size_bytes_bucket", {**route, "le": "3000.0"}) == 1
    )
    assert registry.get_sample_value("example_http_request_duration_seconds_count", route) == 1


async def test_a_stream_is_a_request_without_time_and_size():
    registry = CollectorRegistry()
    app = watched(registry)

    async def stream(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"tick")
        return response

    app.router.add_get("/stream", stream)
    async with TestClient(TestServer(app)) as client:
        assert await (await client.get("/stream")).text() == "tick"
    assert value(registry, method="GET", route="/stream", status="200") == 1
    assert registry.get_sample_value("example_http_request_duration_seconds_count", {"route": "/stream"}) == 0


def value(registry, **labels):
    return registry.get_sample_value("example_http_requests_total", labels)
