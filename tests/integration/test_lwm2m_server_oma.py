"""The OMA MQTT binding on a real broker, with devices that share no code with the server."""

import asyncio

import cbor2
import paho.mqtt.client as paho
import pytest

from lwm2m_rig import device, oma_device, running_server
from support import eventually


@pytest.fixture(params=["5", "3.1.1"])
async def server(request, mosquitto, tmp_path):
    # One of MQTT 3.1.1 has no end, and Mosquitto keeps the options of a subscription that is made again.
    await asyncio.to_thread(mosquitto.end_session, "lwm2m-server")
    async with running_server(mosquitto, tmp_path / "server.db", mqtt_version=request.param) as client:
        client.version = request.param
        yield client


@pytest.fixture
def thermometer(mosquitto, server, unique):
    version = paho.MQTTv5 if server.version == "5" else paho.MQTTv311
    with oma_device(mosquitto, unique("oma"), version=version) as made:
        yield made


def senml(records):
    return {19: 112, 7: cbor2.dumps([{0: path, 2: value} for path, value in records.items()])}


async def test_a_device_of_the_binding_registers_sends_and_is_managed(server, thermometer):
    assert await asyncio.to_thread(thermometer.register) == {18: 201, 2: 1}
    status, shown = await server.get(f"/api/clients/{thermometer.name}")
    assert (status, shown["profile"], shown["bindingMode"], shown["lifetime"]) == (200, "oma", "M", 3600)
    send = {1: 24, 2: 3} | senml({"/3303/0/5700": 23.5, "/3/0/9": 85})
    for _ in range(2):
        assert await asyncio.to_thread(thermometer.ask, send) == {18: 204, 2: 3}
    thermometer.reply = lambda request: {
        9: {19: 0, 7: "85"},
        12: {18: 204},
        16: {18: 405},
    }.get(request[1])  # fmt: skip
    base = f"/api/clients/{thermometer.name}"
    _, body = await server.get(f"{base}/3/0/9")
    assert body["content"] == {"kind": "singleResource", "id": 9, "type": "INTEGER", "value": "85"}
    _, body = await server.call("PUT", f"{base}/1/0/1", data="60")
    assert body["status"] == "CHANGED(204)"
    assert thermometer.requests[-1].items() >= {1: 12, 5: "/1/0/1", 19: 0, 7: b"60"}.items()
    assert (await asyncio.to_thread(thermometer.ask, {1: 8, 2: 9})) == {18: 202, 2: 9}
    events = await server.events(thermometer.name)
    assert [event["type"] for event in events] == ["registered", "send", "deregistered"]
    assert events[1]["data"]["values"] == {"/3303/0/5700": 23.5, "/3/0/9": 85}


async def test_nobody_answers_what_he_said_himself(server, thermometer):
    await asyncio.to_thread(thermometer.register)
    thermometer.reply = lambda request: {19: 0, 7: "85"}
    for _ in range(5):
        assert (await server.get(f"/api/clients/{thermometer.name}/3/0/9"))[0] == 200
    # This device subscribed without No Local: the broker gives it back each of its six messages.
    await eventually(lambda: thermometer.echoes == 6, "the echoes arrive")
    assert len(thermometer.requests) == 5
    echoes = server.count("lwm2m_messages_dropped", reason="echo")
    assert echoes == (0 if server.version == "5" else 6)
    assert await server.kinds(thermometer.name) == ["registered"]


async def test_both_profiles_side_by_side(server, mosquitto, thermometer, unique):
    with device(mosquitto, unique("json")) as plain:
        await asyncio.to_thread(thermometer.register)
        await asyncio.to_thread(plain.register)
        thermometer.reply = lambda request: {19: 60, 7: cbor2.dumps(85)}
        plain.answer = lambda token, command: {"code": "2.05", "values": {"/3/0/9": 85}}
        bodies = [await server.get(f"/api/clients/{made.name}/3/0/9") for made in (thermometer, plain)]
    assert bodies[0] == bodies[1]
    assert bodies[0][0] == 200


async def test_composite_requests_name_paths_and_values_in_the_formats_asked_for(server, thermometer):
    await asyncio.to_thread(thermometer.register)
    thermometer.reply = lambda request: senml({"/3/0/9": 85}) if request[1] == 10 else {18: 204}
    base = f"/api/clients/{thermometer.name}/composite"
    for form, wire in [
        ("SENML_ETCH_CBOR", {6: cbor2.dumps([{0: "/3/0/9"}])}),
        ("SENML_JSON", {19: 110, 6: b'[{"n":"/3/0/9"}]'}),
    ]:
        status, body = await server.get(f"{base}?paths=/3/0/9&pathformat={form}")
        assert (status, body["content"]["/3/0/9"]["value"]) == (200, "85")
        assert thermometer.requests[-1].items() >= wire.items()
    for form, number in [("SENML_ETCH_JSON", 320), ("SENML_ETCH_CBOR", 322), ("LWM2M_CBOR", 11544)]:
        status, _ = await server.call("PUT", f"{base}?nodeformat={form}", json={"/1/0/1": 60})
        assert (status, thermometer.requests[-1][19]) == (200, number)
    assert (await server.get(f"{base}?paths=/3/0/9&pathformat=TLV"))[0] == 400


