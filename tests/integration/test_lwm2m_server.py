import asyncio
import signal
import time
from pathlib import Path

import aiohttp
import paho.mqtt.client as paho
import pytest

from lwm2m_rig import Device, device, metrics, running_server, spawn_server
from support import eventually, free_port

ROOT = Path(__file__).parent.parent.parent


def tree(token, command):
    """How the test's device answers commands."""
    match command["operation"], command["path"]:
        case "read", "/3/0/9":
            return {"code": "2.05", "values": {"/3/0/9": 85}}
        case "read", "/3/0":
            return {"code": "2.05", "values": {"/3/0/0": "ACME", "/3/0/6": {"0": 1, "1": 5}}}
        case "write", "/1/0/1":
            return {"code": "2.04"} if command["value"] == 60 else {"code": "5.00"}
        case "execute", "/3/0/4":
            return {"code": "2.04"} if command.get("arguments", "") == "0='now'" else {"code": "4.00"}
        case _:
            return {"code": "4.04", "error": "no such resource"}


async def test_a_device_registers_updates_and_leaves(server, temperature):
    acknowledgement = await asyncio.to_thread(temperature.register, seq=1, timestamp=1_795_000_000_000)
    assert acknowledgement == {"code": "2.01"}
    status, shown = await server.get(f"/api/clients/{temperature.name}")
    assert status == 200
    assert (shown["endpoint"], shown["lifetime"], shown["online"]) == (temperature.name, 3600, True)
    assert shown["availableInstances"] == {"3": [0], "3303": [0]}
    assert (await server.get("/api/clients"))[1] == [shown]
    assert (await server.get("/api/health"))[1]["active_devices"] == 1
    temperature.say("update", {"lifetime": 60, "seq": 2, "token": "u1"})
    assert await asyncio.to_thread(temperature.hears, "ack/update") == {"code": "2.04", "token": "u1"}
    temperature.say("send", {"values": {"/3303/0/5700": 24.5}, "seq": 3, "timestamp": 1_795_000_000_001})
    temperature.say("dereg", {"seq": 4})
    assert await asyncio.to_thread(temperature.hears, "ack/dereg") == {"code": "2.02"}
    events = await server.events(temperature.name)
    assert [(e["type"], e["data"]["seq"]) for e in events] == [
        ("registered", 1), ("updated", 2), ("send", 3), ("deregistered", 4),
    ]  # fmt: skip
    assert events[2]["data"] == {
        "values": {"/3303/0/5700": 24.5}, "seq": 3, "timestamp": 1_795_000_000_001,
    }  # fmt: skip
    assert (await server.get(f"/api/clients/{temperature.name}"))[0] == 404


async def test_resources_are_read_written_and_executed(server, temperature):
    await asyncio.to_thread(temperature.register)
    temperature.answer = tree
    base = f"/api/clients/{temperature.name}"
    assert await server.get(f"{base}/3/0/9") == (200, {
        "status": "CONTENT(205)", "valid": True, "success": True, "failure": False,
        "content": {"kind": "singleResource", "id": 9, "type": "INTEGER", "value": "85"},
    })  # fmt: skip
    _, instance = await server.get(f"{base}/3/0")
    assert [r["id"] for r in instance["content"]["resources"]] == [0, 6]
    changed = {"status": "CHANGED(204)", "valid": True, "success": True, "failure": False}
    assert await server.call("PUT", f"{base}/1/0/1", json={"id": 1, "value": "60"}) == (200, changed)
    assert await server.call("PUT", f"{base}/1/0/1", data="60") == (200, changed)
    assert await server.call("POST", f"{base}/3/0/4", data="0='now'") == (200, changed)
    status, refusal = await server.get(f"{base}/9/0/0")
    assert (status, bool(refusal.pop("correlation_id"))) == (404, True)
    assert refusal == {
        "type": "about:blank", "title": "Not Found", "status": 404, "detail": "no such resource",
        "code": "4.04", "codeName": "NOT_FOUND", "endpoint": temperature.name,
    }  # fmt: skip


