"""`./testbed bench registrations`: how fast the LwM2M server takes devices in, and what each costs."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from testbed.bench.fleet import start_server
from testbed.bench.generator import generate
from testbed.bench.options import AsJson, Runs, conclude, in_good_order
from testbed.bench.parts import get_json, running_parts
from testbed.bench.registering import Registering
from testbed.bench.report import Figures
from testbed.bench.usage import microseconds_per, resident_bytes


class Profile(StrEnum):
    """How LwM2M goes over MQTT."""

    JSON = "json"
    OMA = "oma"


def registrations(
    profile: Annotated[Profile, typer.Option(help="How LwM2M goes over MQTT.")] = Profile.JSON,
    count: Annotated[int, typer.Option(min=10, max=500_000, help="Devices that register in a run.")] = 10_000,
    warmup: Annotated[int, typer.Option(min=0, max=100_000, help="Devices that register before.")] = 2_000,
    window: Annotated[
        int, typer.Option(min=1, max=10_000, help="Registrations without an answer at a time.")
    ] = 500,
    runs: Runs = 5,
    as_json: AsJson = False,
) -> None:
    """Devices register at the LwM2M server over the broker, each for the first time.

    A registration counts when its answer is back at the device: the server answers when it is stored.
    Every run has a new broker and a new server. Exit status 1 when a device was refused or not answered.
    """
    options = {"profile": profile.value, "count": count, "warmup": warmup, "window": window}
    measured: list[Figures] = []
    missing = 0
    with in_good_order("starting broker and server") as say:
        for number in range(runs):
            say(f"run {number + 1} of {runs}")
            figures, lost = _run(profile, count, warmup, window)
            measured.append(figures)
            missing += lost
    conclude(options, measured, missing, as_json=as_json)


def _run(profile: Profile, count: int, warmup: int, window: int) -> tuple[Figures, int]:
    with running_parts() as parts:
        broker = parts.broker()
        port = start_server(parts, broker.plain, tls=False)
        before = resident_bytes(parts.pids["server"])
        load = Registering(broker.plain, profile.value, 0, warmup, count, window)
        result, spent = generate("testbed.bench.registering", load, parts.pids)
        grown = resident_bytes(parts.pids["server"]) - before
        registered = get_json(port, "/api/health")["registrations"]
    answered: int = result["accepted"]
    figures: dict[str, Any] = {
        "registrations_per_s": round(answered / result["seconds"], 1),
        "latency_ms": {name: result[name] for name in ("p50", "p99")},
        "cpu_us": microseconds_per(answered, *spent),
        "bytes": {name: result[f"{name}_bytes"] for name in ("register", "answer")},
        "server_bytes_each": round(grown / max(registered, 1)),
        "registered": registered,
        "refused": result["refused"],
        "missing": result["missing"],
    }
    return figures, result["refused"] + result["missing"] + abs(registered - count - warmup)
