"""A device in a world whose clocks the test moves."""

import asyncio
from dataclasses import dataclass, field

import pytest

from device_simulator.bdseq import BdSeqStore
from device_simulator.device import Device
from device_simulator.kind import load_kinds
from device_simulator.ledger import Stream
from device_simulator.lwm2m_client import Lwm2mClient
from device_simulator.metrics import Stats
from device_simulator.objects import build_tree
from device_simulator.presets import preset_instances
from device_simulator.profile import DevicePlan, Group
from device_simulator.schedule import Schedule
from device_simulator.settings import SimulatorSettings
from device_simulator.sparkplug_node import SparkplugNode
from device_simulator.state import DeviceState, World
from iiot.errors import MqttError
from iiot.lwm2m.model import built_in


class Clock:
    """Monotonic and wall time in one; `now` is moved by hand."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def wall(self):
        return 1_790_000_000.0 + self.now


class FakeConnection:
    """What a device sees of iiot.mqtt, with everything that it publishes written down in order."""

    def __init__(self):
        self.log = []
        self.is_open = True
        self.is_congested = False
        self.max_packet_size = None
        self.in_flight = 0
        self.unacked = []
        self.acknowledges = True

    async def subscribe(self, *subscriptions):
        self.log.append(("SUBSCRIBE", [(s.topic_filter, s.qos) for s in subscriptions]))

    def publish(self, topic, payload, *, qos=0, retain=False):
        assert self.is_open
        assert not retain
        self.log.append((topic, payload, qos))

    async def publish_acked(self, topic, payload, **_):
        self.publish(topic, payload, qos=1)
        if not self.acknowledges:
            raise MqttError("no answer")

    def unacknowledged(self):
        return self.unacked

    async def disconnect(self, *, send_will=False):
        self.is_open = False
        self.log.append(("DISCONNECT", send_will))

    def topics(self):
        return [entry[0] for entry in self.log]


@dataclass
class Parts:
    """One device's parts without a connection."""

    clock: Clock
    world: World
    state: DeviceState
    client: Lwm2mClient
    node: SparkplugNode
    streams: dict = field(default_factory=dict)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_parts(clock):
    def make(
        kind="temperature",
        seed=7,
        interval=0.0105,
        update_every=25,
        device_id="device-x-001",
        client=None,
        firmware=None,
        **group,
    ):
        world = World(seed, 1.0, clock.monotonic, clock.wall)
        kind = load_kinds()[kind]
        plan = DevicePlan(
            device_id,
            kind,
            Group.model_validate({"kind": kind.name, "weight": 1} | group, context=[kind.name]),
        )
        state = DeviceState(plan, world, interval, 3600, firmware=firmware)
        tree = build_tree(kind, built_in())
        state.preset(preset_instances(tree, plan.group.objects))
        streams = {name: Stream(device_id, name, 5000) for name in ("sparkplug", "lwm2m")}
        client = Lwm2mClient(state, tree, streams["lwm2m"], world, update_every, **(client or {}))
        node = SparkplugNode("IIoT", state, tree, streams["sparkplug"], world, bd_seq=3)
        state.boot(clock.now)
        state.sample(clock.now)
        return Parts(clock, world, state, client, node, streams)

    return make


@pytest.fixture
async def make_device(clock, tmp_path):
    """A device, its schedule and its figures; sessions that a test starts are ended with it."""
    store = BdSeqStore(tmp_path / "bdseq.jsonl")
    tasks = []

    def make(servers="", version="5", **group):
        values = SimulatorSettings(state_dir=tmp_path, mqtt_servers=servers, mqtt_version=version)
        world = World(1, 1.0, clock.monotonic, clock.wall)
        kind = load_kinds()["temperature"]
        fields = {"kind": kind.name, "weight": 1} | group
        plan = DevicePlan("device-x-001", kind, Group.model_validate(fields, context=[kind.name]))
        stats = Stats()
        schedule = Schedule(stats.observe_lag)
        device = Device(plan, values, world, build_tree(kind, built_in()), schedule, stats, store, 5000)

        async def connect(max_packet_size=None):
            connection = FakeConnection()
            connection.max_packet_size = max_packet_size
            options = device.options(values)
            connection.will, connection.server = options.will(), options.settings.mqtt_host
            task = asyncio.ensure_future(device.session(connection))
            tasks.append(task)
            for _ in range(5):  # subscribe, births, registration: no real waiting in between
                await asyncio.sleep(0)
            return connection, task

        device.connect, device.schedule, device.stats = connect, schedule, stats
        return device

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    store.close()
