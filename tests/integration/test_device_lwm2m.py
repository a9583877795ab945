"""LwM2M of simulated devices on the real broker, with paho as server and bootstrap server."""

import asyncio
import base64
import http.server
import json
import ssl
import threading
from contextlib import asynccontextmanager, contextmanager

import cbor2
import paho.mqtt.client as paho
import pytest

from device_simulator.bdseq import BdSeqStore
from device_simulator.fleet import Fleet, make_plans
from device_simulator.settings import SimulatorSettings
from iiot.service import Service
from support import eventually, free_port

OP, TOKEN, URI, PAYLOAD, RESULT, CT = 1, 2, 5, 7, 18, 19
PACKAGE = b'{"name":"app","version":"2.5"}\n' + bytes(300_000)


class Server:
    """A paho client with the rights of the LwM2M server."""

    def __init__(self, broker, version):
        self.seen = []
        self._tokens = iter(range(2, 10_000, 2))
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=version)
        identity = broker.identity("lwm2m-server")
        self._client.tls_set(identity.ca, identity.cert, identity.key)
        self._client.on_message = lambda _client, _data, message: self.seen.append(
            (message.topic, message.payload)
        )
        self._ready = threading.Event()
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect("localhost", broker.tls_port)
        self._client.loop_start()
        self._client.subscribe([("lwm2m/#", 1), ("+/lwm2m/#", 1)])
        assert self._ready.wait(5)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic, payload):
        self._client.publish(topic, payload, qos=1).wait_for_publish(5)

    def of(self, topic):
        return [payload for seen, payload in self.seen if seen == topic]

    # JSON profile

    async def command(self, device, token=None, **fields):
        token = token or f"t{next(self._tokens)}"
        self.publish(f"lwm2m/{device}/cmd/{token}", json.dumps(fields))
        return json.loads((await eventually(lambda: self.of(f"lwm2m/{device}/resp/{token}"), "answer"))[-1])

    def notified(self, device, token):
        return [json.loads(payload) for payload in self.of(f"lwm2m/{device}/notify/{token}")]

    # OMA binding

    def maps(self, topic, **wanted):
        """Maps on a topic in which the fields k1, k18, ... have the wanted values."""
        found = [cbor2.loads(payload) for payload in self.of(topic)]
        return [m for m in found if all(m.get(int(key[1:])) == value for key, value in wanted.items())]

    async def ask(self, topic, operation, **fields):
        token = next(self._tokens)
        body = {OP: operation, TOKEN: token} | {int(key[1:]): value for key, value in fields.items()}
        self.publish(topic, cbor2.dumps(body))
        found = await eventually(
            lambda: [m for m in self.maps(topic, k2=token) if RESULT in m], f"answer to {body}"
        )
        return found[0]


@pytest.fixture
def server(mosquitto):
    server = Server(mosquitto, paho.MQTTv5)
    yield server
    server.close()


@pytest.fixture
def start(mosquitto, tmp_path, unique):
    """A fleet of one temperature sensor; gives its id."""

    @asynccontextmanager
    async def run(**values):
        defaults = {"device_count": 1, "telemetry_interval": 0.1, "lwm2m_interval": 0.1}
        settings = SimulatorSettings(
            mqtt_port=mosquitto.tls_port,
            device_ca_dir=mosquitto.certs / "device-ca",
            state_dir=tmp_path,
            fleet_id=unique("l"),
            **defaults | values,
        )
        service, store = Service("device-simulator"), BdSeqStore(tmp_path / "bdseq.jsonl")
        fleet = Fleet(make_plans(settings), settings, service, store)
        running = asyncio.create_task(fleet.run())
        try:
            yield fleet.devices[0].id
        finally:
            service.stopping.set()
            await running
            store.close()

    return run


