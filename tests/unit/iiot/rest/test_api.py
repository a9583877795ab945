import asyncio
import io
import json
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, Field
from yarl import URL

from iiot.errors import IiotError, InvalidValueError, SettingsError
from iiot.rest import BODY, PARAMETERS, Access, Answer, Api, ApiSettings, RawBody, Route, app, make_api
from iiot.rest.parameters import check_body
from iiot.telemetry import HealthReport, json_response, problem, serve

TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class AwayError(IiotError):
    pass


class Page(BaseModel):
    model_config = PARAMETERS

    room: Annotated[str, Field(max_length=8)]
    """Which room."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Things on a page."""
    timeout: Annotated[float, Field(gt=0, le=600)] = 5.0
    online: bool | None = None
    kind: Literal["send", "notify"] = "send"
    tag: list[str] = []


class Position(BaseModel):
    model_config = BODY

    position: Annotated[int, Field(ge=0, le=9)]
    note: str = ""


class Thing(BaseModel):
    name: str
    parts: list["Thing"] = []


async def show(_, wanted: Page):
    return json_response(wanted.model_dump())


async def move(_, wanted: Page, body: Position):
    return json_response({"room": wanted.room, **body.model_dump()})


async def store(request):
    return web.Response(text=(await request.read()).decode()[:20])


async def fail(request):
    raise {"away": AwayError("far away"), "value": InvalidValueError("path", "x" * 500, "a path")}[
        request.match_info["how"]
    ]


async def name(request):
    return json_response(request.match_info["name"])


async def watch(_):
    return json_response("watching")


ROUTES = (
    Route("GET", "/api/rooms/{room}", show, "Rooms", {200: Answer("Page", dict[str, Any])}, Page),
    Route("PUT", "/api/rooms/{room}", move, "Move", {200: Answer("Done", Thing)}, Page, Position),
    Route(
        "POST", "/api/store", store, "Store", {200: Answer("Stored")}, max_body=2_000_000,
        body=RawBody({"text/plain": str, "application/json": {"type": "object"}}, "What to store"),
    ),
    Route("GET", "/api/fail/{how}", fail, "Fail", {204: Answer("Never")}, errors={503: "Away"}),
    Route("GET", "/api/names/{name:.+}", name, "Name", {200: Answer("It", str)}, description="Any."),
    Route("GET", "/api/watch", watch, "Watch", {200: Answer("Events")}, streams=True),
)  # fmt: skip
EXAMPLE = Api("Example", "An API to test with.", ROUTES, {AwayError: 503})


