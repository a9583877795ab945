"""The bootstrap interface on a real broker, in both profiles."""

import asyncio

import cbor2

from lwm2m_rig import device, oma_device
from support import eventually

CONFIG = {"delete": ["/1"], "objects": {"1": {"0": {"0": 101, "1": 300}}}}


async def configure(server, name):
    status, body = await server.call("POST", f"/api/bootstrap/{name}", json=CONFIG)
    assert (status, body) == (200, {"endpoint": name, "config": CONFIG, "session": None})


async def finished(server, name):
    _, body = await server.get(f"/api/bootstrap/{name}")
    return body["session"] and body["session"]["state"] != "started" and body["session"]


async def test_a_device_of_the_binding_is_bootstrapped(server, mosquitto, unique):
    with oma_device(mosquitto, unique("oma")) as made:
        request = {1: 0, 2: 1, 4: 112}
        assert (await asyncio.to_thread(made.ask, request, "bs"))[18] == 400
        await configure(server, made.name)
        made.reply = lambda request: {18: {3: 202, 1: 204, 5: 204}[request[1]]}
        assert await asyncio.to_thread(made.ask, {1: 0, 2: 3, 4: 112}, "bs") == {18: 204, 2: 3}
        assert (await eventually(lambda: finished(server, made.name), "the session ends"))[
            "state"
        ] == "finished"
        written = made.requests[1]
        assert [request[1] for request in made.requests] == [3, 1, 5]
        assert (made.requests[0][5], written[5], written[19]) == ("/1", "/1/0", 112)
        assert sum(record.get(2, 0) for record in cbor2.loads(written[7])) == 401
        packed = await asyncio.to_thread(made.ask, {1: 6, 2: 5}, "bs")
        assert (packed[18], packed[19], len(cbor2.loads(packed[7]))) == (205, 112, 2)
        await eventually(lambda: server.server.events.pending == 0, "stored")
        assert await server.kinds(made.name) == ["refused"] + ["bootstrap"] * 3


async def test_a_device_of_the_json_profile_that_fails_a_step(server, mosquitto, unique):
    with device(mosquitto, unique("json")) as made:
        await configure(server, made.name)
        steps = []
        made.answer = lambda token, command: (
            steps.append(command["operation"])
            or {"code": "2.02" if len(steps) == 1 else "4.00", "error": "no"}
        )
        made.say("bootstrap", {"token": "b1"})
        assert await asyncio.to_thread(made.hears, "ack/bootstrap") == {"code": "2.04", "token": "b1"}
        session = await eventually(lambda: finished(server, made.name), "the session ends")
        assert (session["state"], session["path"], session["code"]) == ("failed", "/1/0", "4.00")
        assert steps == ["bootstrap-delete", "bootstrap-write"]
        made.say("bootstrap", {"pack": True})
        assert (await asyncio.to_thread(made.hears, "ack/bootstrap"))["values"] == {
            "/1/0/0": 101,
            "/1/0/1": 300,
        }


ASKING = {"discover": ["/"], "read": ["/1"], **CONFIG, "finish": False}
LINKS = b'</>;lwm2m="1.2",</0/1>;ssid=101;uri="mqtts://b",</1/0>;ssid=101'


async def test_a_session_that_stays_open_answers_discover_and_read(server, mosquitto, unique):
    with oma_device(mosquitto, unique("oma")) as made:
        base = f"/api/bootstrap/{made.name}"
        status, told = await server.get(f"{base}/read")
        assert (status, told["detail"]) == (409, f"{made.name} is in no bootstrap session")
        assert (await server.call("POST", base, json=ASKING))[0] == 200
        answers = {
            1: {18: 204}, 3: {18: 202}, 5: {18: 204}, 4: {18: 205, 19: 40, 7: LINKS},
            2: {18: 205, 19: 112, 7: cbor2.dumps([{-2: "/1/0/", 0: "0", 2: 101}, {0: "1", 2: 300}])},
        }  # fmt: skip
        made.reply = lambda request: answers[request[1]]
        assert await asyncio.to_thread(made.ask, {1: 0, 2: 3, 4: 112}, "bs") == {18: 204, 2: 3}
        session = await eventually(lambda: finished(server, made.name), "the steps end")
        assert session["state"] == "open"
        assert [request[1] for request in made.requests] == [4, 2, 3, 1]
        discovered, read = session["answers"]
        assert discovered["objectLinks"][0] == {
            "url": "/0/1", "attributes": {"ssid": "101", "uri": "mqtts://b"},
        }  # fmt: skip
        assert (read["path"], read["content"]["instances"][0]["resources"][1]["value"]) == ("/1", "300")
        # What the device has beside the object is no answer.
        assert (await server.get(f"{base}/discover?path=/1"))[0] == 502
        answers[4] = {18: 205, 19: 40, 7: b'</>;lwm2m="1.2",</1/0>;ssid=101'}
        _, body = await server.get(f"{base}/discover?path=/1")
        assert made.requests[-1][5] == "/1"
        assert {"url": "/1/0", "attributes": {"ssid": "101"}} in body["objectLinks"]
        _, body = await server.get(f"{base}/read?path=/1/0")
        assert body["content"]["kind"] == "instance"
        for wrong in ("/3", "/1/0/1", "/"):
            assert (await server.get(f"{base}/read?path={wrong}"))[1]["field"] == "read"
        answers[2] = {18: 205, 19: 112, 7: cbor2.dumps([{0: "/3/0/1", 3: "x"}])}
        assert (await server.get(f"{base}/read"))[0] == 502
        assert (await server.call("POST", f"{base}/finish"))[1]["success"] is True
        assert (await server.get(base))[1]["session"]["state"] == "finished"
        assert (await server.get(f"{base}/read"))[0] == 409


async def test_configurations(server):
    await configure(server, "d1")
    assert (await server.get("/api/bootstrap"))[1] == {"d1": CONFIG}
    for name, body, field in [
        ("d1", {"objects": {"x": 1}}, "id below /"),
        ("rd", CONFIG, "device id"),
        ("d1", {"read": ["/3"]}, "read"),
        ("d1", {"discover": ["/1/0"]}, "discover"),
        ("d1", CONFIG | {"finish": 0}, "finish"),
    ]:
        status, told = await server.call("POST", f"/api/bootstrap/{name}", json=body)
        assert (status, told["field"]) == (400, field)
    assert (await server.call("POST", "/api/bootstrap/d1", data="{"))[0] == 400
    assert (await server.call("DELETE", "/api/bootstrap/d1"))[0] == 204
    assert (await server.call("DELETE", "/api/bootstrap/d1"))[0] == 404
    assert (await server.get("/api/bootstrap/d1"))[0] == 404
