"""The LwM2M server's API against its own OpenAPI document, with a device behind it."""

import asyncio

import pytest

from lwm2m_rig import device, running_server
from schemathesis_run import find_faults

TOKEN = "a-token-for-this-test"
ENDLESS = ("/ws/events", "/api/events/stream", "/api/event")


@pytest.fixture
async def server(mosquitto, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    async with running_server(mosquitto, tmp_path / "s.db", api_token_file=tmp_path / "token") as client:
        yield client


# An instance id may be any word in the eyes of the router, so more methods are told than the document has.
OVERLAPPING = ("unsupported_method", "allow_header_conformance")


def obliging(token, command):
    """A device that does all it is told, and whose tree is one resource."""
    path = command.get("path", "/")
    match command["operation"]:
        case "read" | "observe" if path.startswith("/3/0/9"):
            return {"code": "2.05", "values": {path: 85}}
        case "read" | "observe" if path in ("/3", "/3/0"):
            return {"code": "2.05", "values": {"/3/0/9": 85}}
        case "read" | "observe":
            return {"code": "4.04"}
        case "read-composite" | "observe-composite" | "cancel-observe":
            return {"code": "2.05", "values": {}}
        case "discover":
            return {"code": "2.05", "links": [{"path": path}]}
        case "create":
            return {"code": "2.01", "location": "/3/1"}
        case "delete":
            return {"code": "2.02"}
        case _:
            return {"code": "2.04"}


@pytest.mark.parametrize("exists", [True, False])
async def test_no_request_breaks_the_server_or_its_promises(mosquitto, server, unique, tmp_path, exists):
    name = unique("rest")
    # A device needs a moment to answer, whatever time a random request leaves it.
    known = {"query.timeout": 5}
    if exists:
        ids = {"object": 3, "instance": 0, "resource": 9, "resource_instance": 0}
        known |= {"path.endpoint": name} | {f"path.{level}": number for level, number in ids.items()}
    with device(mosquitto, name) as made:
        made.answer = obliging
        await asyncio.to_thread(made.register)
        faults = await find_faults(
            tmp_path,
            server.url,
            known=known,
            systematic=exists,
            exclude=ENDLESS,
            skip=OVERLAPPING,
            token=TOKEN,
        )
    assert not faults, faults


async def test_writes_need_the_token(server):
    path = "/api/events/consumers/someone"
    async with server.session.put(server.url + path, json={"position": 0}) as response:
        assert (response.status, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert (await server.call("PUT", path, json={"position": 0}, headers=bearer))[0] == 200
    assert (await server.get(path))[0] == 200


async def test_events_are_streamed_and_resumed(server):
    log = server.server.events
    first = log.append("registered", "device-a", {})
    url = f"{server.url}/api/events/stream?endpoint=device-a&after={first - 1}"
    assert await _next_id(server, url) == first
    log.append("send", "device-b", {})
    second = log.append("send", "device-a", {})
    assert await _next_id(server, url, **{"Last-Event-ID": str(first)}) == second


async def _next_id(server, url, **headers):
    async with asyncio.timeout(10), server.session.get(url, headers=headers) as response:
        text = await response.content.readuntil(b"data: ")
    return int(text.rpartition(b"id: ")[2].split()[0])