@asynccontextmanager
async def running(access=None):
    health = HealthReport(healthy=True, details={"active_devices": 5})
    application = make_api(CollectorRegistry(), lambda: health, EXAMPLE, access or Access())
    async with (
        serve(application, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


@pytest.fixture
async def client():
    async with running() as session:
        yield session


async def answer(client, method, path, **options):
    async with client.request(method, path, **options) as response:
        text = await response.text()
        is_json = text and "json" in response.content_type
        return response.status, json.loads(text) if is_json else text


async def test_parameters_arrive_with_their_types(client):
    asked = "/api/rooms/r1?limit=7&timeout=0.5&online=true&kind=notify&tag=a&tag=b&unknown=1"
    assert await answer(client, "GET", asked) == (200, {
        "room": "r1", "limit": 7, "timeout": 0.5, "online": True, "kind": "notify", "tag": ["a", "b"],
    })  # fmt: skip
    assert (await answer(client, "GET", "/api/rooms/r1"))[1]["limit"] == 100


@pytest.mark.parametrize(
    ("asked", "field", "value", "allowed"),
    [
        ("r1?limit=0", "limit", "0", "an integer from 1 to 1000"),
        ("r1?limit=many", "limit", "many", "an integer from 1 to 1000"),
        ("r1?limit=", "limit", "", "an integer from 1 to 1000"),
        ("r1?limit=1" + "0" * 5000, "limit", "1" + "0" * 99, "an integer from 1 to 1000"),
        ("r1?timeout=nan", "timeout", "nan", "a number above 0, at most 600"),
        ("r1?timeout=inf", "timeout", "inf", "a number above 0, at most 600"),
        ("r1?online=maybe", "online", "maybe", "true or false"),
        ("r1?kind=other", "kind", "other", "send, notify"),
        ("a-long-room-name", "room", "a-long-room-name", "text of 0 to 8 characters"),
    ],
)
async def test_a_bad_parameter_names_field_value_and_what_is_allowed(client, asked, field, value, allowed):
    status, body = await answer(client, "GET", f"/api/rooms/{asked}")
    assert status == 400
    assert (body["field"], body["value"], body["allowed"]) == (field, value, allowed)
    assert body["status"] == 400


@pytest.mark.parametrize(
    ("body", "field", "allowed"),
    [
        ("{", "body", None),
        (b"\xff", "body", None),
        ("[" * 100_000, "body", None),
        ("null", "body", "a JSON object with position, note"),
        ("{}", "position", "an integer from 0 to 9; required"),
        ('{"position": "5"}', "position", "an integer from 0 to 9"),
        ('{"position": true}', "position", "an integer from 0 to 9"),
        ('{"position": 10}', "position", "an integer from 0 to 9"),
        ('{"position": 5, "more": 1}', "more", "one of position, note"),
        ('{"position": 5, "note": "\\ud800"}', "body", None),
    ],
)
async def test_a_bad_body_names_what_is_wrong(client, body, field, allowed):
    status, told = await answer(client, "PUT", "/api/rooms/r1", data=body)
    assert (status, told["field"], told.get("allowed")) == (400, field, allowed)


async def test_a_good_body_arrives(client):
    status, body = await answer(client, "PUT", "/api/rooms/r1", data='{"position": 5}')
    assert (status, body) == (200, {"room": "r1", "position": 5, "note": ""})


async def test_errors_of_handlers_get_their_status(client):
    status, body = await answer(client, "GET", "/api/fail/away")
    assert (status, body["detail"]) == (503, "far away")
    status, body = await answer(client, "GET", "/api/fail/value")
    assert (status, body["field"], len(body["value"])) == (400, "path", 100)


async def test_names_keep_their_slashes(client):
    assert (await answer(client, "GET", "/api/names/Sensors/Temperature"))[1] == "Sensors/Temperature"


@pytest.mark.parametrize(("path", "size", "status"), [
    ("/api/store", 2_000_000, 200), ("/api/store", 2_000_001, 413), ("/api/rooms/r1", 1_048_577, 413),
])  # fmt: skip
async def test_each_route_bounds_its_body(client, path, size, status):
    method = "POST" if path == "/api/store" else "PUT"
    assert (await answer(client, method, path, data=io.BytesIO(bytes(size))))[0] == status


async def test_a_body_that_does_not_come_is_given_up(client, monkeypatch):
    monkeypatch.setattr(app, "BODY_TIMEOUT", 0.05)

    url = client._base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"PUT /api/rooms/r1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{")
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 5)
    writer.write(b"}")
    writer.close()
    await writer.wait_closed()


async def test_head_is_served_where_get_is(client):
    assert (await answer(client, "HEAD", "/api/rooms/r1"))[0] == 200
    assert (await answer(client, "HEAD", "/api/watch"))[0] == 405


async def test_without_a_token_everything_is_open_and_health_says_so(client):
    assert (await answer(client, "POST", "/api/store", data="x"))[0] == 200
    _, health = await answer(client, "GET", "/api/health")
    assert (health["api_writes"], health["api_reads"], health["active_devices"]) == ("open", "open", 5)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_pages_of_other_sites_may_not_write_or_watch(client, origin):
    for method, path in (("POST", "/api/store"), ("GET", "/api/watch")):
        status, body = await answer(client, method, path, data="x", headers={"Origin": origin})
        assert (status, body["field"], body["value"]) == (403, "Origin", origin)
    own = {"Origin": str(client._base_url.origin())}
    assert (await answer(client, "POST", "/api/store", data="x", headers=own))[0] == 200


async def test_writes_need_the_token():
    async with running(Access(TOKEN)) as client:
        assert (await answer(client, "GET", "/api/rooms/r1"))[0] == 200
        async with client.post("/api/store", data="x") as response:
            assert (response.status, response.content_type) == (401, "application/problem+json")
            assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'
        for header in ("Bearer wrong", "Bearer ", "Bearer " + "é" * 20, f"Basic {TOKEN}", TOKEN):
            status, _ = await answer(
                client, "POST", "/api/store", data="x", headers={"Authorization": header}
            )
            assert status == 401, header
        async with client.post("/api/store", data="x", headers={"Authorization": "Bearer wrong"}) as response:
            assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
        foreign = {**BEARER, "Origin": "http://elsewhere.example"}
        assert (await answer(client, "POST", "/api/store", data="x", headers=foreign))[0] == 200
        lower = {"Authorization": f"bearer {TOKEN}"}
        assert (await answer(client, "POST", "/api/store", data="x", headers=lower))[0] == 200
        _, health = await answer(client, "GET", "/api/health")
        assert (health["api_writes"], health["api_reads"]) == ("token", "open")


