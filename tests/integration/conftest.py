"""What several modules of integration tests share."""

from contextlib import ExitStack

import pytest

from bridge_rig import Device, Reader, running_bridge
from lwm2m_rig import device, running_server
from own_broker import open_mosquitto


@pytest.fixture
def stack():
    """Contexts that a test enters; they are left at its end, the last one first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def broker(tmp_path):
    """An open Mosquitto of the test's own."""
    with open_mosquitto(tmp_path / "broker") as (broker, _):
        yield broker


@pytest.fixture
async def server(mosquitto, tmp_path):
    """An LwM2M server; yields a client of its REST API."""
    async with running_server(mosquitto, tmp_path / "server.db") as client:
        yield client


@pytest.fixture
def temperature(mosquitto, server, unique):
    """A device of the JSON profile that may speak to the server."""
    with device(mosquitto, unique("temp")) as made:
        yield made


@pytest.fixture
def bridge(mosquitto, kafka, tmp_path):
    """A bridge that runs, with its defaults."""
    with running_bridge(mosquitto, kafka, tmp_path) as running:
        yield running


@pytest.fixture
def reader(bridge, kafka):
    """What the bridge writes from now on."""
    opened = Reader(kafka)
    yield opened
    opened.close()


@pytest.fixture(name="device")
def sending_device(mosquitto, unique):
    """A device that numbers what it sends."""
    connected = Device(mosquitto, unique("device"))
    yield connected
    connected.close()
