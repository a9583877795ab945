"""Experiments as the console passes them on."""

import pytest

RUNS = "/api/experiments/runs"


async def test_requests_are_passed_on_as_they_are(console, part):
    fake, url = await part()
    fake.answers["/api/experiments"] = {"experiments": [], "running": None}
    fake.answers[RUNS] = {"id": "a"}
    async with console(experiments_url=url) as client:
        assert (await (await client.get("/api/experiments")).json())["running"] is None
        headers = {"Authorization": "Bearer abc"}
        answer = await client.post(RUNS, json={"name": "load"}, headers=headers)
        assert await answer.json() == {"id": "a"}
    assert [(method, path) for method, path, _, _ in fake.asked] == [
        ("GET", "/api/experiments"),
        ("POST", RUNS),
    ]
    assert fake.asked[1][2]["Authorization"] == "Bearer abc"
    assert fake.asked[1][3] == '{"name": "load"}'


async def test_events_come_as_the_desk_sends_them(console, part):
    fake, url = await part()
    fake.answers["/api/experiments/stream"] = (
        'retry: 2000\n\nid: 1\nevent: note\ndata: {"type":"note","data":{"text":"x"}}\n\n'
    )
    async with console(experiments_url=url) as client:
        answer = await client.get("/api/experiments/stream?endpoint=a&after=5")
        text = await answer.text()
    assert 'event: event\ndata: {"type":"note","data":{"text":"x"}}\n\n' in text
    assert "ended its stream" in text
    assert fake.asked[0][1] == "/api/experiments/stream?endpoint=a&after=5"


@pytest.mark.parametrize("path", ["/api/experiments", RUNS, f"{RUNS}/a", f"{RUNS}/a/report.md"])
async def test_a_desk_that_is_away_is_named(console, path):
    async with console() as client:
        answer = await client.get(path)
        assert answer.status == 502
        assert (await answer.json())["part"] == "testbed-exporter"


async def test_starting_and_aborting_need_the_token_and_the_same_origin(console, part, tmp_path):
    fake, url = await part()
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    async with console(experiments_url=url, api_token_file=str(token)) as client:
        for path in (RUNS, f"{RUNS}/a/abort", f"{RUNS}/a/faults"):
            assert (await client.post(path, json={})).status == 401
            origin = {"Origin": "http://evil.example", "Authorization": "Bearer 0123456789abcdef"}
            assert (await client.post(path, json={}, headers=origin)).status == 403
    assert not fake.asked


async def test_the_desk_is_no_box_of_the_overview(console):
    async with console() as client:
        found = await (await client.get("/api/overview")).json()
        assert "testbed-exporter" not in found["parts"]
        assert "prometheus" in found["parts"]
