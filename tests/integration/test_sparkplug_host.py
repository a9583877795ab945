"""The host on a real broker, with paho-mqtt and hand-built payloads on the other side."""

import asyncio
import json
import threading
import time
import zlib
from contextlib import asynccontextmanager

import aiohttp
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from iiot._pb.sparkplug_b_pb2 import Payload
from iiot.mqtt import Connection, ConnectOptions
from iiot.service import Service
from sparkplug_host.app import run_host
from sparkplug_host.settings import Settings
from support import eventually, free_port

HOST = "sparkplug-host"
REBIRTH = "Node Control/Rebirth"


class Client:
    """A connected paho client that notes what it receives."""

    def __init__(self, broker, name=None, *, will=None, version=paho.MQTTv5, subscribe=()):
        self.received = []
        self.paho = paho.Client(CallbackAPIVersion.VERSION2, name or "", protocol=version)
        if name is not None:
            files = broker.identity(name)
            self.paho.tls_set(str(files.ca), str(files.cert), str(files.key))
        if will:
            self.paho.will_set(*will, qos=1)
        ready = threading.Event()
        self.paho.on_connect = lambda *_: self.paho.subscribe(
            [(topic, 1) for topic in subscribe or ("none",)]
        )
        self.paho.on_subscribe = lambda *_: ready.set()
        self.paho.on_message = lambda _c, _u, message: self.received.append(message)
        self.paho.connect("localhost", broker.tls_port if name else broker.plain_port)
        self.paho.loop_start()
        assert ready.wait(5), "no SUBACK"

    def close(self, *, lose=False):
        if lose:
            self.paho.socket().close()
        else:
            self.paho.disconnect()
        self.paho.loop_stop()