async def test_reads_can_need_it_too_and_streams_take_it_in_the_query():
    async with running(Access(TOKEN, reads_open=False)) as client:
        assert (await answer(client, "GET", "/api/rooms/r1"))[0] == 401
        assert (await answer(client, "GET", "/api/rooms/r1", headers=BEARER))[0] == 200
        assert (await answer(client, "GET", f"/api/rooms/r1?access_token={TOKEN}"))[0] == 401
        assert (await answer(client, "GET", "/api/watch"))[0] == 401
        assert (await answer(client, "GET", f"/api/watch?access_token={TOKEN}"))[0] == 200
        for path in ("/api/health", "/metrics", "/api/docs", "/api/openapi.json"):
            assert (await answer(client, "GET", path))[0] == 200


def test_the_token_comes_from_a_file(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert Access.of(ApiSettings(api_token_file=file)).needs_token(writes=True)
    assert not Access.of(ApiSettings(api_token_file=file)).needs_token(writes=False)
    closed = Access.of(ApiSettings(api_token_file=file, api_reads_open=False))
    assert closed.needs_token(writes=False)
    assert not Access.of(ApiSettings(api_token_file="")).needs_token(writes=True)


@pytest.mark.parametrize("text", ["", "short", "two lines\nof text 123456789", "späße-und-mehr-davon", None])
def test_a_bad_token_file_stops_the_service_without_telling_the_token(tmp_path, text):
    file = tmp_path / "token"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match="API_TOKEN_FILE=") as caught:
        Access.of(ApiSettings(api_token_file=file))
    assert not text or text not in str(caught.value)


def test_reads_cannot_be_closed_without_a_token():
    with pytest.raises(SettingsError, match="API_READS_OPEN"):
        Access.of(ApiSettings(api_reads_open=False))


async def test_the_page_loads_nothing_from_elsewhere(client):
    for path in ("/api/docs", "/api/docs.css", "/api/docs.js"):
        async with client.get(path) as response:
            assert response.status == 200
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert "//" not in (await response.text()).replace("// ", "")


