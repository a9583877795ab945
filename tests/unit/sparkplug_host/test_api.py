"""The host's REST API over births and data as an edge node makes them, without a broker."""

import asyncio
import json
from types import SimpleNamespace

import aiohttp
import pytest
from pydantic import TypeAdapter

from iiot.rest import Access, make_api
from iiot.service import Service
from iiot.settings import load
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode, MetricDefinition
from iiot.telemetry import serve
from sparkplug_host import schemas
from sparkplug_host.api import host_api
from sparkplug_host.events import KEPT, VALUES
from sparkplug_host.host import HostApplication
from sparkplug_host.settings import Settings
from support import eventually


@pytest.fixture
def group():
    return "IIoT"


@pytest.fixture
def host(group, monkeypatch):
    monkeypatch.setenv("SPARKPLUG_GROUP", group)
    return HostApplication(load(Settings), Service("sparkplug-host"))


@pytest.fixture
def edge():
    # A negative value needs the datatype in the birth to be understood.
    return EdgeNode("IIoT", "edge-1", [], {"pump": [MetricDefinition("Sensors/Level", DataType.INT16)]})


@pytest.fixture
def will(edge):
    return edge.next_will()


def deliver(host, messages):
    for sent in messages:
        host._on_message(
            SimpleNamespace(topic=sent.topic, payload=sent.payload, retain=False, ack=lambda: None)
        )


@pytest.fixture
async def client(host, group, edge, will):
    deliver(host, edge.births(1, lambda device: {"Sensors/Level": -5} if device else {}))
    stopping = asyncio.Event()
    app = make_api(Service("x").registry, host.health, host_api(host, group, stopping), Access())
    async with (
        serve(app, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session
        stopping.set()


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/api/nodes", schemas.Nodes),
        ("/api/nodes/edge-1", schemas.Node),
        ("/api/nodes/edge-1/metrics/bdSeq", schemas.Metric),
        ("/api/nodes/edge-1/devices/pump", schemas.Device),
        ("/api/nodes/edge-1/devices/pump/metrics/Sensors/Level", schemas.Metric),
        ("/api/nodes/edge-1/devices/pump/metrics/Sensors%2FLevel", schemas.Metric),
    ],
)
async def test_answers_are_as_documented_and_nothing_is_undocumented(client, path, schema):
    async with client.get(path) as response:
        assert response.status == 200
        answer = await response.json()
    documented = TypeAdapter(schema).validate_python(answer, strict=True)
    assert documented.model_dump(exclude_unset=True) == answer


async def test_commands_without_a_broker_are_503(client):
    value = {"value": 5}
    for method, path, body in (
        ("PUT", "/api/nodes/edge-1/devices/pump/metrics/Sensors/Level", value),
        ("POST", "/api/nodes/edge-1/rebirth", None),
    ):
        async with client.request(method, path, json=body) as response:
            assert (response.status, json.loads(await response.text())["status"]) == (503, 503)


async def test_only_an_edge_node_that_is_offline_is_forgotten(client, host, will):
    async with client.get("/api/events/stream?type=node_forgotten") as stream:
        await stream.content.readuntil(b"\n\n")
        for path, status, field in (("edge-1", 409, "node"), ("ghost", 404, "node")):
            async with client.delete(f"/api/nodes/{path}") as response:
                problem = json.loads(await response.text())
            assert (response.status, response.content_type) == (status, "application/problem+json")
            assert (problem["field"], problem["value"]) == (field, path)
            assert problem["allowed"]
        deliver(host, [will])
        async with client.delete("/api/nodes/edge-1") as response:
            assert (response.status, await response.read()) == (204, b"")
        forgotten = await next_event(stream)
    assert (forgotten["endpoint"], forgotten["data"]["group"]) == ("edge-1", "IIoT")
    for method in ("GET", "DELETE"):
        async with client.request(method, "/api/nodes/edge-1") as response:
            assert response.status == 404
    async with client.get("/api/nodes") as response:
        assert (await response.json())["total"] == 0


@pytest.mark.parametrize("group", ["+"])
async def test_an_id_that_several_groups_have_needs_its_group(client, host):
    other = EdgeNode("Other", "edge-1", [], {})
    deliver(host, [other.next_will()])
    async with client.delete("/api/nodes/edge-1") as response:
        problem = json.loads(await response.text())
    assert (response.status, problem["field"], problem["allowed"]) == (400, "group", ["IIoT", "Other"])
    async with client.delete("/api/nodes/edge-1?group=Other") as response:
        assert response.status == 204
    async with client.get("/api/nodes/edge-1") as response:
        assert (await response.json())["group"] == "IIoT"


@pytest.mark.parametrize(
    ("observes", "value", "status"),
    [(False, True, 503), (False, False, 400), (False, None, 400), (True, True, 409)],
)
async def test_a_rebirth_metric_takes_only_true(client, host, observes, value, status):
    host.observe_only = observes
    path = "/api/nodes/edge-1/metrics/Node%20Control/Rebirth"
    async with client.put(path, json={"value": value}) as response:
        assert response.status == status  # 503: it would have left, were there a broker


async def test_what_happens_is_streamed(client, host, edge, will):
    async with client.get("/api/events/stream?endpoint=edge-1&type=values&type=node_died") as response:
        await response.content.readuntil(b"\n\n")
        deliver(host, [edge.data("pump", {"Sensors/Level": -7}, 2)])
        values = await next_event(response)
        deliver(host, [will])
        died = await next_event(response)
    assert values["data"]["values"] == {"Sensors/Level": -7}
    assert (values["endpoint"], values["data"]["device"]) == ("edge-1", "pump")
    assert (died["type"], died["data"]["device"]) == ("node_died", None)


async def test_values_are_not_kept_while_nobody_listens(client, host, edge):
    newest = host.events.ring.latest
    deliver(host, [edge.data("pump", {"Sensors/Level": -7}, 2)])
    assert host.events.ring.latest == newest


async def next_event(response):
    async with asyncio.timeout(5):
        text = (await response.content.readuntil(b"\n\n")).decode()
    return json.loads(dict(line.split(": ", 1) for line in text.splitlines() if line)["data"])


async def test_births_are_not_pushed_out_by_values(client, host, will):
    before = host.events.ring.latest
    async with client.get("/api/events/stream?type=values"):
        await eventually(host.events.listening, "the stream of values is open")
        for number in range(3 * KEPT):
            host.events.ring.append(VALUES, "edge-1", {"number": number})
        deliver(host, [will])
    async with client.get(f"/api/events/stream?after={before}&type=node_died") as response:
        await response.content.readuntil(b"\n\n")
        assert (await next_event(response))["type"] == "node_died"