class Node(Client):
    """An edge node with one device, `pump`, built from raw protobuf."""

    def __init__(self, broker, name, version=paho.MQTTv5):
        self.name, self.seq = name, 0
        death = Payload(metrics=[self._metric("bdSeq", 8, long_value=3)])
        commands = (f"spBv1.0/IIoT/NCMD/{name}", f"spBv1.0/IIoT/DCMD/{name}/+")
        will = (f"spBv1.0/IIoT/NDEATH/{name}", death.SerializeToString())
        super().__init__(broker, name, will=will, version=version, subscribe=commands)
        self.birth()

    @staticmethod
    def _metric(name, datatype=None, **fields):
        return Payload.Metric(name=name, datatype=datatype, timestamp=time.time_ns() // 10**6, **fields)

    def send(self, verb, *metrics, device=None):
        payload = Payload(timestamp=time.time_ns() // 10**6, seq=self.seq, metrics=metrics)
        self.seq = (self.seq + 1) % 256
        topic = f"spBv1.0/IIoT/{verb}/{self.name}" + (f"/{device}" if device else "")
        self.paho.publish(topic, payload.SerializeToString())

    def birth(self):
        self.seq = 0
        rebirth = self._metric(REBIRTH, 11, boolean_value=False)
        self.send("NBIRTH", self._metric("bdSeq", 8, long_value=3), rebirth)
        self.send(
            "DBIRTH",
            self._metric("Sensors/Temperature", 10, double_value=20.5),
            self._metric("Offset", 2, int_value=0xFFFFFFA9),
            self._metric("Flags", 32, bytes_value=bytes.fromhex("0300000060")),
            device="pump",
        )

    def temperature(self, value):
        self.send("DDATA", self._metric("Sensors/Temperature", double_value=value), device="pump")

    def commands(self):
        return [(message.topic, Payload.FromString(message.payload).metrics[0]) for message in self.received]


class Api:
    """The host's HTTP side."""

    def __init__(self, session, url):
        self.session, self.url = session, url

    async def get(self, path):
        async with self.session.get(self.url + path) as response:
            return await response.json(content_type=None)

    async def send(self, method, path, body=None):
        async with self.session.request(method, self.url + path, data=body) as response:
            return response.status, json.loads(await response.text())

    async def series(self):
        async with self.session.get(self.url + "/metrics") as response:
            lines = (await response.text()).splitlines()
        return {
            name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")
        }


@asynccontextmanager
async def running_host(broker, **options):
    service = Service(HOST)
    settings = Settings(
        **broker.client_settings(HOST).model_dump(include={"mqtt_port", "mqtt_ca", "mqtt_cert", "mqtt_key"}),
        http_port=free_port(),
        rebirth_jitter=0,
        **options,
    )
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as session:
        task = tasks.create_task(run_host(settings, service))
        api = Api(session, f"http://127.0.0.1:{settings.http_port}")
        try:
            await eventually(lambda: healthy(api), "the host is healthy")
            yield api
        finally:
            service.stopping.set()
            await task


async def healthy(api):
    try:
        return (await api.get("/api/health"))["status"] == "healthy"
    except aiohttp.ClientError:
        return False


@pytest.fixture
def client(mosquitto):
    clients = []

    def start(kind, *args, **options):
        clients.append(kind(mosquitto, *args, **options))
        return clients[-1]

    yield start
    for each in clients:
        each.close()


@pytest.fixture
def name(unique):
    return unique("device-temp")


async def value_of(api, name, metric="Sensors/Temperature"):
    answer = await api.get(f"/api/nodes/{name}/devices/pump/metrics/{metric}")
    return answer["value"] if "quality" in answer else None


@pytest.mark.parametrize("version", [paho.MQTTv5, paho.MQTTv311])
async def test_a_node_lives_and_dies(mosquitto, client, name, version):
    protocol = "5" if version == paho.MQTTv5 else "3.1.1"
    async with running_host(mosquitto, mqtt_version=protocol) as api:
        node = client(Node, name, version=version)
        await eventually(lambda: value_of(api, name), "the device is born")
        node.temperature(21.75)
        await eventually(lambda: _is(value_of(api, name), 21.75), "the value arrives")
        shown = await api.get(f"/api/nodes/{name}/devices/pump")
        assert [(m["name"], m["type"], m["value"], m["quality"]) for m in shown["metrics"]] == [
            ("Sensors/Temperature", "Double", 21.75, "good"),
            ("Offset", "Int16", -87, "good"),
            ("Flags", "BooleanArray", [False, True, True], "good"),
        ]
        assert (await api.get("/api/health"))["active_devices"] == 1
        series = await api.series()
        assert series["sparkplug_devices_online"] == 1
        assert series['sparkplug_messages_total{type="DDATA"}'] == 1
        node.close(lose=True)
        await eventually(lambda: _offline(api, name), "the will takes the device offline")
        assert (await api.get(f"/api/nodes/{name}/devices/pump"))["metrics"][0]["quality"] == "stale"
        assert (await api.series())["sparkplug_devices_online"] == 0


async def _is(value, expected):
    return (await value) == expected


async def _offline(api, name):
    return not (await api.get(f"/api/nodes/{name}/devices/pump"))["online"]


async def test_commands_reach_the_device(mosquitto, client, name):
    async with running_host(mosquitto) as api:
        node = client(Node, name)
        await eventually(lambda: value_of(api, name), "the device is born")
        path = f"/api/nodes/{name}/devices/pump/metrics/Offset"
        assert (await api.send("PUT", path, '{"value": -5}'))[0] == 202
        assert (await api.send("POST", f"/api/nodes/{name}/rebirth"))[0] == 202
        write, rebirth = await eventually(lambda: len(node.received) == 2 and node.commands(), "two commands")
        assert (write[0], write[1].name, write[1].int_value, write[1].datatype) == (
            f"spBv1.0/IIoT/DCMD/{name}/pump",
            "Offset",
            0xFFFFFFFB,
            2,
        )
        assert (rebirth[0], rebirth[1].name) == (f"spBv1.0/IIoT/NCMD/{name}", REBIRTH)
        assert (rebirth[1].boolean_value, rebirth[1].datatype) == (True, 11)
        assert (await api.series())['sparkplug_commands_sent_total{purpose="write"}'] == 1


async def test_a_write_waits_for_the_report_and_none_leaves_for_a_dead_node(mosquitto, client, name):
    async with running_host(mosquitto) as api:
        node = client(Node, name)
        await eventually(lambda: value_of(api, name), "the device is born")
        path = f"/api/nodes/{name}/devices/pump/metrics/Sensors/Temperature?wait=8"
        writing = asyncio.create_task(api.send("PUT", path, '{"value": 30.5}'))
        await eventually(lambda: node.received, "the command arrives")
        node.temperature(30.5)
        status, answer = await writing
        assert (status, answer["outcome"], answer["reported"]) == (200, "accepted", 30.5)
        assert (await api.send("PUT", f"/api/nodes/{name}/metrics/bdSeq", '{"value": 1}'))[0] == 422
        node.close(lose=True)
        await eventually(lambda: _offline(api, name), "the will is heard")
        commands = len(node.received)
        for method, target, body in (
            ("PUT", path, '{"value": 1}'),
            ("POST", f"/api/nodes/{name}/rebirth", None),
        ):
            status, problem = await api.send(method, target, body)
            assert (status, problem["field"], problem["value"]) == (409, "node", name)
        assert len(node.received) == commands
        assert (await api.series())['sparkplug_commands_sent_total{purpose="write"}'] == 1


async def _offline(api, name):
    return (await api.get(f"/api/nodes/{name}")).get("online") is False


async def test_an_edge_node_that_returns_at_once_with_its_old_bdseq_is_online(mosquitto, client, name):
    async with running_host(mosquitto) as api:
        client(Node, name).close(lose=True)
        await eventually(lambda: _offline(api, name), "the will is heard")
        client(Node, name)
        await eventually(lambda: _is(value_of(api, name), 20.5), "the device is born")


async def test_losses_one_after_the_other_are_each_cured(mosquitto, client, name):
    async with running_host(mosquitto, reorder_timeout=0.1, rebirth_debounce=0.2) as api:
        node = client(Node, name)
        await eventually(lambda: value_of(api, name), "the device is born")
        for number in range(8):
            node.received.clear()
            node.seq += 1
            node.temperature(float(number))
            await eventually(lambda: node.received, f"rebirth {number} is asked", seconds=5)
            node.birth()
            await eventually(lambda: _is(value_of(api, name), 20.5), "it is born again")
            node.temperature(50.0)
            await eventually(lambda: _is(value_of(api, name), 50.0), "data follows")


async def test_a_lost_message_leads_to_one_rebirth(mosquitto, client, name):
    async with running_host(mosquitto, reorder_timeout=0.2) as api:
        node = client(Node, name)
        await eventually(lambda: value_of(api, name), "the device is born")
        node.seq += 1
        for _ in range(20):
            node.temperature(30.0)
        await eventually(lambda: node.received, "a rebirth request")
        assert (await api.get(f"/api/nodes/{name}/devices/pump"))["stale"]
        node.birth()
        node.temperature(31.0)
        await eventually(lambda: _is(value_of(api, name), 31.0), "data counts again")
        assert [metric.name for _, metric in node.commands()] == [REBIRTH]
        shown = await api.get(f"/api/nodes/{name}")
        assert (shown["gaps"], shown["rebirth_requests"], shown["stale"]) == (1, 1, False)


async def test_a_host_that_starts_late_or_was_cut_off_asks_for_births(mosquitto, client, name):
    node = client(Node, name)
    async with running_host(mosquitto) as api:
        node.temperature(22.0)
        await eventually(lambda: len(node.received) == 1, "the late host asks")
        node.birth()
        await eventually(lambda: value_of(api, name), "the device is born")
        client(Client, HOST).close()  # the same client id: the broker throws the host out
        await eventually(lambda: _is(_count(api, "host_cut_off"), 1), "the host notices")
        await eventually(lambda: healthy(api), "the host is back")
        assert (await api.get("/api/health"))["active_devices"] == 0


async def _count(api, reason):
    return (await api.series())[f'sparkplug_rebirths_wanted_total{{reason="{reason}"}}']


async def test_state_is_retained_and_true(mosquitto, client, unique):
    host_id = unique("host")
    topic = f"spBv1.0/STATE/{host_id}"
    watcher = client(Client, subscribe=(topic,))

    def states():
        return [json.loads(message.payload) for message in watcher.received]

    async with running_host(mosquitto, sparkplug_host_id=host_id):
        await eventually(states, "STATE says online")
        late = client(Client, subscribe=(topic,))
        retained = await eventually(lambda: late.received, "STATE is retained")
        assert retained[0].retain
        client(Client, HOST).close()  # the same client id: the broker sends the will
        await eventually(lambda: len(states()) == 3, "will and second birth")
    await eventually(lambda: len(states()) == 4, "STATE says offline")
    first, will, second, last = states()
    assert [state["online"] for state in (first, will, second, last)] == [True, False, True, False]
    assert will["timestamp"] == first["timestamp"] < second["timestamp"] <= last["timestamp"]


async def test_the_short_form_of_older_devices(mosquitto, client, name):
    async with running_host(mosquitto) as api:
        device = client(Client, name)
        for verb, value in (("DBIRTH", 20.0), ("DDATA", 21.0)):
            metric = Payload.Metric(name="Sensors/Temperature", datatype=10, double_value=value)
            device.paho.publish(f"spBv1.0/IIoT/{verb}/{name}", Payload(metrics=[metric]).SerializeToString())
        path = f"/api/nodes/{name}/devices/{name}/metrics/Sensors%2FTemperature"
        await eventually(lambda: _shows(api, path, 21.0), "the short form is understood")
        series = await api.series()
        assert series['sparkplug_nonconformant_messages_total{kind="short_form"}'] == 2
        assert series["sparkplug_devices_online"] == 1


async def _shows(api, path, value):
    return (await api.get(path)).get("value") == value


async def test_garbage_is_counted_and_harms_nobody(mosquitto, client, name, unique):
    async with running_host(mosquitto) as api:
        bad_name = unique("device-bad")
        bad, good = client(Client, bad_name), client(Node, name)
        for payload in (b"", b"\xff" * 50, b'{"json": true}', b"\x12\x80\x80\x80\x80\x10"):
            for verb in ("NBIRTH", "NDATA", "NDEATH"):
                bad.paho.publish(f"spBv1.0/IIoT/{verb}/{bad_name}", payload)
        good.temperature(25.0)
        await eventually(lambda: _is(value_of(api, name), 25.0), "the good device is heard")
        await eventually(lambda: _at_least(api, "sparkplug_decode_errors_total", 9), "errors are counted")
        assert await healthy(api)


async def test_what_costs_too_much_is_refused_and_costs_nobody_else_anything(mosquitto, client, name, unique):
    async with running_host(mosquitto, rebirth_debounce=60) as api:
        bad_name = unique("device-bad")
        bad, good = client(Client, bad_name, subscribe=(f"spBv1.0/IIoT/NCMD/{bad_name}",)), client(Node, name)
        body = zlib.compress(b"\x12\x02\x10\x01" * 2**20)
        bomb = Payload(uuid="SPBV1.0_COMPRESSED", body=body).SerializeToString()
        for _ in range(3):
            for payload in (bomb, b"\x12\x00" * 500_000):
                bad.paho.publish(f"spBv1.0/IIoT/NDATA/{bad_name}", payload, qos=1)
            good.temperature(21.0)
        good.temperature(25.0)
        await eventually(lambda: _is(value_of(api, name), 25.0), "the good device is heard")
        await eventually(lambda: _at_least(api, "sparkplug_decode_errors_total", 6), "all are refused")
        series = await api.series()
        refused = {key: value for key, value in series.items() if "over_budget_total{" in key}
        assert sum(refused.values()) == 6
        assert len(refused) == 2  # each by its budget
        assert (await api.get(f"/api/nodes/{name}"))["gaps"] == 0
        await eventually(lambda: bad.received, "a rebirth is asked for")
        assert len(bad.received) == 1
        assert await healthy(api)


async def _at_least(api, series, value):
    return (await api.series())[series] >= value


async def test_requests_that_make_no_sense_name_field_and_value(mosquitto, client, name):
    async with running_host(mosquitto) as api:
        client(Node, name)
        await eventually(lambda: value_of(api, name), "the device is born")
        offset = f"/api/nodes/{name}/devices/pump/metrics/Offset"
        for method, path, body, status, field in (
            ("GET", "/api/nodes/ghost", None, 404, "node"),
            ("GET", f"/api/nodes/{name}/devices/ghost", None, 404, "device"),
            ("PUT", f"/api/nodes/{name}/devices/pump/metrics/Ghost", '{"value": 1}', 404, "metric"),
            ("PUT", offset, '{"value": 40000}', 400, "value"),
            ("PUT", offset, '{"value": "x"}', 400, "value"),
            ("PUT", offset, '{"valeu": 1}', 400, "value"),
            ("PUT", offset, "1", 400, "body"),
            ("GET", "/api/nodes?limit=0", None, 400, "limit"),
            ("GET", "/api/nodes?offset=x", None, 400, "offset"),
            ("GET", "/api/nodes?online=maybe", None, 400, "online"),
        ):
            answer_status, answer = await api.send(method, path, body)
            assert (answer_status, answer["status"], answer["field"]) == (status, status, field), path
            assert {"title", "detail", "value", "allowed"} <= answer.keys()
        assert (await api.send("PUT", offset, "{"))[0] == 400
        assert (await api.send("DELETE", offset))[0] == 405


async def test_pages_of_nodes(mosquitto, client, unique):
    names = sorted(unique("device-page") for _ in range(3))
    async with running_host(mosquitto) as api:
        for each in names:
            client(Node, each)
        await eventually(lambda: _total(api, 3), "three nodes")
        pages = [await api.get(f"/api/nodes?offset={offset}&limit=2") for offset in (0, 2, 4)]
        assert sorted(node["edge_node"] for page in pages for node in page["nodes"]) == names
        assert [len(page["nodes"]) for page in pages] == [2, 1, 0]
        assert (await api.get("/api/nodes?online=false"))["total"] == 0
        assert (await api.get("/api/nodes?group=other"))["total"] == 0


async def _total(api, count):
    return (await api.get("/api/nodes?online=true"))["total"] == count


async def test_an_observer_never_writes(mosquitto, client, name):
    async with running_host(mosquitto, rebirth_mode="observe", reorder_timeout=0.1) as api:
        node = client(Node, name)
        await eventually(lambda: value_of(api, name), "the device is born")
        node.seq += 1
        node.temperature(40.0)
        await eventually(lambda: _is(value_of(api, name), 40.0), "the value counts after the gap")
        assert (await api.send("POST", f"/api/nodes/{name}/rebirth"))[0] == 409
        assert node.received == []


async def test_the_state_of_older_specifications_is_published_when_asked_for(mosquitto, client, unique):
    host_id = unique("host")
    topic = f"STATE/{host_id}"
    watcher = client(Client, subscribe=(topic,))
    async with running_host(mosquitto, sparkplug_host_id=host_id, sparkplug_legacy_state=True):
        await eventually(lambda: watcher.received, "STATE says online")
        late = client(Client, subscribe=(topic,))
        retained = await eventually(lambda: late.received, "STATE is retained")
        assert (retained[0].retain, retained[0].payload) == (True, b"ONLINE")
    await eventually(lambda: len(watcher.received) == 2, "STATE says offline")
    assert watcher.received[1].payload == b"OFFLINE"
    await remove_retained(mosquitto, topic)


async def remove_retained(mosquitto, topic):
    """Leave nothing to the other tests of this broker."""
    options = ConnectOptions("sparkplug-host", mosquitto.client_settings("sparkplug-host"))
    connection = await Connection.open(options, lambda message: None)
    await connection.publish_acked(topic, b"", retain=True)
    await connection.disconnect()
