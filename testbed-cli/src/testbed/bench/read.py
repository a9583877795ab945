"""`./testbed bench read`: from a REST caller to a device and back, while the fleet sends telemetry."""

import time
from typing import Annotated, Any

import typer

from testbed.bench.fleet import Fleet, reads_of, start_fleet, start_others
from testbed.bench.generator import generate
from testbed.bench.options import AsJson, Runs, Seconds, Warmup, conclude, in_good_order
from testbed.bench.parts import running_parts
from testbed.bench.registrations import Profile
from testbed.bench.report import Figures
from testbed.bench.usage import percent_of
from testbed.finite import finite


def read(
    profile: Annotated[Profile, typer.Option(help="How LwM2M goes over MQTT.")] = Profile.JSON,
    devices: Annotated[int, typer.Option(min=1, max=1000, help="Devices, each at the default rates.")] = 20,
    everything: Annotated[
        bool, typer.Option(help="Run Kafka, the bridge and the Sparkplug host as well.")
    ] = False,
    rate: Annotated[
        float,
        typer.Option(callback=finite, min=0, help="Reads per second; 0: one client that asks again at once."),
    ] = 0,
    seconds: Seconds = 10.0,
    warmup: Warmup = 2.0,
    runs: Runs = 5,
    as_json: AsJson = False,
) -> None:
    """GET /api/clients/{endpoint}/3/0/9, which the device answers over MQTT with TLS.

    Meanwhile every device sends 95 Sparkplug and 5 LwM2M messages per second. The devices are asked in
    turn, with one request on its way at a time. Broker, server and devices are as `./testbed up` starts them,
    access control and certificates included. Exit status 1 when a read brought no value.
    """
    options = {
        "profile": profile.value, "devices": devices, "everything": everything, "rate": rate,
        "warmup": warmup,
    }  # fmt: skip
    measured: list[Figures] = []
    missing = 0
    with in_good_order("starting broker, server and devices") as say, running_parts() as parts:
        fleet = start_fleet(parts, devices, {"LWM2M_PROFILE": profile.value})
        if everything:
            start_others(parts, fleet.broker)
        for number in range(runs):
            say(f"run {number + 1} of {runs}")
            figures, lost = run_reads(fleet, parts.pids, rate, warmup, seconds)
            measured.append(figures)
            missing += lost
    conclude(options, measured, missing, as_json=as_json)


def run_reads(
    fleet: Fleet, pids: dict[str, int], rate: float, warmup: float, seconds: float
) -> tuple[Figures, int]:
    """Read for a while; the figures, and how many reads brought no value."""
    load = reads_of(fleet, rate, warmup, seconds)
    before, started = fleet.sent(), time.monotonic()
    result, spent = generate("testbed.bench.http_load", load, pids)
    after, elapsed = fleet.sent(), time.monotonic() - started
    reads, span = result["answers"], result["seconds"]
    figures: dict[str, Any] = {
        "reads": reads,
        "reads_per_s": round(reads / span, 1),
        "latency_ms": {name: result[name] for name in ("p50", "p99", "max")},
        "sent_per_s": {name: round((after[name] - before[name]) / elapsed, 1) for name in after},
        "cpu_percent": percent_of(span, *spent),
        "failed": result["failed"],
        "unanswered": result["unanswered"],
    }
    return figures, result["failed"] + result["unanswered"]
