"""`./testbed bench host`: thousands of edge nodes at the Sparkplug host."""

import time
from dataclasses import replace
from typing import Annotated, Any, Final

import typer

from testbed.bench.fleet import wait_until
from testbed.bench.generator import generate
from testbed.bench.host_core import CoreLoad
from testbed.bench.options import AsJson, Runs, conclude, in_good_order
from testbed.bench.parts import Parts, get_json, get_text, running_parts
from testbed.bench.plant_load import PlantLoad
from testbed.bench.usage import cpu_of, microseconds_per, resident_bytes
from testbed.finite import finite

_POLL: Final = 0.1
_SETTLE_TIMEOUT: Final = 60.0
_RECEIVED: Final = 'sparkplug_messages_total{type="DDATA"}'
_FAULTS: Final = ("sparkplug_ignored_messages_total", "sparkplug_sequence_gaps_total")
_GENERATOR: Final = "testbed.bench.plant_load"


def host(
    nodes: Annotated[
        int, typer.Option(min=1, max=100_000, help="Edge nodes, each with one device.")
    ] = 10_000,
    metrics: Annotated[int, typer.Option(min=3, max=1000, help="Metrics of each device.")] = 20,
    messages: Annotated[
        int, typer.Option(min=100, max=10_000_000, help="DDATA messages of three metrics in a run.")
    ] = 100_000,
    rate: Annotated[
        float, typer.Option(callback=finite, min=0, help="DDATA per second; 0: as many as pass.")
    ] = 10_000,
    runs: Runs = 5,
    as_json: AsJson = False,
) -> None:
    """Births of all edge nodes, then data of them in turn, over a broker into the host's process.

    `memory` and `births` are measured once. `data`: the whole process, MQTT and metrics included. `core`: the
    state machine alone in a process of its own, from bytes to changed state. Exit status 1 when a message
    did not arrive, or had no effect.
    """
    options = {"nodes": nodes, "metrics": metrics, "messages": messages, "rate": rate}
    measured: list[dict[str, Any]] = []
    missing = 0
    with in_good_order("starting broker and host") as say, running_parts() as parts:
        broker = parts.broker()
        mqtt = parts.mqtt(broker.plain, tls=False, identity="sparkplug-host")
        port = parts.service("host", "sparkplug_host", mqtt)
        say("births")
        load = PlantLoad(broker.plain, nodes, metrics, count=0, first=0, rate=0)
        births = _births(parts, port, load)
        for number in range(runs):
            say(f"run {number + 1} of {runs}")
            load = replace(load, count=messages, first=number * messages, rate=rate)
            data = _data(parts, port, load)
            core, _ = generate("testbed.bench.host_core", CoreLoad(nodes, metrics, messages), {})
            missing += data["missing"] + data["without_effect"] + core.pop("ignored")
            measured.append({"births": births, "data": data, "core": core})
    conclude(options, measured, missing, as_json=as_json)


def _births(parts: Parts, port: int, load: PlantLoad) -> dict[str, Any]:
    before, memory = cpu_of(parts.pids), resident_bytes(parts.pids["host"])
    result, _ = generate(_GENERATOR, load, {})

    def all_online() -> bool:
        health = get_json(port, "/api/health")
        return bool(health["nodes_online"] == health["active_devices"] == load.nodes)

    wait_until(all_online, "host", f"not all of {load.nodes} edge nodes and devices are online")
    seconds = time.monotonic() - result["began"]
    grown = resident_bytes(parts.pids["host"]) - memory
    return {
        "births_per_s": round(result["sent"] / seconds),
        "cpu_us": microseconds_per(result["sent"], before, cpu_of(parts.pids)),
        "host_mb": round(grown / 1e6, 1),
        "host_bytes_each_node": round(grown / load.nodes),
    }


def _data(parts: Parts, port: int, load: PlantLoad) -> dict[str, Any]:
    counted, before = _counters(port), cpu_of(parts.pids)
    result, _ = generate(_GENERATOR, load, {})
    deadline = time.monotonic() + _SETTLE_TIMEOUT
    while (now := _counters(port))[_RECEIVED] - counted[_RECEIVED] < load.count:
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL)
    seconds = time.monotonic() - result["began"]
    received = now[_RECEIVED] - counted[_RECEIVED]
    return {
        "messages_per_s": round(received / seconds),
        "cpu_us": microseconds_per(received, before, cpu_of(parts.pids)),
        "missing": load.count - received,
        "without_effect": sum(now[name] - counted[name] for name in _FAULTS),
    }


def _counters(port: int) -> dict[str, int]:
    """What the host has counted so far."""
    found = dict.fromkeys((_RECEIVED, *_FAULTS), 0)
    for line in get_text(port, "/metrics").splitlines():
        name, _, value = line.rpartition(" ")
        if name in found:
            found[name] = round(float(value))
    return found
