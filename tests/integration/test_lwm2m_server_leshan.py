"""What scripts for Leshan's demo server ask for, beside devices: events, credentials, the server itself."""

import asyncio
import base64
import json
import ssl

from cryptography import x509

from lwm2m_rig import ROOT, device, oma_device, running_server

MODELS = ROOT / "tests" / "models"


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


def _tls(name, mode, **details):
    return {"endpoint": name, "tls": {"mode": mode, "details": details}}


async def test_credentials_that_a_script_puts_are_taken_and_said_not_to_be_in_force(
    mosquitto, server, unique
):
    name, path = unique("leshan"), "/api/security/clients"
    shown = _tls(name, "psk", identity="sensor")
    status, told = await server.call("PUT", path, json=_tls(name, "psk", identity="sensor", key="73eC"))
    assert (status, told.pop("detail")[:43]) == (200, "kept for scripts, and not in force: devices")
    assert told == shown
    assert shown in (await server.get(path))[1]
    assert (await server.call("PUT", path, json={"endpoint": name, "tls": {"mode": "x509"}})) == (
        200, {"endpoint": name, "tls": {"mode": "x509"}},
    )  # fmt: skip
    for known in ({}, {"message": "not_found"}):
        assert await server.call("DELETE", f"{path}/{name}") == (200, known)
    assert name not in [entry["endpoint"] for entry in (await server.get(path))[1]]


async def test_wrong_credentials_name_the_field_and_repeat_no_secret(server, unique):
    name = unique("leshan")
    oscore = {"rid": "00", "sid": "01", "msec": "secret"}
    for body, field in (
        ([], "body"),
        ({"tls": {"mode": "x509"}}, "endpoint"),
        ({"endpoint": "a/b", "tls": {"mode": "x509"}}, "endpoint"),
        ({"endpoint": name}, "tls"),
        (_tls(name, "password"), "tls.mode"),
        (_tls(name, "psk", key="00"), "tls.details.identity"),
        (_tls(name, "psk", identity="i", key="secret"), "tls.details.key"),
        (_tls(name, "rpk", key=7), "tls.details.key"),
        ({"endpoint": name, "oscore": oscore}, "oscore.msec"),
    ):
        status, problem = await server.call("PUT", "/api/security/clients", json=body)
        assert (status, problem["field"]) == (400, field)
        assert "secret" not in json.dumps(problem)


async def test_formats_by_any_of_their_names(mosquitto, server, unique):
    names = {"tlv": 11542, "Tlv": 11542, "11542": 11542, "1542": 11542, "JSON": 110, "json": 110}
    names |= {"11543": 110, "senml_json": 110, "112": 112, "link": 40, "": None}
    endpoint = unique("leshan")
    with oma_device(mosquitto, endpoint) as made:
        await asyncio.to_thread(made.register)
        made.reply = lambda request: {18: 205, 19: 0, 7: b"21.5"}
        for name, number in names.items():
            assert (await server.get(f"/api/clients/{endpoint}/3303/0/5700?format={name}"))[0] == 200
            assert made.requests[-1].get(4) == number, name
    status, problem = await server.get(f"/api/clients/{endpoint}/3303/0/5700?format=xml")
    assert (status, problem["field"], problem["value"]) == (400, "format", "xml")


async def test_link_attributes_are_text_and_are_taken_as_numbers(mosquitto, server, unique):
    endpoint, asked = unique("leshan"), []

    def reply(_, command):
        asked.append(command)
        links = [{"path": "/3303/0", "pmin": 10, "gt": 30.5, "ver": "1.1"}]
        return {"code": "2.05", "links": links} if command["operation"] == "discover" else {"code": "2.04"}

    with device(mosquitto, endpoint) as made:
        await asyncio.to_thread(made.register)
        made.answer = reply
        base = f"/api/clients/{endpoint}/3303/0"
        body = {"pmax": 60, "gt": 30.5, "st": None}
        assert (await server.call("PUT", f"{base}/attributes?pmin=10&lt=", json=body))[0] == 200
        assert asked[-1]["attributes"] == {"pmin": 10, "pmax": 60, "gt": 30.5, "lt": None, "st": None}
        _, told = await server.get(f"{base}/discover")
        assert told["objectLinks"] == [
            {"url": "/3303/0", "attributes": {"pmin": "10", "gt": "30.5", "ver": "1.1"}}
        ]
        for wrong, field in (([], "body"), ({"pmax": "often"}, "pmax"), ({"every": 1}, "attribute")):
            status, problem = await server.call("PUT", f"{base}/attributes", json=wrong)
            assert (status, problem["field"]) == (400, field)


async def test_times_of_nodes_are_ms_as_in_leshan_and_seconds_elsewhere(mosquitto, server, unique):
    endpoint, written = unique("leshan"), []

    def reply(_, command):
        written.append(command["value"])
        return {"code": "2.04"}

    with device(mosquitto, endpoint) as made:
        await asyncio.to_thread(made.register)
        made.answer = reply
        node = {"id": 13, "kind": "singleResource", "type": "TIME", "value": 1_367_491_215_000}
        for body in ({"json": node}, {"json": node | {"value": 1_367_491_215}}, {"data": "1367491215"}):
            assert (await server.call("PUT", f"/api/clients/{endpoint}/3/0/13", **body))[0] == 200
    assert written == [1_367_491_215] * 3


async def test_definitions_are_those_of_the_version_that_a_device_registered(mosquitto, tmp_path, unique):
    for version, name in (("1.0", "Old"), ("2.0", "New")):
        plant = (
            (MODELS / "plant.xml").read_text().replace("Mixer", name).replace("32770", f"3277{version[0]}")
        )
        plant = plant.replace(":1.1<", f":{version}<").replace(
            "ObjectVersion>1.1", f"ObjectVersion>{version}"
        )
        speed = "100..3000" if version == "1.0" else "100..9000"
        (tmp_path / f"{name}.xml").write_text(plant.replace("100..3000", speed))
    async with running_server(mosquitto, tmp_path / "s.db", models_dir=tmp_path) as server:
        _, known = await server.get("/api/objectspecs")
        assert [(spec["version"], spec["name"]) for spec in known if spec["id"] == 32769] == [
            ("1.0", "Old"), ("2.0", "New"),
        ]  # fmt: skip
        for told, name, status in (("1.0", "Old", 400), ("2.0", "New", 200), ("3.0", "New", 200)):
            endpoint = unique("leshan")
            with oma_device(mosquitto, endpoint) as made:
                links = f"</3/0>,</32769>;ver={told},</32769/0>".encode()
                await asyncio.to_thread(made.ask, {1: 6, 2: 1, 8: 60, 9: "1.2", 10: "M", 7: links})
                made.reply = lambda request: {18: 204}
                _, found = await server.get(f"/api/objectspecs/{endpoint}")
                assert found[1]["name"] == name
                assert found[1]["resourcedefs"][3]["range"] == "1, 2, 5"
                path = f"/api/clients/{endpoint}/32769/0/0"
                assert (await server.call("PUT", path, data="5000"))[0] == status


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
