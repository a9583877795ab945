"""The API of experiments, which the console passes on. `docs/experiments.md` describes it."""

import asyncio
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from iiot.rest import BODY, PARAMETERS, Answer, Api, EventStreams, Route, StreamParameters
from iiot.telemetry import json_response, problem
from testbed.experiments.catalog import EXPERIMENTS
from testbed.experiments.desk import BusyError, Desk, UnknownRunError
from testbed.experiments.hands import CallerHands, Hands
from testbed.experiments.lab import ExperimentError

RUNS = "/api/experiments/runs"
_DESCRIPTION = "Loads, faults and comparisons with a verdict: one at a time."


class Order(BaseModel):
    """A run to start."""

    model_config = BODY

    name: str
    """Name of the experiment."""
    parameters: dict[str, int | str] = {}
    """What is not given is as by default."""
    hands: Literal["engine", "caller"] = "engine"
    """Who does something to parts: the engine, or the caller, who follows the stream's `fault` events."""


class Done(BaseModel):
    """The end of a fault that the caller did."""

    model_config = BODY

    fault: int
    """Number of the fault, as in its event."""
    error: Annotated[str, Field(max_length=500)] | None = None
    """Why it could not be done."""


class RunPath(BaseModel):
    """Which run."""

    model_config = PARAMETERS

    run: Annotated[str, Field(max_length=80)]


def experiments_api(desk: Desk, hands: Hands | None, stopping: asyncio.Event) -> Api:
    """The API; `hands` does something to parts, None where nobody here may."""
    handlers = _Handlers(desk, hands)
    streams = EventStreams(desk.events, stopping)
    answer = {200: Answer("See docs/experiments.md", dict[str, Any])}
    unknown = {404: "There is no such run"}
    text = {200: Answer("Markdown", str, "text/markdown")}
    routes = (
        Route("GET", "/api/experiments", handlers.catalog, "All experiments, and what runs", answer),
        Route("GET", "/api/experiments/stream", streams.stream_events, "What happens in runs",
              {200: Answer("Server-sent events", str, "text/event-stream")}, StreamParameters,
              streams=True),
        Route("GET", RUNS, handlers.runs, "Runs that have ended, the newest first", answer),
        Route("POST", RUNS, handlers.start, "Start an experiment",
              {201: Answer("The run", dict[str, Any])}, body=Order,
              errors={409: "Another one is running, or it needs hands that are not here"}),
        Route("GET", f"{RUNS}/{{run}}", handlers.run, "The report of a run, or how far it is", answer,
              RunPath, errors=unknown),
        Route("GET", f"{RUNS}/{{run}}/report.md", handlers.text, "The report to read", text, RunPath,
              errors=unknown),
        Route("POST", f"{RUNS}/{{run}}/abort", handlers.abort, "End a run early", answer, RunPath,
              errors=unknown),
        Route("POST", f"{RUNS}/{{run}}/faults", handlers.done, "Report the end of a fault", answer,
              RunPath, body=Done, errors=unknown),
    )  # fmt: skip
    errors: dict[type[Exception], int] = {BusyError: 409, UnknownRunError: 404, ExperimentError: 409}
    return Api("Experiments", _DESCRIPTION, routes, errors)


class _Handlers:
    def __init__(self, desk: Desk, hands: Hands | None) -> None:
        self._desk = desk
        self._hands = hands

    async def catalog(self, _: web.Request) -> web.Response:
        running = self._desk.running
        experiments = [
            {**one.as_json(), "runnable": self._hands is not None or not one.breaks_parts}
            for one in EXPERIMENTS.values()
        ]
        return json_response(
            {"experiments": experiments, "running": None if running is None else running.as_json()}
        )

    async def runs(self, _: web.Request) -> web.Response:
        return json_response({"runs": await asyncio.to_thread(self._desk.reports.summaries)})

    async def start(self, _: web.Request, order: Order) -> web.Response:
        hands: Hands | None = CallerHands() if order.hands == "caller" else self._hands
        experiment = EXPERIMENTS.get(order.name)
        if experiment is not None and experiment.breaks_parts and hands is None:
            command = f"./testbed experiment run {order.name}"
            raise ExperimentError(f"only the host may stop containers: run there {command}")
        return json_response(self._desk.start(order.name, order.parameters, hands).as_json(), 201)

    async def run(self, _: web.Request, where: RunPath) -> web.Response:
        running = self._desk.running
        if running is not None and running.id == where.run:
            return json_response(running.as_json() | {"verdict": None})
        found = await asyncio.to_thread(self._desk.reports.get, where.run)
        if found is None:
            raise UnknownRunError(f"there is no run {where.run}")
        return json_response(found)

    async def text(self, _: web.Request, where: RunPath) -> web.Response:
        found = await asyncio.to_thread(self._desk.reports.text, where.run)
        if found is None:
            raise UnknownRunError(f"there is no report of {where.run}")
        return web.Response(text=found, content_type="text/markdown", charset="utf-8")

    async def abort(self, _: web.Request, where: RunPath) -> web.Response:
        return json_response(self._desk.abort(where.run).as_json())

    async def done(self, _: web.Request, where: RunPath, done: Done) -> web.Response:
        hands = self._desk.current(where.run).hands
        if not isinstance(hands, CallerHands) or not hands.answer(done.fault, done.error):
            raise problem(404, f"nobody waits for fault {done.fault}")
        return json_response({})