async def test_the_document_describes_the_table(client):
    _, document = await answer(client, "GET", "/api/openapi.json")
    assert document["openapi"] == "3.1.0"
    show_room = document["paths"]["/api/rooms/{room}"]["get"]
    by_name = {parameter["name"]: parameter for parameter in show_room["parameters"]}
    assert by_name["room"] == {
        "name": "room", "in": "path", "required": True, "description": "Which room.",
        "schema": {"type": "string", "maxLength": 8},
    }  # fmt: skip
    assert by_name["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    assert by_name["online"]["schema"] == {"type": "boolean"}
    assert list(show_room["responses"]) == ["200", "400", "421"]
    put = document["paths"]["/api/rooms/{room}"]["put"]
    assert list(put["responses"]) == ["200", "400", "403", "408", "413", "415", "421"]
    schema = put["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Position"}
    assert document["components"]["schemas"]["Thing"]["required"] == ["name"]
    assert list(document["paths"]["/api/store"]["post"]["requestBody"]["content"]) == [
        "text/plain", "application/json",
    ]  # fmt: skip
    assert "/api/names/{name}" in document["paths"]
    assert {"/api/health", "/metrics"} <= set(document["paths"])
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


async def test_the_document_says_what_needs_the_token():
    async with running(Access(TOKEN)) as client:
        paths = (await answer(client, "GET", "/api/openapi.json"))[1]["paths"]
    assert paths["/api/store"]["post"]["security"] == [{"token": []}]
    assert "401" in paths["/api/store"]["post"]["responses"]
    assert "security" not in paths["/api/rooms/{room}"]["get"]


async def test_a_problem_of_a_handler_passes_unchanged(client):
    assert problem(409, "asleep").status == 409
    status, body = await answer(client, "DELETE", "/api/store")
    assert (status, body["status"]) == (405, 405)


ODD_TOKENS = ["Bearer \xe9", "Bearer \u20ac", "Bearer ", "Bearer " + "x" * 5000, "\xe9"]
WATCH = "/api/watch?access_token="


@pytest.mark.parametrize("authorization", ODD_TOKENS)
@pytest.mark.parametrize("path", ["/api/store", WATCH + "%ED%A0%80", WATCH + "%FF"])
async def test_a_token_of_odd_characters_is_only_wrong(authorization, path):
    async with running(Access(TOKEN, reads_open=False)) as client:
        method = "POST" if path == "/api/store" else "GET"
        status, body = await answer(client, method, path, headers={"Authorization": authorization})
    assert (status, body["title"]) == (401, "Unauthorized")


ODD_ORIGINS = ["http://[", "http://[::1", "null", "", "\xe9", "http://\u20ac", "//", "http://a@localhost"]


@pytest.mark.parametrize("origin", ODD_ORIGINS)
async def test_an_origin_that_is_none_is_a_foreign_one(client, origin):
    asked = {"json": {"position": 1}, "headers": {"Origin": origin}}
    status, body = await answer(client, "PUT", "/api/rooms/r1", **asked)
    assert (status, body["field"]) == (403, "Origin")


class Choice(BaseModel):
    model_config = BODY

    seconds: Annotated[int, Field(ge=0)] | Literal[""] | None = None
    steps: list[Position] = []
    labels: dict[str, str] = {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"seconds": -1}, "seconds"), ({"seconds": "x"}, "seconds"), ({"labels": {"a": 1}}, "labels.a"),
        ({"steps": [{"position": 1}, {}]}, "steps.1.position"), ({"steps": {}}, "steps"),
        ({"steps": [{"position": 1, "x": 1}]}, "steps.0.x"), ([], "body"), (None, "body"),
        ({"x" * 900_000: 1}, "x" * 200 + "…"),
    ],
)  # fmt: skip
def test_an_error_names_the_field_as_the_sender_wrote_it(body, field):
    with pytest.raises(InvalidValueError) as caught:
        check_body(Choice, body)
    assert caught.value.field == field
    assert len(str(caught.value)) < 1000


MANY = {
    "unknown keys": b"{" + b",".join(b'"k%d":0' % n for n in range(90_000)) + b"}",
    "labels": b'{"labels":{' + b",".join(b'"k%d":0' % n for n in range(80_000)) + b"}}",
    "steps": b'{"steps":[' + b",".join([b"0"] * 400_000) + b"]}",
    "nested": b'{"steps":[' + b",".join([b"[0]"] * 200_000) + b"]}",
}


@pytest.mark.parametrize("body", MANY.values(), ids=MANY)
async def test_a_body_of_very_many_values_is_refused_before_each_is_judged(client, body):
    status, answered = await answer(client, "PUT", "/api/rooms/r1", data=body)
    assert (status, answered["field"], answered["allowed"]) == (400, "body", "at most 20000 values")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 900 + b"]" * 900, b"[" * 100_000, b'{"position":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"position":' + b"9" * 5000 + b"}", b'{"position":[' + b"9" * 5000 + b"]}",
        b'{"position":"\\ud800"}', b'{"\\ud800":1}', b"\xff", b'{"position":1e999}',
        b'{"position":NaN}', b'{"note":"\\u0000"}', b"",
        b'{"' + b"x" * 900_000 + b'":1}', b'{"position":"' + b"x" * 900_000 + b'"}',
    ],
)  # fmt: skip
async def test_a_hostile_body_is_a_short_400(client, body):
    async with client.put("/api/rooms/r1", data=body) as response:
        text = await response.read()
    assert response.status == 400
    assert len(text) < 2000


HOSTILE = ["9" * 5000, "-" + "9" * 5000, "%00", "%FF", "%ED%A0%80", "%C3%28", "1e999", "nan", "%E2%80%AE", ""]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", ["limit", "timeout", "online", "kind"])
async def test_a_hostile_parameter_is_a_short_400(client, name, value):
    async with client.get(URL(f"{client._base_url}/api/rooms/r1?{name}={value}", encoded=True)) as response:
        text = await response.read()
    assert response.status == 400
    assert len(text) < 2000
