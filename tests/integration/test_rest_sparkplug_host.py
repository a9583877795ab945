"""The Sparkplug host's API against its own OpenAPI document, with a node behind it."""

import asyncio

import aiohttp
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from iiot.service import Service
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode, MetricDefinition
from schemathesis_run import find_faults
from sparkplug_host.app import run_host
from sparkplug_host.settings import Settings
from support import eventually, free_port

TOKEN = "a-token-for-this-test"


@pytest.fixture
def node(mosquitto, unique):
    """A connected edge node with a device; births come with `publish`."""
    name = unique("rest")
    edge = EdgeNode("IIoT", name, [], {"pump": [MetricDefinition("Sensors/Level", DataType.INT16)]})
    will, files = edge.next_will(), mosquitto.identity(name)
    client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
    client.tls_set(str(files.ca), str(files.cert), str(files.key))
    client.will_set(will.topic, will.payload, qos=1)
    client.connect("localhost", mosquitto.tls_port)
    client.loop_start()

    def publish():
        for birth in edge.births(1, lambda device: {"Sensors/Level": -5} if device else {}):
            client.publish(birth.topic, birth.payload, qos=1)

    yield name, publish
    client.disconnect()
    client.loop_stop()


@pytest.fixture
async def host(mosquitto, node, tmp_path):
    """Address of a running host that knows the node; its API is guarded by a token."""
    (tmp_path / "token").write_text(TOKEN)
    name, publish = node
    settings = Settings(
        http_port=free_port(),
        api_token_file=tmp_path / "token",
        **mosquitto.client_settings("sparkplug-host").model_dump(),
    )
    service, url = Service("sparkplug-host"), f"http://127.0.0.1:{settings.http_port}"
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as session:
        tasks.create_task(run_host(settings, service))

        async def known():
            publish()
            async with session.get(f"{url}/api/nodes/{name}/devices/pump") as response:
                return response.status == 200

        await eventually(known, "the node is born", interval=0.2)
        yield url
        service.stopping.set()


@pytest.mark.parametrize("exists", [True, False])
async def test_no_request_breaks_the_host_or_its_promises(host, node, tmp_path, exists):
    names = {"path.node": node[0], "path.device": "pump", "path.metric": "Sensors/Level"}
    known, endless = names if exists else {}, ("/api/events/stream",)
    faults = await find_faults(tmp_path, host, known=known, systematic=exists, exclude=endless, token=TOKEN)
    assert not faults, faults


async def test_commands_need_the_token(host, node):
    path = f"{host}/api/nodes/{node[0]}/devices/pump/metrics/Sensors/Level"
    async with aiohttp.ClientSession() as session:
        async with session.put(path, json={"value": 5}) as response:
            assert (response.status, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
        async with session.put(
            path, json={"value": 5}, headers={"Authorization": f"Bearer {TOKEN}"}
        ) as response:
            assert response.status == 202
        async with session.get(path) as response:
            assert response.status == 200
        async with session.delete(f"{host}/api/nodes/{node[0]}") as response:
            assert response.status == 401
