"""Writes over REST: what is refused and why, and what the edge node reports back."""

import asyncio
import base64
import json
from types import SimpleNamespace

import aiohttp
import pytest
from pydantic import TypeAdapter

from iiot.rest import Access, make_api
from iiot.service import Service
from iiot.settings import load
from iiot.sparkplug.composite import MetaData, Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode, MetricDefinition
from iiot.sparkplug.payload import Metric, Payload, Template, decode_payload, encode_payload
from iiot.telemetry import serve
from sparkplug_host import outcomes, schemas
from sparkplug_host.api import host_api
from sparkplug_host.host import HostApplication
from sparkplug_host.settings import Settings
from support import eventually

PUMP = "/api/nodes/n/devices/pump/metrics/"
NODE = "/api/nodes/n/metrics/"
MOTOR = Template(
    [Metric("Speed", 1, DataType.INT32, 1), Metric("Load", 0.5, DataType.FLOAT, 1)], [], ref="Motor"
)
VALUES = {"Level": -5, "Gain": 0.5, "Image": b"abc", "Sealed": 1, "Locked": 1, "Drive": MOTOR, "Id": "a" * 8}
METRICS = [
    MetricDefinition("Level", DataType.INT16),
    MetricDefinition("Gain", DataType.FLOAT),
    MetricDefinition("Image", DataType.FILE, metadata=MetaData(file_name="a.png", size=3, md5="x")),
    MetricDefinition("Sealed", DataType.INT16, properties={"readOnly": Property(DataType.BOOLEAN, True)}),
    MetricDefinition("Locked", DataType.INT16, properties={"Writable": Property(DataType.BOOLEAN, False)}),
    MetricDefinition("Drive", DataType.TEMPLATE),
    MetricDefinition("Id", DataType.STRING, properties={"readOnly": Property(DataType.BOOLEAN, False)}),
]


class Wire:
    """Stands for the MQTT connection, with an edge node at the other end."""

    is_open = True

    def __init__(self):
        self.published = []

    def publish(self, topic, payload, *, qos=0, retain=False):
        self.published.append((topic, payload))

    async def sent(self, count=1):
        await eventually(lambda: len(self.published) >= count, "a command leaves")
        return decode_payload(self.published[-1][1]).metrics[0]


@pytest.fixture
def host():
    application = HostApplication(load(Settings), Service("sparkplug-host"))
    application._connection = Wire()
    return application


@pytest.fixture
def edge():
    return EdgeNode(
        "IIoT", "n", [MetricDefinition("Node Control/Reboot", DataType.BOOLEAN)], {"pump": METRICS}
    )


@pytest.fixture
def will(edge):
    return edge.next_will()


