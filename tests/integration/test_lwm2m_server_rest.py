"""Device management by REST, on a real broker, with devices of both profiles that are not our code."""

import asyncio

import cbor2
import pytest

from lwm2m_rig import Device, device, oma_device, running_server
from support import eventually

OK = {"valid": True, "success": True, "failure": False}


@pytest.fixture
async def plain(mosquitto, server, unique):
    with device(mosquitto, unique("json")) as made:
        await asyncio.to_thread(made.register, bindingMode="U")
        made.commands = []
        made.answers = {}
        made.answer = lambda token, command: (
            made.commands.append(command) or made.answers.get(command["operation"])
        )
        yield made


@pytest.fixture
async def binding(mosquitto, server, unique):
    with oma_device(mosquitto, unique("oma")) as made:
        await asyncio.to_thread(made.register)
        made.answers = {}
        made.reply = lambda request: made.answers.get(request[1])
        yield made


OPERATIONS = [
    (
        "GET", "/3303/discover?depth=1", {},
        {"operation": "discover", "path": "/3303", "depth": 1},
        {"code": "2.05", "links": [{"path": "/3303/0", "pmin": 10}]},
        {1: 11, 5: "/3303", 22: 1}, {19: 40, 7: b"</3303/0>;pmin=10"},
        {"status": "CONTENT(205)", "objectLinks": [{"url": "/3303/0", "attributes": {"pmin": "10"}}]},
    ),
    (
        "PUT", "/3303/0/5700/attributes?pmin=10&gt=30.5&st", {},
        {"operation": "write-attributes", "path": "/3303/0/5700",
         "attributes": {"pmin": 10, "gt": 30.5, "st": None}},
        {"code": "2.04"},
        {1: 14, 5: "/3303/0/5700", 12: 10, 14: 30.5, 15: None}, {18: 204},
        {"status": "CHANGED(204)"},
    ),
    (
        "PUT", "/1/0?replace=false", {"json": {"id": 0, "resources": [{"id": 1, "value": "60"}]}},
        {"operation": "write-partial", "path": "/1/0", "values": {"/1/0/1": 60}},
        {"code": "2.04"},
        {1: 13, 5: "/1/0", 19: 112, 7: cbor2.dumps([{-2: "/1/0/1", 2: 60}])}, {18: 204},
        {"status": "CHANGED(204)"},
    ),
    (
        "PUT", "/1/0/1?format=TLV", {"data": "60"},
        {"operation": "write", "path": "/1/0/1", "value": 60},
        {"code": "2.04"},
        {1: 12, 5: "/1/0/1", 19: 11542, 7: bytes.fromhex("c1013c")}, {18: 204},
        {"status": "CHANGED(204)"},
    ),
    (
        "PUT", "/5/0/0", {"data": b"\x00\x01", "headers": {"Content-Type": "application/octet-stream"}},
        {"operation": "write", "path": "/5/0/0", "value": "AAE="},
        {"code": "2.04"},
        {1: 12, 5: "/5/0/0", 19: 42, 7: b"\x00\x01"}, {18: 204},
        {"status": "CHANGED(204)"},
    ),
    (
        "POST", "/3303", {"json": {"id": 7, "resources": [{"id": 5750, "value": "attic"}]}},
        {"operation": "create", "path": "/3303", "values": {"/3303/7/5750": "attic"}},
        {"code": "2.01", "location": "/3303/7"},
        {1: 17, 5: "/3303", 19: 112, 7: cbor2.dumps([{-2: "/3303/7/5750", 3: "attic"}])}, {18: 201},
        {"status": "CREATED(201)", "location": "/3303/7"},
    ),
    (
        "DELETE", "/3303/7", {},
        {"operation": "delete", "path": "/3303/7"}, {"code": "2.02"},
        {1: 18, 5: "/3303/7"}, {18: 202},
        {"status": "DELETED(202)"},
    ),
    (
        "GET", "/composite?paths=/3/0/9,/3303/0/5700", {},
        {"operation": "read-composite", "paths": ["/3/0/9", "/3303/0/5700"]},
        {"code": "2.05", "values": {"/3/0/9": 85, "/3303/0/5700": 23.5}},
        {1: 10, 6: cbor2.dumps([{0: "/3/0/9"}, {0: "/3303/0/5700"}])},
        {19: 112, 7: cbor2.dumps([{0: "/3/0/9", 2: 85}, {0: "/3303/0/5700", 2: 23.5}])},
        {"status": "CONTENT(205)", "content": {
            "/3/0/9": {"kind": "singleResource", "id": 9, "type": "INTEGER", "value": "85"},
            "/3303/0/5700": {"kind": "singleResource", "id": 5700, "type": "FLOAT", "value": "23.5"},
        }},
    ),
    (
        "PUT", "/composite", {"json": {"/1/0/1": 60, "/3306/0/5850": True}},
        {"operation": "write-composite", "values": {"/1/0/1": 60, "/3306/0/5850": True}},
        {"code": "2.04"},
        {1: 15, 19: 112, 7: cbor2.dumps([{0: "/1/0/1", 2: 60}, {0: "/3306/0/5850", 4: True}])}, {18: 204},
        {"status": "CHANGED(204)"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "options", "command", "answer", "request_map", "reply", "expected"), OPERATIONS,
    ids=[f"{row[0]}{row[1]}" for row in OPERATIONS],
)  # fmt: skip
async def test_each_operation_in_both_profiles(
    server, plain, binding, method, path, options, command, answer, request_map, reply, expected
):
    plain.answers = {command["operation"]: answer}
    status, body = await server.call(method, f"/api/clients/{plain.name}{path}", **options)
    assert plain.commands == [command]
    assert (status, body) == (200, {**OK, **expected})
    binding.answers = {request_map[1]: reply}
    status, body = await server.call(method, f"/api/clients/{binding.name}{path}", **options)
    (sent,) = binding.requests
    del sent[2]
    if request_map[1] == 15:
        sent[7], request_map = senml(sent[7]), request_map | {7: senml(request_map[7])}
    assert sent == request_map
    assert (status, body) == (200, {**OK, **expected})


def senml(payload):
    base, found = "", {}
    for record in cbor2.loads(payload):
        base = record.get(-2, base)
        found[base + record.get(0, "")] = record.get(2, record.get(4))
    return found


async def test_refusals_are_problems_with_the_lwm2m_code(server, plain, binding):
    for code, status in [("4.00", 400), ("4.01", 403), ("4.04", 404), ("4.05", 405), ("5.00", 502)]:
        plain.answers = {"read": {"code": code, "error": "because"}}
        binding.answers = {9: {18: int(code.replace(".", "")), 19: 0, 7: "because"}}
        for made in (plain, binding):
            answered, body = await server.get(f"/api/clients/{made.name}/3/0/9")
            assert (answered, body["status"], body["code"], body["detail"]) == (
                status,
                status,
                code,
                "because",
            )
    plain.answers = {"write": {"code": "4.00", "error": {"field": "v", "value": 7, "allowed": "1 to 6"}}}
    _, body = await server.call("PUT", f"/api/clients/{plain.name}/3/0/14", data="+02:00")
    assert (body["field"], body["value"], body["allowed"]) == ("v", 7, "1 to 6")


async def test_observing_notifying_and_both_ways_to_end_it(server, plain, binding):
    base = f"/api/clients/{binding.name}/3303/0/5700"
    binding.answers = {20: {19: 0, 7: "23.1"}, 22: {18: 205}}
    _, body = await server.call("POST", base + "/observe")
    assert body["content"]["value"] == "23.1"
    token = binding.requests[-1][2]
    binding.tell({1: 23, 2: token, 19: 0, 7: b"23.4"})
    await eventually(lambda: history(server, base, 2), "the value is known")
    assert [point["value"] for point in await history(server, base, 2)] == ["23.1", "23.4"]
    (shown,) = (await server.get(f"/api/clients/{binding.name}/observations"))[1]
    assert (shown["path"], shown["state"], shown["notifications"]) == ("/3303/0/5700", "active", 1)
    assert (await server.call("DELETE", base + "/observe"))[0] == 204
    binding.tell({1: 23, 2: token, 19: 0, 7: b"23.5"})
    await eventually(lambda: binding.requests[-1] == {1: 22, 2: token}, "the device is told")
    assert (await server.call("DELETE", base + "/observe"))[0] == 404

    base = f"/api/clients/{plain.name}"
    plain.answers = {
        "observe-composite": {"code": "2.05", "values": {"/3/0/9": 85}}, "cancel-observe": {"code": "2.05"},
    }  # fmt: skip
    paths = "composite/observe?paths=/3/0/9,/3303/0/5700"
    assert (await server.call("POST", f"{base}/{paths}"))[0] == 200
    (shown,) = (await server.get(f"{base}/observations"))[1]
    plain.say(f"notify/{shown['token']}", {"values": {"/3/0/9": 84, "/3303/0/5700": 20.5}, "seq": 5})
    await eventually(lambda: history(server, f"{base}/3303/0/5700", 2), "the value is known")
    status, body = await server.call("DELETE", f"{base}/{paths}&active")
    assert (status, body["status"]) == (200, "CONTENT(205)")
    assert plain.commands[-1] == {"operation": "cancel-observe"}
    assert (await server.get(f"{base}/observations"))[1] == []
    await server.server.events.settled()
    notification = (await server.events(plain.name))[-1]
    assert (notification["type"], notification["data"]["kind"]) == ("notification", "composite")


async def history(server, base, least=1):
    _, body = await server.get(f"{base}/history")
    return body[0]["values"] if body and len(body[0]["values"]) >= least else None


async def test_observations_are_made_anew_after_each_register_and_restart(mosquitto, tmp_path, unique):
    async with running_server(mosquitto, tmp_path / "s.db", mqtt_session_expiry=60) as server:
        with oma_device(mosquitto, unique("oma")) as made:
            made.reply = lambda request: {19: 0, 7: "23.1"}
            await asyncio.to_thread(made.register)
            url = f"/api/clients/{made.name}/3303/0/5700/observe"
            assert (await server.call("POST", url))[0] == 200
            first = made.requests[-1]
            await asyncio.to_thread(made.register)
            await eventually(lambda: len(made.requests) == 2, "observed again")
            assert made.requests[-1] == first
    async with running_server(mosquitto, tmp_path / "s.db", mqtt_session_expiry=0) as server:
        with oma_device(mosquitto, made.name) as again:
            again.reply = lambda request: {19: 0, 7: "23.1"}
            again.tell({1: 23, 2: first[2], 19: 0, 7: b"24.0"})
            await eventually(lambda: history(server, url.removesuffix("/observe")), "the token is known")
            await asyncio.to_thread(again.register)
            await eventually(lambda: again.requests, "observed again")
            assert again.requests[-1] == first


async def test_requests_wait_for_an_offline_device_also_over_a_restart(mosquitto, tmp_path, unique):
    name = unique("sleepy")
    async with running_server(mosquitto, tmp_path / "s.db") as server:
        made = Device(mosquitto, name, will=f"spBv1.0/IIoT/NDEATH/{name}")
        await asyncio.to_thread(made.register)
        made.vanish()
        await eventually(lambda: server.server.registry.online == 0, "the will arrives")
        base = f"/api/clients/{name}"
        _, read = await server.get(f"{base}/3/0/9")
        assert (read["ep"], read["path"], read["delayed"], read["response"]) == (name, "/3/0/9", True, None)
        await server.call("PUT", f"{base}/1/0/1", data="60")
        _, short = await server.get(f"{base}/3/0/0?ttl=0.2")
        _, waiting = await server.get(f"{base}/queue")
        assert [job["operation"] for job in waiting] == ["read", "write", "read"]
        await eventually(lambda: len(server.server.operations.queue(name)) == 2, "the last one expires", 3)
        assert (await server.get(f"{base}/queue/{short['requestId']}"))[0] == 404
    async with running_server(mosquitto, tmp_path / "s.db") as server:
        with device(mosquitto, name) as again:
            again.answer = lambda token, command: (
                {"code": "2.05", "values": {"/3/0/9": 85}}
                if command["operation"] == "read"
                else {"code": "2.04"}
            )
            again.say("send", {"values": {"/3303/0/5700": 20.0}})
            await eventually(lambda: server.server.operations.queued == 0, "the queue is flushed")
            await eventually(lambda: server.server.operations.pending == 0, "all is answered")
            await server.server.events.settled()
            events = [e["data"] for e in await server.events(name) if e["type"] == "response"]
    assert [event.get("failure") for event in events] == ["expired", None, None]
    assert events[1]["requestId"] == read["requestId"]
    assert events[1]["response"]["content"]["value"] == "85"
    assert events[2]["response"]["status"] == "CHANGED(204)"


async def test_clients_are_filtered_sorted_and_paged(server, mosquitto, unique):
    names = sorted(unique(kind) for kind in ("beta", "alpha", "gamma"))
    for number, name in enumerate(names):
        with device(mosquitto, name) as made:
            await asyncio.to_thread(made.register, 3600 + number, bindingMode="UQ" if number == 1 else "U")
    async with server.session.get(server.url + "/api/clients?sort=-endpoint&limit=2") as response:
        assert [client["endpoint"] for client in await response.json()] == names[:0:-1]
        assert response.headers["X-Total-Count"] == "3"
        following = response.links["next"]["url"]
    async with server.session.get(following) as response:
        assert [client["endpoint"] for client in await response.json()] == names[:1]
    for query, count in [
        ("filter=alph", 1), ("online=true", 3), ("online=false", 0), ("profile=oma", 0), ("object=3303", 3),
        ("object=5", 0), ("sleeping=false", 3), ("limit=1&offset=5", 0),
    ]:  # fmt: skip
        assert len((await server.get(f"/api/clients?{query}"))[1]) == count, query
    for query in ("sort=colour", "limit=0", "online=maybe", "object=-1", "offset=x"):
        assert (await server.get(f"/api/clients?{query}"))[0] == 400, query


async def test_models_sends_and_latest_values(server, plain):
    for number in range(3):
        plain.say("send", {"values": {"/3303/0/5700": 20 + number}, "seq": number, "token": "t"})
        await asyncio.to_thread(plain.hears, "ack/send")
    base = f"/api/clients/{plain.name}"
    _, sends = await server.get(f"{base}/sends?limit=2")
    assert [event["data"]["seq"] for event in sends] == [2, 1]
    _, latest = await server.get(f"{base}/values")
    assert {entry["path"]: entry["value"] for entry in latest}["/3303/0/5700"] == "22"
    _, models = await server.get(f"/api/objectspecs/{plain.name}")
    assert [model["id"] for model in models] == [3, 3303]
    assert models[1]["resourcedefs"][-1] | {"units": ""} == {
        "id": 6050, "name": "Fractional Timestamp", "operations": "R", "instancetype": "single",
        "mandatory": False, "type": "float", "range": "0..1", "units": "", "description": "",
    }  # fmt: skip
    assert len((await server.get("/api/objectspecs"))[1]) >= 26
    for path in (f"{base}x/values", f"{base}x/sends", f"{base}x/3/history", "/api/objectspecs/nobody"):
        assert (await server.get(path))[0] == 404


async def test_what_the_strict_binding_cannot_say_is_refused_here(mosquitto, tmp_path, unique):
    async with running_server(mosquitto, tmp_path / "s.db", lwm2m_extensions=False) as server:
        with oma_device(mosquitto, unique("oma")) as made:
            await asyncio.to_thread(made.register)
            made.reply = lambda request: {18: 204}
            base = f"/api/clients/{made.name}/3303/0/5700/attributes"
            for query, field in [("lt=5", "lt"), ("pmin", "pmin"), ("con=1", "con")]:
                status, body = await server.call("PUT", f"{base}?{query}")
                assert (status, body["field"]) == (400, field)
                assert "not expressible over MQTT" in body["allowed"]
            assert (await server.call("PUT", f"{base}?gt=5"))[0] == 200
            for query in ("gt=x", "pmin=-1", "", "colour=1", "edge=2"):
                assert (await server.call("PUT", f"{base}?{query}"))[0] == 400
            assert len(made.requests) == 1