async def test_requests_that_cannot_succeed(server, temperature):
    await asyncio.to_thread(temperature.register)
    base = f"/api/clients/{temperature.name}"
    started = time.monotonic()
    status, body = await server.get(f"{base}/3/0/9?timeout=0.3")
    assert (status, body["detail"]) == (504, f"{temperature.name} did not answer within 0.3 s")
    assert time.monotonic() - started < 2
    for method, path, options, expected in [
        ("GET", "/api/clients/nobody/3/0/9", {}, 404),
        ("GET", f"{base}/3/0/x", {}, 400),
        ("GET", f"{base}/3/65535", {}, 400),
        ("GET", f"{base}/3/0/9?timeout=-1", {}, 400),
        ("GET", f"{base}/3/0/9?timeout=nan", {}, 400),
        ("PUT", f"{base}/1/0/1", {"data": "soon"}, 400),
        ("PUT", f"{base}/1/0/1", {"data": b"\xff"}, 400),
        ("PUT", f"{base}/1/0/1", {"data": "{", "headers": {"Content-Type": "application/json"}}, 400),
        ("PUT", f"{base}/1", {"data": "60"}, 405),
        ("POST", f"{base}/3/0", {}, 400),
        ("POST", f"{base}/3/0/4", {"data": "x" * 5000}, 400),
        ("DELETE", f"{base}/3/0/4", {}, 405),
        ("GET", "/api/nothing", {}, 404),
    ]:
        status, body = await server.call(method, path, **options)
        assert (status, body["status"]) == (expected, expected), (method, path, body)


async def test_malformed_messages_are_answered_and_harm_nobody(server, temperature):
    for kind, body, field in [
        ("reg", {"lifetime": -1}, "lifetime"),
        ("reg", {"lifetime": 60, "endpoint": "someone-else"}, "endpoint"),
        ("send", "{not json", "payload"),
        ("update", b"\xff\xfe", "payload"),
        ("send", "x" * 300_000, "payload"),
    ]:
        temperature.say(kind, body)
        ack = await asyncio.to_thread(temperature.hears, f"ack/{kind}")
        assert ack["error"]["field"] == field
    temperature.say("dereg")
    assert (await asyncio.to_thread(temperature.hears, "ack/dereg"))["code"] == "4.04"
    assert await server.kinds(temperature.name) == ["refused"] * 6
    assert (await asyncio.to_thread(temperature.register))["code"] == "2.01"


async def test_a_lifetime_passes(server, temperature):
    await asyncio.to_thread(temperature.register, 1)
    await eventually(lambda: server.server.registry.get(temperature.name) is None, "the registration ends", 5)
    await eventually(lambda: server.kinds(temperature.name), "events")
    await eventually(lambda: server.server.events.pending == 0, "the event is stored")
    assert await server.kinds(temperature.name) == ["registered", "expired"]
    temperature.say("update")
    assert (await asyncio.to_thread(temperature.hears, "ack/update"))["code"] == "4.04"


async def test_births_and_deaths_of_the_edge_node(server, mosquitto, unique):
    name = unique("node")
    made = Device(mosquitto, name, will=f"spBv1.0/IIoT/NDEATH/{name}")
    await asyncio.to_thread(made.register)
    made.vanish()
    await eventually(lambda: server.server.registry.online == 0, "the will arrives")
    _, shown = await server.get(f"/api/clients/{name}")
    assert shown["online"] is False
    status, body = await server.get(f"/api/clients/{name}/3/0/9")
    assert (status, body["ep"], body["delayed"], body["response"]) == (200, name, True, None)
    with device(mosquitto, name) as again:
        again.client.publish(f"spBv1.0/IIoT/NBIRTH/{name}", b"birth", qos=0)
        await eventually(lambda: server.server.registry.online == 1, "the birth arrives")
    await eventually(lambda: server.server.events.pending == 0, "the events are stored")
    assert await server.kinds(name) == ["registered", "offline", "online"]


async def test_repeated_messages_count_once(server, temperature):
    await asyncio.to_thread(temperature.register, seq=10)
    for seq in (11, 12, 11, 12, 10, 13):
        temperature.say("send", {"values": {"/3/0/9": 85}, "seq": seq, "token": str(seq)})
        await asyncio.to_thread(temperature.hears, "ack/send")
    assert [e["data"]["seq"] for e in await server.events(temperature.name)] == [10, 11, 12, 13]


async def test_metrics_count_and_name_no_device(server, temperature):
    await asyncio.to_thread(temperature.register)
    temperature.answer = tree
    await server.get(f"/api/clients/{temperature.name}/3/0/9")
    await server.get("/api/clients/whoever")
    text = await metrics(server)
    for line in (
        "lwm2m_active_devices 1.0",
        'lwm2m_messages_total{operation="register",outcome="accepted"} 1.0',
        'lwm2m_messages_total{operation="update",outcome="refused"} 0.0',
        'lwm2m_commands_total{code="2.05",operation="read"} 1.0',
        'lwm2m_events_total{type="registered"} 1.0',
        'lwm2m_http_requests_total{method="GET",route="/api/clients/{endpoint}",status="404"} 1.0',
    ):
        assert line in text
    assert temperature.name not in text