@pytest.fixture
async def client(host, edge, will):
    deliver(host, *births(edge))
    app = make_api(Service("x").registry, host.health, host_api(host, "IIoT", asyncio.Event()), Access())
    async with (
        serve(app, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


def births(edge):
    return edge.births(1, lambda device: VALUES if device else {})


def deliver(host, *messages):
    for sent in messages:
        host._on_message(
            SimpleNamespace(topic=sent.topic, payload=sent.payload, retain=False, ack=lambda: None)
        )


async def ask(client, method, path, value=None, **more):
    body = {"value": value, **more} if method == "PUT" else None
    async with client.request(method, path, json=body) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else None


async def refused(client, method, path, value=1):
    status, problem = await ask(client, method, path, value)
    assert problem["allowed"]
    assert problem["value"] in path
    return status, problem["field"]


async def test_what_nobody_may_write_is_refused(client, host):
    for path in (f"{NODE}bdSeq", f"{PUMP}Sealed", f"{PUMP}Locked"):
        assert await refused(client, "PUT", path) == (422, "metric")
    assert host._connection.published == []
    assert (await ask(client, "PUT", f"{PUMP}Id", "b"))[0] == 202


async def test_nothing_is_sent_to_what_is_offline(client, host, edge, will):
    deliver(host, edge.device_death("pump", 2))
    assert await refused(client, "PUT", f"{PUMP}Level") == (409, "device")
    assert (await ask(client, "PUT", f"{NODE}Node Control/Reboot", True))[0] == 202
    deliver(host, edge.device_birth("pump", 3, VALUES), will)
    sent = len(host._connection.published)
    assert await refused(client, "PUT", f"{PUMP}Level") == (409, "node")
    assert await refused(client, "PUT", f"{NODE}Node Control/Reboot", True) == (409, "node")
    assert await refused(client, "PUT", f"{NODE}Node Control/Rebirth", True) == (409, "node")
    assert await refused(client, "POST", "/api/nodes/n/rebirth") == (409, "node")
    assert len(host._connection.published) == sent
    deliver(host, *births(edge))
    assert (await ask(client, "PUT", f"{PUMP}Level", 1))[0] == 202


async def test_while_the_broker_is_away_that_is_the_reason_and_a_rebirth_may_find_who_lives(client, host):
    wire, host._connection = host._connection, None
    host._on_connection(False, "connection lost")
    assert (await ask(client, "PUT", f"{PUMP}Level", 1))[0] == 503
    host._connection = wire
    assert await refused(client, "PUT", f"{PUMP}Level") == (409, "node")
    assert (await ask(client, "POST", "/api/nodes/n/rebirth"))[0] == 202


async def test_a_written_rebirth_counts_as_a_request(client, host):
    assert (await ask(client, "PUT", f"{NODE}Node Control/Rebirth", True))[0] == 202
    assert host.state.nodes["IIoT", "n"].rebirth_requests == 1
    assert (await host._connection.sent()).value is True


async def waited(client, host, path, value, *reports, wait=5):
    """Status and answer of a write that waits, while the edge node reports what `reports` make."""
    writing = asyncio.create_task(ask(client, "PUT", f"{path}?wait={wait}", value))
    await host._connection.sent(len(host._connection.published) + 1)
    for report in reports:
        deliver(host, report())
    status, answer = await writing
    assert status == 200
    documented = TypeAdapter(schemas.Outcome).validate_python(answer, strict=True)
    assert documented.model_dump() == answer
    return answer["outcome"], answer["reported"], answer["timed_out"]


async def test_a_write_waits_for_what_the_edge_node_reports(client, host, edge):
    def data(value, name="Level", device="pump"):
        return lambda: edge.data(device, {name: value}, 2)

    def level(value, *reports, wait=5.0):
        return waited(client, host, f"{PUMP}Level", value, *reports, wait=wait)

    assert await level(7, data(7)) == ("accepted", 7, False)
    assert await level(9, data(7), data(8), data(9)) == ("accepted", 9, False)
    assert await level(None, data(None)) == ("accepted", None, False)
    assert await level(4, data(9), data(1, "Sealed"), wait=0.2) == ("unchanged", 9, False)
    assert await level(4, data(1, "Sealed"), wait=0.2) == ("unchanged", None, True)
    gain = await waited(client, host, f"{PUMP}Gain", 0.1, data(0.1, "Gain"))  # Float has 24 bits of it
    assert gain == ("accepted", pytest.approx(0.1), False)


async def test_a_birth_reports_all_and_a_rebirth_is_followed_by_one(client, host, edge):
    born = edge.births(2, lambda device: VALUES | {"Level": 8} if device else {})
    reports = [lambda: born[0], lambda: born[1]]
    assert await waited(client, host, f"{PUMP}Level", 8, *reports) == ("accepted", 8, False)
    path = f"{NODE}Node Control/Rebirth"
    assert await waited(client, host, path, True, lambda: births(edge)[0]) == ("accepted", False, False)


async def test_of_a_template_what_was_written_counts(client, host, edge):
    part = {"metrics": [{"name": "Load", "value": 0.1}]}
    moved = Template(
        [Metric("Speed", 3, DataType.INT32, 5), Metric("Load", 0.1, DataType.FLOAT, 5)], ref="Motor"
    )
    report = [lambda: edge.data("pump", {"Drive": moved}, 2)]
    assert (await waited(client, host, f"{PUMP}Drive", part, *report))[0] == "accepted"
    part["metrics"][0]["value"] = 0.2
    assert (await waited(client, host, f"{PUMP}Drive", part, *report, wait=0.2))[0] == "unchanged"


@pytest.mark.parametrize("wait", ["-1", "10.1", "nan", "inf", "x"])
async def test_a_wait_has_its_limits(client, wait):
    status, problem = await ask(client, "PUT", f"{PUMP}Level?wait={wait}", 1)
    assert (status, problem["field"]) == (400, "wait")


async def test_writes_that_wait_are_limited_and_leave_nothing_behind(client, host, edge, monkeypatch):
    monkeypatch.setattr(outcomes, "MOST_WAITERS", 1)
    first = asyncio.create_task(ask(client, "PUT", f"{PUMP}Level?wait=9", 7))
    await host._connection.sent()
    status, problem = await ask(client, "PUT", f"{PUMP}Level?wait=9", 7)
    assert (status, problem["status"]) == (503, 503)
    assert len(host._connection.published) == 1
    deliver(host, edge.data("pump", {"Level": 7}, 2))
    assert (await first)[1]["outcome"] == "accepted"
    assert host.outcomes._expected == {}
    assert (await ask(client, "PUT", f"{PUMP}Level?wait=0.01", 7))[0] == 200


async def test_a_stop_ends_the_waiting(client, host):
    waiting = asyncio.create_task(ask(client, "PUT", f"{PUMP}Level?wait=10", 7))
    await host._connection.sent()
    host.outcomes.end()
    async with asyncio.timeout(5):
        assert (await waiting)[1]["outcome"] == "unchanged"


async def test_metadata_of_a_file_is_shown_and_written(client, host, edge):
    shown = (await ask(client, "GET", f"{PUMP}Image"))[1]
    TypeAdapter(schemas.Metric).validate_python(shown, strict=True)
    assert shown["metadata"] == {"file_name": "a.png", "size": 3, "md5": "x"}
    content = base64.b64encode(b"new").decode()
    metadata = {"file_name": "b.png", "size": 3, "content_type": "image/png"}
    assert (await ask(client, "PUT", f"{PUMP}Image", content, metadata=metadata))[0] == 202
    written = await host._connection.sent()
    assert (written.value, written.metadata) == (
        b"new",
        MetaData(file_name="b.png", size=3, content_type="image/png"),
    )
    for wrong in ({"size": -1}, {"size": 2**64}, {"file_name": 5}, {"name": "x"}, [], "x"):
        status, problem = await ask(client, "PUT", f"{PUMP}Image", content, metadata=wrong)
        assert (status, problem["field"].split(".")[0]) == (400, "metadata"), wrong
    deliver(host, edge.data("pump", {"Image": b"other"}, 2))
    assert (await ask(client, "GET", f"{PUMP}Image"))[1]["metadata"] == {"file_name": "a.png"}


async def test_only_a_device_that_is_offline_is_forgotten(client, host, edge):
    path = "/api/nodes/n/devices/pump"
    assert await refused(client, "DELETE", path) == (409, "device")
    assert await refused(client, "DELETE", "/api/nodes/n/devices/ghost") == (404, "device")
    deliver(host, edge.device_death("pump", 2))
    before = host.events.ring.latest
    assert await ask(client, "DELETE", path) == (204, None)
    (event,) = (await host.events.ring.read(before, 10)).events
    assert json.loads(event.body)["type"] == "device_forgotten"
    assert (await ask(client, "GET", path))[0] == 404
    assert (await ask(client, "GET", "/api/nodes/n"))[1]["devices"] == []
    deliver(host, edge.device_birth("pump", 3, VALUES))
    assert (await ask(client, "GET", path))[1]["online"] is True


async def test_a_value_that_cannot_be_used_shows_its_reason(client, host):
    before = host.events.ring.latest
    host.events.listening = lambda: True
    payload = encode_payload(Payload(2, [Metric("Level", 70_000, DataType.INT32)], 2), with_datatypes=True)
    deliver(host, SimpleNamespace(topic="spBv1.0/IIoT/DDATA/n/pump", payload=payload))
    shown = (await ask(client, "GET", f"{PUMP}Level"))[1]
    TypeAdapter(schemas.Metric).validate_python(shown, strict=True)
    assert (shown["value"], shown["quality"]) == (-5, "bad")
    assert "70000" in shown["reason"]
    (event,) = (await host.events.ring.read(before, 10)).events
    assert json.loads(event.body)["data"]["not_good"] == {
        "Level": {"quality": "bad", "reason": shown["reason"]}
    }
