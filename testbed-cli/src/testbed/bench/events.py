"""`./testbed bench events`: the event feed of the LwM2M server over HTTP."""

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from testbed.bench import devices
from testbed.bench.fleet import start_server, wait_until
from testbed.bench.generator import Spent, generate
from testbed.bench.http_load import HttpLoad
from testbed.bench.options import AsJson, Runs, Say, Seconds, Warmup, conclude, in_good_order
from testbed.bench.parts import Parts, get_json, running_parts
from testbed.bench.report import Figures
from testbed.bench.usage import microseconds_per
from testbed.engines.native.errors import PartError
from testbed.finite import finite

PAGE: Final = 1000
_GENERATOR: Final = "testbed.bench.http_load"


def events(
    connections: Annotated[int, typer.Option(min=1, max=1000, help="Kept open where many clients ask.")] = 64,
    rate: Annotated[
        float, typer.Option(callback=finite, min=1, help="Requests per second where the rate is fixed.")
    ] = 4400,
    filled: Annotated[
        int, typer.Option("--events", min=PAGE, max=1_000_000, help="Events in the feed.")
    ] = 20_000,
    seconds: Seconds = 5.0,
    warmup: Warmup = 1.0,
    runs: Runs = 5,
    as_json: AsJson = False,
) -> None:
    """GET /api/events of the LwM2M server, which has one processor core to itself.

    Four loads, one after the other: as many requests for one event as pass over all connections
    (`saturated`); the same at a fixed rate, timed from when each request was due (`offered`); one client
    alone (`alone`); one client that reads the whole feed in pages of 1000 (`pages`). Exit status 1 when a
    request was not answered, or not with 200.
    """
    loads: dict[str, dict[str, Any]] = {
        "saturated": {"connections": connections},
        "offered": {"connections": connections, "rate": rate},
        "alone": {},
        "pages": {"paths": [f"/api/events?limit={PAGE}"], "follow": True},
    }
    cores = sorted(os.sched_getaffinity(0))
    server, rest = (cores[0], cores[1:]) if len(cores) > 1 else (None, None)
    options = {
        "connections": connections, "rate": rate, "events": filled, "warmup": warmup,
        "server_core": server,
    }  # fmt: skip
    measured: list[Figures] = []
    missing = 0
    with in_good_order("starting broker and server") as say, running_parts() as parts:
        port = _server(parts, filled, server, say)
        for number in range(runs):
            figures: dict[str, Figures] = {}
            for name, load in loads.items():
                say(f"run {number + 1} of {runs}: {name}")
                result, spent = generate(
                    _GENERATOR, _load(port, load, warmup, seconds), parts.pids, cores=rest
                )
                missing += result["failed"] + result["unanswered"]
                figures[name] = _figures(result, spent)
            measured.append(figures)
    conclude(options, measured, missing, as_json=as_json)


def _load(port: int, changes: Mapping[str, Any], warmup: float, seconds: float) -> HttpLoad:
    usual: dict[str, Any] = {
        "port": port, "paths": ["/api/events?limit=1"], "connections": 1, "rate": 0.0,
        "expected": '"events":[{', "follow": False, "warmup": warmup, "seconds": seconds,
    }  # fmt: skip
    return HttpLoad(**usual | dict(changes))


def _figures(result: Mapping[str, Any], spent: Spent) -> Figures:
    answers, span = result["answers"], result["seconds"]
    figures: dict[str, Any] = {"requests_per_s": round(answers / span, 1)}
    if result["events"]:
        figures |= {
            "events_per_s": round(result["events"] / span),
            "mb_per_s": round(result["bytes"] / span / 1e6, 1),
        }
    return figures | {
        "latency_ms": {name: result[name] for name in ("p50", "p99", "max")},
        "cpu_us": microseconds_per(answers, *spent),
        "failed": result["failed"],
        "unanswered": result["unanswered"],
    }


def _server(parts: Parts, filled: int, core: int | None, say: Say) -> int:
    """A server whose feed holds this many events of a device."""
    broker = parts.broker()
    port = start_server(parts, broker.plain, tls=False, core=core)
    say("filling the feed")
    asyncio.run(_fill(broker.plain, filled))
    wait_until(lambda: _count(port) >= filled, "server", f"did not take {filled} events")
    newest = get_json(port, "/api/events?limit=1")["events"][0]
    if newest["type"] != "send":
        raise PartError("server", f"did not take the events: {newest}")
    return port


async def _fill(port: int, filled: int) -> None:
    connection = await devices.connect(port, "testbed-bench", lambda message: message.ack())
    for seq in range(filled):
        make = devices.register if seq == 0 else devices.send
        connection.publish(*make("json", 0, seq, time.time_ns() // 1_000_000), qos=1)
        if connection.in_flight > PAGE:
            await asyncio.sleep(0.01)
    await connection.publish_acked(*devices.send("json", 0, filled, time.time_ns() // 1_000_000))
    await connection.disconnect()


def _count(port: int) -> int:
    page = get_json(port, "/api/events?limit=1")
    return int(page["latest"] - page["oldest"] + 1)