async def test_garbage_harms_nobody(server, thermometer):
    for payload in (b"", b"\xff\xfe", b"{}", cbor2.dumps([1]), cbor2.dumps({1: 24, 2: "x"})):
        thermometer.tell(payload)
    for request, result in [
        ({1: 7, 2: 11}, 404),
        ({1: 6, 2: 13, 9: "1.2"}, 400),
        ({1: 6, 2: 15, 8: 60, 9: "7.0", 7: b"</3/0>"}, 412),
        ({1: 99, 2: 17}, 501),
    ]:
        assert (await asyncio.to_thread(thermometer.ask, request))[18] == result
    thermometer.tell({18: 205, 2: 4711})
    assert (await asyncio.to_thread(thermometer.register))[18] == 201
    assert server.count("lwm2m_messages_dropped", reason="undecodable") == 5


async def test_a_tenant_of_its_own(mosquitto, tmp_path, unique):
    options = {"lwm2m_prefix": "tenant-a", "lwm2m_extensions": False}
    async with running_server(mosquitto, tmp_path / "server.db", **options) as server:
        with oma_device(mosquitto, unique("oma"), prefix="tenant-a") as made:
            assert (await asyncio.to_thread(made.register))[18] == 201
            assert await asyncio.to_thread(made.ask, {1: 24, 2: 3, 19: 0, 7: b"1"}) == {18: 400, 2: 3}
            assert await server.kinds(made.name) == ["registered", "refused"]


async def test_a_create_tells_where_the_instance_is_made(server, thermometer):
    await asyncio.to_thread(thermometer.register)
    base = f"/api/clients/{thermometer.name}"
    links = {19: 40, 7: b"</3303>;ver=1.1,</3303/0>,</3303/7>"}
    thermometer.reply = lambda request: {17: {18: 201}, 11: links}[request[1]]
    body = {"resources": [{"id": 5750, "value": "roof"}]}
    status, created = await server.call("POST", f"{base}/3303", json=body)
    assert (status, created["status"], created["location"]) == (200, "CREATED(201)", "/3303/7")
    assert [request[1] for request in thermometer.requests] == [17, 11]
    _, created = await server.call("POST", f"{base}/3303/5", json=body)
    assert created["location"] == "/3303/5"
    assert [request[1] for request in thermometer.requests] == [17, 11, 17]
    thermometer.reply = lambda request: {18: 201, "location": "/3303/9"}
    _, created = await server.call("POST", f"{base}/3303", json=body)
    assert (created["location"], len(thermometer.requests)) == ("/3303/9", 4)
    thermometer.reply = lambda request: {17: {18: 201}, 11: {18: 501}}[request[1]]
    status, created = await server.call("POST", f"{base}/3303", json=body)
    assert (status, "location" in created) == (200, False)


async def test_an_observation_keeps_its_own_attributes_over_registrations(server, thermometer):
    await asyncio.to_thread(thermometer.register)
    base = f"/api/clients/{thermometer.name}"
    thermometer.reply = lambda request: {19: 0, 7: "85"}
    assert (await server.call("POST", f"{base}/3/0/9/observe?pmin=1&pmax=5&gt=20&con=1"))[0] == 200
    own = {12: 1, 13: 5, 14: 20.0, "con": 1}
    assert thermometer.requests[-1].items() >= ({1: 20, 5: "/3/0/9"} | own).items()
    (known,) = (await server.get(f"{base}/observations"))[1]
    assert known["attributes"] == {"pmin": 1, "pmax": 5, "gt": 20.0, "con": True}
    before = len(thermometer.requests)
    await asyncio.to_thread(thermometer.register)
    await eventually(lambda: len(thermometer.requests) > before, "it is observed again")
    assert thermometer.requests[-1].items() >= ({1: 20, 5: "/3/0/9"} | own).items()
    for query, field in [("pmin", "pmin"), ("pmin=x", "pmin"), ("gt=nan", "gt")]:
        status, told = await server.call("POST", f"{base}/3/0/9/observe?{query}")
        assert (status, told["field"].split(".")[0]) == (400, field)
    composite = f"{base}/composite/observe?paths=/3/0/9,/3303/0/5700"
    assert (await server.call("POST", f"{composite}&gt=1"))[1]["field"] == "gt"
