import gzip
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from iiot.http_client import open_session
from iiot.telemetry import serve

SOURCES = Path(__file__).parents[3].glob("*/src/**/*.py")


@pytest.fixture
async def url():
    async def answer(request):
        coding = request.query["coding"]
        headers = {"Content-Encoding": coding} if coding else {}
        body = request.headers["Accept-Encoding"].encode() if coding in ("", "identity") else b"x" * 10**7
        return web.Response(body=gzip.compress(body) if coding == "gzip" else body, headers=headers)

    app = web.Application()
    app.router.add_get("/", answer)
    async with serve(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}/?coding="


@pytest.mark.parametrize("coding", ["", "identity"])
async def test_answers_are_asked_for_as_they_are(url, coding):
    async with open_session(headers={"X": "y"}) as session, session.get(url + coding) as answer:
        assert await answer.text() == "identity"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "x"])
async def test_a_compressed_answer_is_an_error(url, coding):
    async with open_session() as session:
        with pytest.raises(aiohttp.ClientPayloadError, match=f"compressed, {coding}"):
            await session.get(url + coding)


def test_every_session_is_opened_the_same_way():
    """The download of firmware does as much itself, and bounds the size."""
    own = {path.name for path in SOURCES if "ClientSession(" in path.read_text()}
    assert own == {"http_client.py", "firmware_download.py"}
