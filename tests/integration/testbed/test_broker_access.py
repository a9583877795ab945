"""Who may do what on the shipped Mosquitto configuration, seen by an independent client."""

import threading

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from support import wait_until

NOT_AUTHORIZED = 0x87


class Client:
    """A connected MQTT 5 client that notes what it receives."""

    def __init__(self, port, client_id="", *, identity=None, user=None, clean=True):
        self.received, self.reason, self.codes = [], None, {}
        self.paho = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        if identity:
            self.paho.tls_set(str(identity.ca), str(identity.cert), str(identity.key))
        if user:
            self.paho.username_pw_set(user, "")
        connected = threading.Event()
        self.paho.on_connect = lambda *args: (setattr(self, "reason", args[3].value), connected.set())
        self.paho.on_message = lambda _c, _u, message: self.received.append((message.topic, message.payload))
        self.paho.on_publish = lambda _c, _u, mid, code, _p: self.codes.update({mid: code.value})
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 0 if clean else 60
        self.paho.connect("localhost", port, clean_start=clean, properties=properties)
        self.paho.loop_start()
        assert connected.wait(5), "no CONNACK"

    def publish(self, topic):
        mid = self.paho.publish(topic, b"x", qos=1).mid
        return wait_until(lambda: (mid in self.codes) and ("code", self.codes[mid]), f"PUBACK for {topic}")[1]

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.fixture
def connect(mosquitto):
    clients = []

    def _connect(identity=None, **options):
        port = mosquitto.tls_port if identity else mosquitto.plain_port
        files = mosquitto.identity(identity) if identity else None
        clients.append(Client(port, identity=files, **options))
        return clients[-1]

    yield _connect
    for client in clients:
        client.close()


LWM2M = [
    "lwm2m/{}/reg",
    "lwm2m/{}/update",
    "lwm2m/{}/dereg",
    "lwm2m/{}/send",
    "lwm2m/{}/bootstrap",
    "lwm2m/{}/notify/t1",
    "lwm2m/{}/resp/t1",
    "lwm2m/rd/{}",
    "lwm2m/bs/{}",
]
DOWN = ["lwm2m/{}/cmd/1", "lwm2m/{}/ack/reg", "lwm2m/rd/{}", "lwm2m/bs/{}"]
OWN = [
    *LWM2M,
    *(f"tenant-a/{topic}" for topic in LWM2M),
    "spBv1.0/IIoT/NBIRTH/{}",
    "spBv1.0/IIoT/NDATA/{}",
    "spBv1.0/IIoT/NDEATH/{}",
    "spBv1.0/IIoT/DBIRTH/{}/asset",
    "spBv1.0/IIoT/DDATA/{}/asset",
    "spBv1.0/IIoT/DDEATH/{}/asset",
    "spBv1.0/IIoT/DBIRTH/{}",
    "spBv1.0/IIoT/DDATA/{}",
]


def test_a_device_writes_its_own_topics_and_no_other_devices(connect, unique):
    device, other = unique("device"), unique("device")
    client = connect(device)
    refused = [topic for topic in OWN if client.publish(topic.format(device)) == NOT_AUTHORIZED]
    allowed = [topic for topic in OWN if client.publish(topic.format(other)) != NOT_AUTHORIZED]
    assert (refused, allowed) == ([], [])


@pytest.mark.parametrize(
    "topic",
    [
        "lwm2m/{}/cmd/1",
        "lwm2m/{}/ack/reg",
        "tenant-a/lwm2m/{}/cmd/1",
        "tenant-a/lwm2m/{}/ack/reg",
        "country/tenant-a/lwm2m/rd/{}",
        "spBv1.0/IIoT/NCMD/{}",
        "spBv1.0/STATE/host",
        "test",
    ],
)
def test_a_device_cannot_speak_for_server_or_host(connect, unique, topic):
    device = unique("device")
    assert connect(device).publish(topic.format(device)) == NOT_AUTHORIZED


def test_a_device_reads_its_own_commands_only(connect, unique):
    device, other = unique("device"), unique("device")
    client, server, host = connect(device), connect("lwm2m-server"), connect("sparkplug-host")
    client.paho.subscribe([("#", 1)])
    down = [*DOWN, *(f"tenant-a/{topic}" for topic in DOWN)]
    for name in (other, device):
        for topic in down:
            server.publish(topic.format(name))
        host.publish(f"spBv1.0/IIoT/DCMD/{name}/asset")
    own = {f"spBv1.0/IIoT/DCMD/{device}/asset", *(topic.format(device) for topic in down)}
    wait_until(lambda: own <= {topic for topic, _ in client.received}, "own commands arrive")
    read = {topic for topic, _ in client.received if not topic.startswith("spBv1.0/STATE/")}
    assert read == own


def test_people_on_the_plain_listener_read_everything_and_write_test(connect, unique):
    device = unique("device")
    person = connect()
    person.paho.subscribe([("#", 0), ("$SYS/broker/version", 0)])
    connect(device).publish(f"lwm2m/{device}/send")
    topics = {f"lwm2m/{device}/send", "$SYS/broker/version"}
    wait_until(lambda: topics <= {topic for topic, _ in person.received}, "everything is readable")
    assert person.publish("test") == person.publish("test/x") != NOT_AUTHORIZED
    assert person.publish(f"lwm2m/{device}/cmd/1") == NOT_AUTHORIZED


@pytest.mark.parametrize("user", ["lwm2m-server", "mqtt-redpanda-bridge", "device-temp-001"])
def test_a_user_name_without_certificate_is_refused(connect, user):
    assert connect(user=user).reason == NOT_AUTHORIZED


def test_a_device_cannot_take_over_another_clients_session(connect, mosquitto):
    bridge = connect("mqtt-redpanda-bridge", client_id="mqtt-redpanda-bridge", clean=False)
    connect("thief", client_id="mqtt-redpanda-bridge")
    assert bridge.publish("test") == NOT_AUTHORIZED  # still connected, and still without the right to write
    assert bridge.paho.is_connected()


def test_sparkplug_data_waits_for_the_absent_bridge_although_it_is_qos_0(connect, unique):
    device = unique("device")
    topic = f"spBv1.0/IIoT/DDATA/{device}/asset"
    connect("mqtt-redpanda-bridge").close()  # ends a session that an earlier test may have left
    bridge = connect("mqtt-redpanda-bridge", clean=False)
    bridge.paho.subscribe("spBv1.0/#", qos=1)
    client = connect(device)
    client.publish(topic)
    wait_until(lambda: (topic, b"x") in bridge.received, "subscription works")
    bridge.close()
    for number in range(20):
        client.paho.publish(topic, str(number), qos=0)
    client.publish(topic)
    back = connect("mqtt-redpanda-bridge", clean=False)
    expected = [(topic, str(number).encode()) for number in range(20)]
    wait_until(lambda: [m for m in back.received if m in expected] == expected, "all 20 arrive in order")
