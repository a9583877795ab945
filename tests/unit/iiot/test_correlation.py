import asyncio
import json
import logging

import aiohttp
import pytest
import structlog
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from iiot import correlation, telemetry
from iiot.mqtt.properties import correlation_id, publish_properties
from iiot.telemetry import HealthReport, json_response, make_app, serve

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"X-Request-ID": "order-4711"}, "order-4711"),
        ({"X-Request-ID": "a" * 64}, "a" * 64),
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, TRACE),
        ({"traceparent": f"01-{TRACE}-b7ad6b7169203331-01-later"}, TRACE),
        ({"X-Request-ID": "mine", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, "mine"),
        ({"X-Request-ID": "bad id", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, TRACE),
    ],
)
def test_what_a_request_brings_is_its_id(headers, told):
    assert correlation.of_headers(headers) == told


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Request-ID": ""},
        {"X-Request-ID": "a" * 65},
        {"X-Request-ID": 'x","level":"error'},
        {"X-Request-ID": "line\nbreak"},
        {"X-Request-ID": "ünïcode"},
        {"traceparent": f"ff-{TRACE}-b7ad6b7169203331-01"},
        {"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": TRACE},
    ],
)
def test_without_a_usable_one_each_request_gets_its_own(headers):
    first, second = correlation.of_headers(headers), correlation.of_headers(headers)
    assert correlation.legal(first) == first
    assert first != second
    assert first not in headers.values()


def test_a_block_in_a_block_is_undone():
    with correlation.bound("outer"):
        with correlation.bound("inner"):
            assert correlation.current() == "inner"
        assert correlation.current() == "outer"
    assert correlation.current() == ""


@given(st.from_regex(correlation._LEGAL, fullmatch=True))
def test_mqtt_carries_it_there_and_back(text):
    assert publish_properties() == b"\0"
    with correlation.bound(text):
        assert correlation_id(publish_properties()) == text


@given(st.binary(max_size=200))
def test_hostile_properties_are_no_id(block):
    assert correlation_id(block + b"correlation-id") == ""


def test_other_properties_and_names_are_passed_over():
    name, other = b"correlation-id", b"other"
    pairs = b"".join(
        b"\x26" + len(key).to_bytes(2) + key + len(value).to_bytes(2) + value
        for key, value in ((other, name), (name, b"it"), (name, b"later"))
    )
    block = b"\x01\x01" + pairs  # a payload format indicator first
    assert correlation_id(bytes((len(block),)) + block) == "it"
    forged = b"\x26" + len(name).to_bytes(2) + name + b"\0\x03a\nb"
    assert correlation_id(bytes((len(forged),)) + forged) == ""


@pytest.fixture
async def client():
    app = make_app(CollectorRegistry(), lambda: HealthReport(True))
    log = telemetry.get_logger("test")

    async def work(_):
        log.info("worked")
        await asyncio.sleep(0)
        return json_response({"id": correlation.current()})

    async def crash(_):
        raise RuntimeError("broken")

    async def stream(request):
        response = web.StreamResponse()
        await response.prepare(request)
        return response

    app.router.add_get("/work", work)
    app.router.add_get("/crash", crash)
    app.router.add_get("/stream", stream)
    async with (
        serve(app, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


@pytest.mark.parametrize("path", ["/work", "/crash", "/stream", "/nothing"])
async def test_every_answer_tells_the_id(client, path):
    async with client.get(path, headers={"X-Request-ID": "order-4711"}) as response:
        assert response.headers["X-Request-ID"] == "order-4711"
        body = await response.read()
    if response.status >= 400:
        assert json.loads(body)["correlation_id"] == "order-4711"


async def test_requests_at_the_same_time_keep_their_own(client):
    async def ask(name):
        async with client.get("/work", headers={"X-Request-ID": name}) as response:
            return (await response.json())["id"]

    names = [f"request-{number}" for number in range(50)]
    assert await asyncio.gather(*map(ask, names)) == names
    async with client.get("/work") as response:  # on a connection that was used for another request
        assert (await response.json())["id"] not in names


@pytest.fixture
def logs(capsys):
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


async def test_log_lines_of_a_request_bear_it(logs, client):
    telemetry.configure_logging("service", "INFO", "json")
    async with client.get("/work", headers={"X-Request-ID": "order-4711"}):
        pass
    async with client.get("/crash", headers={"X-Request-ID": "order-4712"}):
        pass
    telemetry.get_logger("test").info("outside")
    told = {line["event"]: line.get("correlation_id") for line in logs()}
    assert told["worked"] == "order-4711"
    assert told["request_failed"] == "order-4712"
    assert told["outside"] is None
