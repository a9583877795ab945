"""The desk with a process that stands for a run, and its API."""

import asyncio
import sys

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from iiot.rest import Access, make_api
from iiot.telemetry import HealthReport
from support import eventually
from testbed.experiments import desk as desk_module
from testbed.experiments.api import experiments_api
from testbed.experiments.desk import Desk
from testbed.experiments.lab import ExperimentError
from testbed.experiments.store import Reports

PYTHON = sys.executable
TOKEN = "0123456789abcdef"
CHILD = """
import json, signal, sys, time
job = json.loads(sys.stdin.readline())
def say(**event): print(json.dumps(event), flush=True)
def end(*_):
    say(type="report", report={"id": job["id"], "title": "t", "verdict": "aborted"})
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
say(type="phase", phase="during", at=1)
MODE
"""
MODES = {
    "quick": 'say(type="report", report={"id": job["id"], "title": "t", "verdict": "passed", **job})',
    "fault": 'say(type="fault", fault=1, kind="stop", part="kafka", seconds=5)\n'
    "answer = sys.stdin.readline() or end()\n"
    'say(type="report", report={"id": job["id"], "title": "t", "verdict": "passed", "answer": answer})',
    "forever": "sys.stdin.read(); end()",
    "crash": "sys.exit(3)",
    "noise": 'print("not JSON", flush=True); time.sleep(60)',
}


@pytest.fixture
def mode(tmp_path, monkeypatch):
    """Chooses what the run's process does."""
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()

    def choose(name):
        child = tmp_path / "child.py"
        child.write_text(CHILD.replace("MODE", MODES[name]))
        program.write_text(f"#!/bin/sh\nexec {PYTHON} {child}\n")
        program.chmod(0o755)

    monkeypatch.setattr(desk_module.sys, "executable", str(program))
    return choose


class FakeHands:
    def __init__(self, error=None, ever=True):
        self.done, self.ended, self.error, self.ever = [], False, error, ever

    async def do(self, number, kind, part, seconds):
        self.done.append((kind, part, seconds))
        if self.error:
            raise ExperimentError(self.error)
        try:
            await asyncio.sleep(0 if self.ever else 60)
        finally:
            self.ended = True


@pytest.fixture
async def desk(tmp_path):
    made = Desk(Reports(tmp_path / "reports"))
    yield made
    await made.close()


async def ended(desk):
    await eventually(lambda: desk.running is None, "the run has ended", 20)
    return desk.reports.get(desk.reports.summaries()[0]["id"])


async def test_a_run_goes_through_its_process_and_leaves_a_report(desk, mode):
    mode("quick")
    run = desk.start("load", {"rate": 7}, None)
    report = await ended(desk)
    assert (report["id"], report["verdict"], report["parameters"]["rate"]) == (run.id, "passed", 7)
    batch = await desk.events.read(run.as_json()["after"], 100)
    assert [event.type for event in batch.events] == ["started", "phase", "ended"]
    assert {event.endpoint for event in batch.events} == {run.id}


@pytest.mark.parametrize(("how", "verdict"), [("crash", "error"), ("noise", "error")])
async def test_a_process_that_fails_leaves_a_report_and_room_for_the_next(desk, mode, how, verdict):
    mode(how)
    run = desk.start("load", {}, None)
    report = await ended(desk)
    assert (report["id"], report["verdict"]) == (run.id, verdict)
    assert report["reason"]
    assert run.process.returncode is not None
    mode("quick")
    desk.start("paths", {}, None)
    assert (await ended(desk))["verdict"] in ("passed", "error")


async def test_an_aborted_run_ends_its_fault_and_its_process(desk, mode):
    mode("fault")
    hands = FakeHands(ever=False)
    run = desk.start("part-stop", {}, hands)
    await eventually(lambda: hands.done, "the fault has begun")
    desk.abort(run.id)
    assert (await ended(desk))["verdict"] == "aborted"
    assert hands.ended
    assert run.process.returncode is not None


@pytest.mark.parametrize(("error", "said"), [(None, "null"), ("the part is gone", '"the part is gone"')])
async def test_the_end_of_a_fault_is_told_to_the_run(desk, mode, error, said):
    mode("fault")
    hands = FakeHands(error)
    desk.start("part-stop", {}, hands)
    assert said in (await ended(desk))["answer"]
    assert hands.done == [("stop", "kafka", 5)]


@pytest.fixture
async def client(desk):
    stopping = asyncio.Event()
    api = experiments_api(desk, None, stopping)
    app = make_api(CollectorRegistry(), lambda: HealthReport(True, {}), api, Access(TOKEN))
    async with TestClient(TestServer(app)) as client:
        client.headers = {"Authorization": f"Bearer {TOKEN}"}
        yield client
        stopping.set()


async def post(client, path, body=None):
    answer = await client.post(f"/api/experiments/runs{path}", json=body or {}, headers=client.headers)
    return answer.status, await answer.json()


async def test_starting_needs_the_token_and_reading_does_not(client):
    assert (await client.post("/api/experiments/runs", json={"name": "load"})).status == 401
    assert (await client.post("/api/experiments/runs/x/abort")).status == 401
    found = await (await client.get("/api/experiments")).json()
    assert found["running"] is None
    assert {one["name"]: one["runnable"] for one in found["experiments"]} == {
        one["name"]: not one["breaks_parts"] for one in found["experiments"]
    }


async def test_one_at_a_time_which_can_be_aborted(client, desk, mode):
    mode("forever")
    status, run = await post(client, "", {"name": "load"})
    assert status == 201
    status, refused = await post(client, "", {"name": "paths"})
    assert (status, refused["detail"]) == (409, "load is running; wait for it, or abort it")
    shown = await (await client.get(f"/api/experiments/runs/{run['id']}")).json()
    assert shown["verdict"] is None
    assert (await post(client, f"/{run['id']}/abort"))[0] == 200
    assert (await ended(desk))["verdict"] == "aborted"
    assert (await post(client, f"/{run['id']}/abort"))[0] == 404
    report = await client.get(f"/api/experiments/runs/{run['id']}/report.md")
    assert report.content_type == "text/markdown"


async def test_bad_orders_say_what_is_allowed(client):
    status, refused = await post(client, "", {"name": "load", "parameters": {"rate": -1}})
    assert (status, refused["field"], refused["allowed"]) == (400, "rate", "a whole number from 1 to 20000")
    assert (await post(client, "", {"name": "nothing"}))[0] == 400
    assert (await post(client, "", {}))[0] == 400


async def test_breaking_containers_is_left_to_the_host(client, desk, mode):
    mode("fault")
    status, refused = await post(client, "", {"name": "part-stop"})
    assert status == 409
    assert "./testbed experiment run part-stop" in refused["detail"]
    status, run = await post(client, "", {"name": "part-stop", "hands": "caller"})
    assert status == 201
    assert (await post(client, f"/{run['id']}/faults", {"fault": 9}))[0] == 404

    async def done():
        return (await post(client, f"/{run['id']}/faults", {"fault": 1, "error": None}))[0] == 200

    await eventually(done, "the fault is awaited")
    assert "null" in (await ended(desk))["answer"]
