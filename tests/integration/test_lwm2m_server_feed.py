import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from lwm2m_rig import metrics, running_server
from support import eventually

ROOT = Path(__file__).parent.parent.parent


async def test_event_feed_parameters(server, temperature):
    await asyncio.to_thread(temperature.register)
    _, page = await server.get("/api/events?limit=1")
    latest = page["latest"]
    assert page["next"] == latest == page["events"][-1]["id"]
    for name, value in [
        ("after", "-1"), ("after", "x"), ("after", ""), ("after", "1.5"), ("after", str(2**53)),
        ("after", "9" * 400), ("after", "%D9%A1"), ("limit", "0"), ("limit", "-5"), ("limit", "1e3"),
        ("limit", "9" * 400),
    ]:  # fmt: skip
        status, body = await server.get(f"/api/events?{name}={value}")
        assert (status, body["field"]) == (400, name), (name, value)
        assert {"value", "allowed"} <= body.keys()
    assert (await server.get(f"/api/events?after={latest}&limit=1000000"))[1]["events"] == []
    _, page = await server.get(f"/api/events?after={latest + 1}")
    assert (page["events"], page["reset"], page["next"]) == ([], True, page["oldest"] - 1)


async def test_a_named_consumer_gets_a_window_and_resumes_where_it_stored(server, monkeypatch):
    monkeypatch.setattr("lwm2m_server.ws.WINDOW", 5)
    ids = [server.server.events.append("send", "loud", {}) for _ in range(12)]
    await server.server.events.settled()
    url, consumer = server.url + "/ws/events?consumer=kafka-1", "/api/events/consumers/kafka-1"
    async with server.session.ws_connect(url) as live:
        assert [(await live.receive_json(timeout=5))["id"] for _ in range(5)] == ids[:5]
        with pytest.raises(TimeoutError):
            await live.receive_json(timeout=0.2)
        assert await server.call("PUT", consumer, json={"position": ids[2]}) == (
            200, {"consumer": "kafka-1", "position": ids[2], "lag": 9},
        )  # fmt: skip
        assert [(await live.receive_json(timeout=5))["id"] for _ in range(3)] == ids[5:8]
    async with server.session.ws_connect(url) as again:
        assert [(await again.receive_json(timeout=5))["id"] for _ in range(5)] == ids[3:8]
    assert await server.call("PUT", consumer, json={"position": ids[0]}) == (
        200, {"consumer": "kafka-1", "position": ids[2], "lag": 9},
    )  # fmt: skip
    await server.get(f"/api/events?after={ids[7]}&consumer=poller")
    assert [(c["consumer"], c["lag"]) for c in (await server.get("/api/events/consumers"))[1]] == [
        ("kafka-1", 9), ("poller", 4),
    ]  # fmt: skip
    assert 'lwm2m_events_consumer_lag{consumer="kafka-1"} 9.0' in await metrics(server)
    for body in ({"position": ids[-1] + 1}, {"position": -1}, {"position": "x"}, {"position": True}, {}):
        assert (await server.call("PUT", consumer, json=body))[1]["field"] == "position"
    assert (await server.call("PUT", consumer, json=[]))[1]["field"] == "body"
    assert (await server.call("PUT", "/api/events/consumers/a%20b", json={"position": 1}))[0] == 400
    assert (await server.call("DELETE", consumer))[0] == 204
    assert (await server.get(consumer))[0] == 404


async def test_a_websocket_is_told_what_it_missed(mosquitto, tmp_path):
    async with running_server(mosquitto, tmp_path / "server.db", events_keep=10) as server:
        events = server.server.events
        ids = []
        for _ in range(8):
            ids += [events.append("send", "loud", {}) for _ in range(5)]
            await events.settled()
        assert (await server.call("PUT", "/api/events/consumers/late", json={"position": ids[3]}))[0] == 200
        for query in (f"after={ids[3]}", "consumer=late"):
            async with server.session.ws_connect(f"{server.url}/ws/events?{query}") as socket:
                notice = await socket.receive_json(timeout=5)
                assert notice == {"type": "gap", "after": ids[3], "oldest": ids[30], "latest": ids[39]}
                assert [(await socket.receive_json(timeout=5))["id"] for _ in range(10)] == ids[30:]
        async with server.session.ws_connect(f"{server.url}/ws/events?after={ids[-1] + 5}") as socket:
            assert (await socket.receive_json(timeout=5))["type"] == "reset"
        _, page = await server.get(f"/api/events?after={ids[3]}&limit=1")
        assert page["gap"] == {"from": ids[4], "to": ids[29]}


async def test_the_feed_over_websocket(server, temperature):
    await asyncio.to_thread(temperature.register, seq=1)
    async with server.session.ws_connect(server.url + "/ws/events") as live:
        for seq in range(2, 52):
            temperature.say("send", {"values": {"/3/0/9": 85}, "seq": seq})
        seen = [await asyncio.wait_for(live.receive_json(), 5) for _ in range(50)]
        assert [event["data"]["seq"] for event in seen] == list(range(2, 52))
    cursor = seen[-4]["id"]
    async with server.session.ws_connect(f"{server.url}/ws/events?after={cursor}") as resumed:
        again = [await asyncio.wait_for(resumed.receive_json(), 5) for _ in range(3)]
        assert again == seen[-3:]
    assert [e["id"] for e in await server.events(temperature.name, cursor)] == [e["id"] for e in again]
    await eventually(lambda: server.server.feed.clients == 0, "the server noticed both leave")
    with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
        await server.session.ws_connect(f"{server.url}/ws/events?after=-1")


async def test_a_websocket_that_takes_nothing_is_closed_with_the_reason(server, monkeypatch):
    monkeypatch.setattr("lwm2m_server.ws.SEND_TIMEOUT", 0.3)
    port = int(server.url.rpartition(":")[2])
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", port))
        raw.sendall(
            b"GET /ws/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await eventually(lambda: server.server.feed.clients == 1, "the client is in")
        for _ in range(200):
            server.server.events.append("send", "loud", {"pad": "x" * 100_000})
        await eventually(lambda: server.server.feed.clients == 0, "the client is out", 10)
    assert 'lwm2m_ws_closed_total{reason="slow"} 1.0' in await metrics(server)
