"""`./testbed bench profiles`: the OMA MQTT binding and the JSON profile side by side."""

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from testbed.bench.fleet import Fleet, reads_of, start_fleet
from testbed.bench.generator import generate
from testbed.bench.options import AsJson, Runs, Say, Seconds, Warmup, conclude, in_good_order
from testbed.bench.parts import running_parts
from testbed.bench.registrations import Profile
from testbed.bench.report import Figures
from testbed.bench.usage import cpu_of, microseconds_per
from testbed.bench.wire_size import measure_sizes
from testbed.finite import finite

_NEVER: Final = 86_400
_QUIET: Final[dict[str, object]] = {
    "TELEMETRY_INTERVAL": _NEVER,
    "LWM2M_INTERVAL": 5,
    "LWM2M_UPDATE_EVERY": 100_000,
}


def profiles(
    devices: Annotated[int, typer.Option(min=1, max=1000, help="Devices that send and are read.")] = 20,
    rate: Annotated[
        float, typer.Option(callback=finite, min=1, max=5000, help="Sends per second of all together.")
    ] = 1000,
    seconds: Seconds = 5.0,
    warmup: Warmup = 1.0,
    runs: Runs = 5,
    as_json: AsJson = False,
) -> None:
    """What an operation costs in bytes on the wire and in processor time, by profile.

    Bytes are those of the PUBLISH packets of request and answer, read off the broker once. `send`: devices
    send the values of their sensors, nothing else. `read`: one REST client reads a resource, again and again.
    Exit status 1 when a Send was not accepted or a read brought no value.
    """
    options = {"devices": devices, "rate": rate, "warmup": warmup}
    measured: list[dict[str, Figures]] = [{} for _ in range(runs)]
    missing = 0
    with in_good_order("starting broker, server and devices") as say:
        for profile in Profile:
            missing += _measure(profile, devices, rate, warmup, seconds, measured, say)
    conclude(options, measured, missing, as_json=as_json)


def _measure(
    profile: Profile, devices: int, rate: float, warmup: float, seconds: float,
    measured: list[dict[str, Figures]], say: Say,
) -> int:  # fmt: skip
    """Measure one profile as often as there are runs; how much was missing."""
    missing = 0
    found: list[dict[str, Any]] = []
    with running_parts() as parts:
        fleet = start_fleet(parts, devices, _QUIET | {"LWM2M_PROFILE": profile.value})
        say(f"{profile}: reading the sizes off the broker")
        sizes = asyncio.run(measure_sizes(fleet))
        for number, _ in enumerate(measured, 1):
            say(f"{profile}: reads, run {number} of {len(measured)}")
            figures, lost = _reads(fleet, parts.pids, warmup, seconds)
            found.append({"bytes": sizes, "read": figures})
            missing += lost
    with running_parts() as parts:
        busy = _QUIET | {"LWM2M_PROFILE": profile.value, "LWM2M_INTERVAL": devices / rate}
        fleet = start_fleet(parts, devices, busy)
        for number, figures in enumerate(found, 1):
            say(f"{profile}: sends, run {number} of {len(measured)}")
            figures["send"], lost = _sends(fleet, parts.pids, warmup, seconds)
            missing += lost
    for run, figures in zip(measured, found, strict=True):
        run[profile.value] = figures
    return missing


def _reads(fleet: Fleet, pids: Mapping[str, int], warmup: float, seconds: float) -> tuple[Figures, int]:
    load = reads_of(fleet, 0, warmup, seconds)
    result, spent = generate("testbed.bench.http_load", load, pids)
    figures: dict[str, Any] = {
        "reads_per_s": round(result["answers"] / result["seconds"], 1),
        "p50_ms": result["p50"],
        "cpu_us": microseconds_per(result["answers"], *spent),
    }
    return figures, result["failed"] + result["unanswered"]


def _sends(fleet: Fleet, pids: Mapping[str, int], warmup: float, seconds: float) -> tuple[Figures, int]:
    time.sleep(warmup)
    sent, before, refused = fleet.sent()["lwm2m"], cpu_of(pids), fleet.refused()
    started = time.monotonic()
    time.sleep(seconds)
    count, after, elapsed = fleet.sent()["lwm2m"] - sent, cpu_of(pids), time.monotonic() - started
    figures: dict[str, Any] = {
        "sends_per_s": round(count / elapsed, 1),
        "cpu_us": microseconds_per(count, before, after),
    }
    return figures, fleet.refused() - refused
