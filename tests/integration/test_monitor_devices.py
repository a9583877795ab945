"""The tabs that ask the services and Prometheus, against servers that answer in their shape."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
from aiohttp import web

from support import free_port
from testbed.monitor.alerts import read_alerts
from testbed.monitor.devices import DeviceLine, read_devices
from testbed.monitor.places import find


@asynccontextmanager
async def serving(path, status, body, headers=None):
    async def answer(request):
        answer.query = dict(request.query)
        return web.json_response(body, status=status, headers=headers)

    app = web.Application()
    app.router.add_get(path, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}", session, answer
    finally:
        await runner.cleanup()


def client(name, **changes):
    return {
        "endpoint": name,
        "online": True,
        "lifetime": 60,
        "lastUpdate": "2026-11-25T09:00:00.000Z",
        **changes,
    }


def node(name, **changes):
    return {
        "edge_node": name,
        "online": True,
        "stale": False,
        "devices_online": 1,
        "devices_total": 2,
        "seen_at": 1_764_061_200_000,
        "gaps": 3,
        "rebirth_requests": 4,
        **changes,
    }


async def devices(clients, nodes, name_part="", status=200):
    async with (
        serving("/api/clients", status, clients, {"X-Total-Count": "5000"}) as (server, session, asked),
        serving("/api/nodes", 200, {"nodes": nodes}) as (host, _, _),
    ):
        places = find(0, {}).model_copy(update={"lwm2m_server_url": server, "sparkplug_host_url": host})
        found = await read_devices(session, places, name_part)
        return found, asked.query


async def test_both_sides_of_a_device_stand_in_one_line():
    clients = [client("a"), client("b", sleeping=True), client("c", online=False)]
    nodes = [node("a"), node("b", online=False), node("d", online=False, stale=True, seen_at=None)]
    found, query = await devices(clients, nodes)
    updated = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
    seen = datetime.fromtimestamp(1_764_061_200, UTC)
    assert found.lines == (
        DeviceLine("a", "online", updated, "born", (1, 2), seen, 3, 4),
        DeviceLine("b", "sleeping", updated, "dead", (1, 2), seen, 3, 4),
        DeviceLine("c", "offline", updated),
        DeviceLine("d", sparkplug="stale", devices=(1, 2), gaps=3, rebirths=4),
    )
    assert [line.good for line in found.lines] == [True, False, False, False]
    assert (found.total, found.problems) == (5000, ())
    assert query == {"limit": "1000", "sort": "endpoint", "filter": ""}


async def test_only_devices_of_the_wanted_name_are_asked_for():
    found, query = await devices([client("temp-1")], [node("temp-1"), node("pressure-1")], "temp")
    assert [line.name for line in found.lines] == ["temp-1"]
    assert query["filter"] == "temp"


async def test_a_side_that_asks_for_the_token_or_is_away_is_named():
    found, _ = await devices({"status": 401}, [node("a")], status=401)
    assert found.problems == ("LwM2M server: reads need the token, which the monitor does not have",)
    assert [line.lwm2m for line in found.lines] == ["-"]
    async with aiohttp.ClientSession() as session:
        nowhere = f"http://127.0.0.1:{free_port()}"
        places = find(0, {}).model_copy(update={"lwm2m_server_url": nowhere, "sparkplug_host_url": nowhere})
        found = await read_devices(session, places, "")
    assert found.problems == ("LwM2M server does not answer", "Sparkplug host does not answer")


async def test_what_fires_comes_first_and_the_critical_before():
    def alert(name, state, severity, at):
        return {
            "labels": {"alertname": name, "severity": severity},
            "annotations": {"summary": f"{name} it is"},
            "state": state,
            "activeAt": f"2026-11-25T09:0{at}:00.123456789Z",
        }

    body = {
        "data": {
            "alerts": [
                alert("A", "pending", "critical", 1),
                alert("B", "firing", "warning", 2),
                alert("C", "firing", "critical", 1),
                alert("D", "firing", "critical", 3),
            ]
        }
    }
    async with serving("/api/v1/alerts", 200, body) as (url, session, _):
        found = await read_alerts(session, url)
    assert [line.name for line in found] == ["D", "C", "B", "A"]
    assert found[0].summary == "D it is"


async def test_without_prometheus_there_are_no_alerts_rather_than_none():
    async with serving("/api/v1/alerts", 500, {}) as (url, session, _):
        assert await read_alerts(session, url) is None