async def test_retained_and_foreign_messages_are_dropped(mosquitto, tmp_path, unique):
    name = unique("stale")
    with device(mosquitto, name) as made:
        made.say("reg", {"endpoint": name, "lifetime": 60}, retain=True)
        made.client.publish(f"lwm2m/{name}/send", b"{}", qos=1).wait_for_publish(5)
        async with running_server(mosquitto, tmp_path / "server.db") as server:
            dropped = server.server.metrics._foreign.labels("retained")
            await eventually(lambda: dropped._value.get() == 1, "the retained message is dropped")
            assert server.server.registry.get(name) is None
        made.client.publish(f"lwm2m/{name}/reg", b"", qos=1, retain=True).wait_for_publish(5)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_both_versions_of_mqtt(mosquitto, tmp_path, unique, version):
    protocol = paho.MQTTv5 if version == "5" else paho.MQTTv311
    async with running_server(mosquitto, tmp_path / "server.db", mqtt_version=version) as server:
        with device(mosquitto, unique("old"), version=protocol) as made:
            made.answer = tree
            await asyncio.to_thread(made.register)
            status, body = await server.get(f"/api/clients/{made.name}/3/0/9")
            assert (status, body["content"]["value"]) == (200, "85")


async def test_registrations_and_events_survive_a_restart(mosquitto, tmp_path, unique):
    with device(mosquitto, unique("steady")) as made:
        async with running_server(mosquitto, tmp_path / "server.db") as server:
            await asyncio.to_thread(made.register, seq=5)
            _, before = await server.get("/api/clients")
            first = await server.events(made.name)
        async with running_server(mosquitto, tmp_path / "server.db") as server:
            assert (await server.get("/api/clients"))[1] == before
            made.say("send", {"values": {"/3/0/9": 1}, "seq": 5, "token": "1"})
            made.say("send", {"values": {"/3/0/9": 1}, "seq": 6, "token": "2"})
            for _ in range(2):
                assert (await asyncio.to_thread(made.hears, "ack/send"))["code"] == "2.04"
            events = await server.events(made.name)
            assert events[: len(first)] == first
            assert [e["data"]["seq"] for e in events] == [5, 6]


async def test_kill_9_loses_and_repeats_nothing(mosquitto, tmp_path, unique):
    port, log, total = free_port(), tmp_path / "log.txt", 3000
    url = f"http://127.0.0.1:{port}"

    async def page(session, after):
        async with session.get(f"{url}/api/events?limit=1000&after={after}") as response:
            return await response.json()

    async with aiohttp.ClientSession() as session:

        async def poll_until(probe, what):
            async def attempt():
                try:
                    return await probe()
                except aiohttp.ClientError as error:
                    raise AssertionError(log.read_text()[-500:]) from error

            await eventually(attempt, what, seconds=20)

        async def healthy():
            async with session.get(f"{url}/api/health") as response:
                return response.status == 200

        events, process = [], spawn_server(mosquitto, tmp_path / "s.db", port, log)

        async def complete():
            events.extend((await page(session, events[-1]["id"] if events else 0))["events"])
            return [e for e in events if e["data"].get("seq") == total]

        try:
            await poll_until(healthy, "the server is up")
            with device(mosquitto, unique("busy")) as made:
                await asyncio.to_thread(made.register, seq=0)
                for seq in range(1, total + 1):
                    made.say("send", {"values": {"/3/0/9": seq % 100}, "seq": seq})
                    if seq in (700, 1900):
                        await asyncio.sleep(0.05)
                        process.send_signal(signal.SIGKILL)
                        process.wait(5)
                    if seq in (1200, 2300):
                        process = spawn_server(mosquitto, tmp_path / "s.db", port, log)
                    await asyncio.sleep(0.0002)
                await poll_until(complete, "the last message arrives")
        finally:
            process.terminate()
            process.wait(10)
    ids = [event["id"] for event in events]
    assert ids == sorted(set(ids))
    assert [e["data"]["seq"] for e in events] == list(range(total + 1))
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("variable", "value", "status", "text"),
    [
        ("EVENTS_KEEP", "-3", 2, "EVENTS_KEEP='-3'"),
        ("LWM2M_PREFIX", "a/b", 2, "LWM2M_PREFIX='a/b'"),
        ("LWM2M_OBJECTS", "/nonexistent", 2, "LWM2M_OBJECTS='/nonexistent': "),
        ("MODELS_DIR", "/nonexistent", 2, "MODELS_DIR='/nonexistent': "),
        ("DATABASE", "/dev/null/x.db", 1, "/dev/null/x.db"),
    ],
)
def test_what_the_user_must_put_right_is_one_line(mosquitto, tmp_path, variable, value, status, text):
    log = tmp_path / "log.txt"
    process = spawn_server(mosquitto, tmp_path / "s.db", 0, log, **{variable: value})
    try:
        assert process.wait(20) == status
    finally:
        process.kill()
        process.wait()
    assert text in log.read_text()
    assert "Traceback" not in log.read_text()
