"""What scripts for Leshan's demo server ask for, beside devices: events, credentials, the server itself."""

import asyncio
import base64
import json
import ssl

import pytest
from cryptography import x509

from lwm2m_rig import device, running_server


@pytest.fixture
async def server(mosquitto, tmp_path):
    async with running_server(mosquitto, tmp_path / "s.db") as client:
        yield client


async def _listen(response, wanted):
    """The first events of a stream, as name and data."""
    found = []
    async with asyncio.timeout(10):
        while len(found) < wanted:
            block = (await response.content.readuntil(b"\n\n")).decode()
            fields = dict(line.split(": ", 1) for line in block.strip().splitlines() if ": " in line)
            if "event" in fields:
                found.append((fields["event"], json.loads(fields["data"])))
    return found


async def test_events_of_one_device_come_under_leshans_names(mosquitto, server, unique):
    name, other = unique("leshan"), unique("other")
    async with server.session.get(f"{server.url}/api/event?ep={name}") as response:
        assert response.content_type == "text/event-stream"
        with device(mosquitto, name) as made, device(mosquitto, other) as noise:
            await asyncio.to_thread(noise.register)
            await asyncio.to_thread(made.register)
            made.say("update", {"lifetime": 60})
            made.say("send", {"values": {"/3303/0/5700": 21.5}})
            made.say("send", "no JSON")
            made.say("dereg")
            events = await _listen(response, 4)
    assert [kind for kind, _ in events] == ["REGISTRATION", "UPDATED", "SEND", "DEREGISTRATION"]
    assert {
        told.get("ep") or told.get("endpoint") or told["registration"]["endpoint"] for _, told in events
    } == {name}
    assert events[1][1]["update"]["lifetime"] == 60
    assert events[2][1]["val"]["/3303/0/5700"]["value"] == "21.5"


async def test_credentials_are_certificates_and_told_as_such(mosquitto, server, unique):
    name = unique("leshan")
    with device(mosquitto, name) as made:
        await asyncio.to_thread(made.register)
        _, known = await server.get("/api/security/clients")
        assert {"endpoint": name, "tls": {"mode": "x509"}} in known
        assert (await server.get(f"/api/clients/{name}"))[1]["secure"] is True
    psk = {"endpoint": name, "tls": {"mode": "psk", "details": {"identity": "i", "key": "00"}}}
    for method, path in (("PUT", "/api/security/clients"), ("DELETE", f"/api/security/clients/{name}")):
        status, problem = await server.call(method, path, json=psk)
        assert (status, problem["title"]) == (405, "Method Not Allowed")
        assert "certs issue" in problem["detail"]


async def test_the_server_tells_where_it_is_and_what_devices_see_there(mosquitto, server):
    _, (endpoint,) = await server.get("/api/server/endpoint")
    assert endpoint["uri"] == {
        "full": f"mqtts://{mosquitto.host}:{mosquitto.tls_port}",
        "scheme": "mqtts",
        "host": mosquitto.host,
        "port": mosquitto.tls_port,
    }
    context = ssl.create_default_context(cafile=str(mosquitto.identity("lwm2m-server").ca))
    files = mosquitto.identity("anyone")
    context.load_cert_chain(files.cert, files.key)
    _, writer = await asyncio.open_connection(mosquitto.host, mosquitto.tls_port, ssl=context)
    seen = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    for path in ("/api/security/server", "/api/server/security"):
        told = (await server.get(path))[1]["certificate"]
        assert base64.b64decode(told["b64Der"]) == seen
        numbers = x509.load_der_x509_certificate(seen).public_key().public_numbers()
        assert (int(told["pubkey"]["x"], 16), int(told["pubkey"]["y"], 16)) == (numbers.x, numbers.y)


async def test_definitions_carry_their_urn(mosquitto, server, unique):
    name = unique("leshan")
    with device(mosquitto, name) as made:
        await asyncio.to_thread(made.register)
        _, found = await server.get(f"/api/objectspecs/{name}")
    assert [(spec["id"], spec["urn"]) for spec in found] == [
        (3, "urn:oma:lwm2m:oma:3:1.2"),
        (3303, "urn:oma:lwm2m:ext:3303:1.1"),
    ]