@contextmanager
def file_server(certificate=None):
    """Serves PACKAGE as /fw over HTTP, or HTTPS with a certificate's directory; gives the base address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/fw" else 404)
            self.end_headers()
            self.wfile.write(PACKAGE if self.path == "/fw" else b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate / "tls.crt", certificate / "tls.key")
            httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        try:
            yield f"http{'s' if certificate else ''}://localhost:{httpd.server_port}"
        finally:
            httpd.shutdown()


async def test_an_observation_notifies_over_the_broker_until_it_is_cancelled(start, server):
    async with start() as device:
        await eventually(lambda: server.of(f"lwm2m/{device}/send"), "send")
        sensor = "/3303/0/5700"
        attributes = {"pmin": 1}
        assert (
            await server.command(device, operation="write-attributes", path=sensor, attributes=attributes)
        )["code"] == "2.04"
        assert (await server.command(device, "o1", operation="observe", path=sensor))["code"] == "2.05"
        first, second = (await eventually(lambda: (n := server.notified(device, "o1"))[1:] and n, "two"))[:2]
        assert 0.8 <= (second["timestamp"] - first["timestamp"]) / 1000 <= 2
        assert (await server.command(device, "o1", operation="cancel-observe"))["code"] == "2.05"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_firmware_is_pulled_installed_and_registered(start, server, mosquitto, scheme):
    with file_server(mosquitto.certs / "broker" if scheme == "https" else None) as address:
        async with start() as device:
            await eventually(lambda: server.of(f"lwm2m/{device}/send"), "send")
            await server.command(device, "o1", operation="observe", path="/5/0/3")
            await server.command(device, operation="write", path="/5/0/1", value=f"{address}/fw")

            def told():
                return [body["values"]["/5/0/3"] for body in server.notified(device, "o1")]

            await eventually(lambda: told() == [1, 2], "downloaded")
            await server.command(device, operation="execute", path="/5/0/2")

            def version():
                return json.loads(server.of(f"lwm2m/{device}/reg")[-1])["objects"]["3"]["0"]["3"]

            await eventually(lambda: version() == "2.5", "registers with the new version")
            read = await server.command(device, operation="read", path="/5/0")
            assert (read["values"]["/5/0/3"], read["values"]["/5/0/5"]) == (0, 1)
            assert read["values"]["/5/0/6"] == "app"


async def test_a_pull_that_fails_says_why(start, server):
    with file_server() as address:
        async with start() as device:
            await eventually(lambda: server.of(f"lwm2m/{device}/send"), "send")

            async def result(uri):
                await server.command(device, operation="write", path="/5/0/1", value=uri)

                async def ended():
                    values = (await server.command(device, operation="read", path="/5/0"))["values"]
                    return values["/5/0/3"] == 0 and values["/5/0/5"]

                return await eventually(ended, f"the end of {uri}", interval=0.3)

            assert await result(f"{address}/nothing") == 7
            assert await result(f"http://localhost:{free_port()}/fw") == 4
            assert await result("coap://localhost/fw") == 9


async def test_a_push_fills_one_packet(start, server):
    async with start() as device:
        await eventually(lambda: server.of(f"lwm2m/{device}/send"), "send")
        package = base64.b64encode(bytes(700_000)).decode()
        answer = await server.command(device, operation="write", path="/5/0/0", value=package)
        assert answer == {"code": "2.04"}

        async def state():
            return (await server.command(device, operation="read", path="/5/0/3"))["values"]["/5/0/3"]

        await eventually(lambda: _is(state, 2), "downloaded", interval=0.3)


async def _is(probe, wanted):
    return await probe() == wanted


@pytest.mark.parametrize(("version", "prefix"), [("5", "tenant-a"), ("3.1.1", ""), ("3.1.1", "tenant-a")])
async def test_the_oma_binding_on_the_shared_topic(start, mosquitto, version, prefix):
    server = Server(mosquitto, paho.MQTTv5 if version == "5" else paho.MQTTv311)
    try:
        settings = {"lwm2m_profile": "oma", "lwm2m_prefix": prefix, "mqtt_version": version}
        async with start(**settings) as device:
            topic = f"{prefix}/lwm2m/rd/{device}".lstrip("/")
            (register,) = await eventually(lambda: server.maps(topic, k1=6), "Register")
            server.publish(topic, cbor2.dumps({RESULT: 201, TOKEN: register[TOKEN]}))
            await eventually(lambda: server.maps(topic, k1=24), "Send")
            read = await server.ask(topic, 9, k5="/3/0/0")
            assert (read[RESULT], read[CT], read[PAYLOAD]) == (205, 0, b"IoT Testing Corp")
            observe = await server.ask(topic, 20, k5="/1/0/1")
            written = await server.ask(topic, 12, k5="/1/0/1", k19=0, k7=b"444")
            assert (observe[RESULT], written[RESULT]) == (205, 204)
            notify = await eventually(lambda: server.maps(topic, k1=23), "Notify")
            assert (notify[0][TOKEN], notify[0][PAYLOAD]) == (observe[TOKEN], b"444")
            await server.ask(topic, 16, k5="/3/0/4")
            registers = await eventually(lambda: (m := server.maps(topic, k1=6))[1:] and m, "Register again")
            assert registers[1][8] == 444
            answers = [m for m in server.maps(topic) if m.get(RESULT, 0) >= 400]
            assert answers == []
    finally:
        server.close()


async def test_a_bootstrap_server_gives_the_account(start, server):
    async with start(lwm2m_profile="oma", lwm2m_bootstrap="request") as device:
        topic = f"lwm2m/bs/{device}"
        (request,) = await eventually(lambda: server.maps(topic, k1=0), "Bootstrap-Request")
        server.publish(topic, cbor2.dumps({RESULT: 204, TOKEN: request[TOKEN]}))
        account = cbor2.dumps({(1, 0): {0: 101, 1: 321}, (0, 0): {0: "mqtts://b", 1: False, 10: 101}})
        assert (await server.ask(topic, 1, k5="/", k19=11544, k7=account))[RESULT] == 204
        assert b"</1/0>;ssid=101" in (await server.ask(topic, 4, k5="/"))[PAYLOAD]
        assert (await server.ask(topic, 5))[RESULT] == 204
        (register,) = await eventually(lambda: server.maps(f"lwm2m/rd/{device}", k1=6), "Register")
        assert register[8] == 321
        asked = [m[OP] for m in server.maps(f"lwm2m/rd/{device}") if OP in m]
        assert asked[0] == 6, "a Send, or anything else, before the account was registered"
