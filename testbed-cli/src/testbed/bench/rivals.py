"""`./testbed bench bridges`: our bridge beside others, on the same load, in one run."""

import asyncio
import importlib.util
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import orjson
import typer
import yaml
from rich.console import Console
from rich.table import Table

from iiot.kafka import TopicSpec, ensure_topics
from testbed.bench.load import RAW_PREFIX, STAMP, Load
from testbed.bench.measure import Run, measure, median, settle
from testbed.bench.options import AsJson, Runs, Seconds, Settle, Warmup, in_good_order
from testbed.bench.parts import Parts, free_ports, running_parts
from testbed.bench.report import machine
from testbed.bench.rig import RAW_TOPIC, Rig, running_rig
from testbed.connect.engine import find_program
from testbed.engines.native.process import Command

FILTER: Final = f"{RAW_PREFIX}/+"
PROMISES: Final = {
    "mqtt-redpanda-bridge": "acknowledged after Kafka, order per device",
    "paho-mqtt": "acknowledged after Kafka, order per device",
    "redpanda-connect": "acknowledged when read, before Kafka; order per device",
    "redpanda-connect, out of order": "acknowledged when read, before Kafka; no order",
}
"""What each of them promises for QoS 1. Redpanda Connect's `mqtt` input leaves acknowledging to its client
library, which does it as soon as the pipeline has taken the message."""

OURS: Final = "mqtt-redpanda-bridge"
READY: Final = b"subscribed"
"""What `paho_bridge` says when it receives."""


def bridges(
    payload: Annotated[int, typer.Option(min=STAMP.size, max=65_536, help="Bytes of a payload.")] = 120,
    topics: Annotated[int, typer.Option(min=1, max=65_536, help="MQTT topics, so devices and keys.")] = 100,
    partitions: Annotated[int, typer.Option(min=1, max=1_000, help="Partitions of the Kafka topic.")] = 6,
    rate: Annotated[int, typer.Option(min=0, help="Messages per second; 0: as many as pass.")] = 0,
    seconds: Seconds = 10.0,
    warmup: Warmup = 5.0,
    settling: Settle = 90.0,
    runs: Runs = 3,
    only: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
    as_json: AsJson = False,
) -> None:
    """MQTT to Kafka through our bridge, Redpanda Connect and a Python bridge on paho-mqtt, side by side.

    Each gets a broker and a Kafka of its own and the same load: QoS 1, idempotent producer, acks=all,
    key = device. Redpanda Connect takes part when `redpanda-connect` or `rpk` with its plugin is on PATH.
    """
    if unknown := set(only or ()) - PROMISES.keys():
        raise typer.BadParameter(f"--only {unknown.pop()}: must be one of {', '.join(PROMISES)}")
    measured: dict[str, list[Run]] = {}
    lost: dict[str, int] = {}
    with in_good_order("looking for bridges") as say:
        installed = _rivals()
        chosen = [name for name in installed if not only or name in only]
        for name in chosen:
            say(f"starting {name}")
            with installed[name](partitions) as rig:
                load = Load(rig.mqtt_port, "raw", payload, topics, 0, rate)
                say(f"{name}: warming Kafka up")
                lost[name] = settle(rig, load, partitions=partitions, limit=settling)
                for number in range(runs):
                    say(f"{name}: run {number + 1} of {runs}")
                    run = measure(rig, load, partitions=partitions, warmup=warmup, seconds=seconds)
                    measured.setdefault(name, []).append(run)
    absent = [name for name in PROMISES if name not in installed and (not only or name in only)]
    if as_json:
        options = {"payload": payload, "topics": topics, "partitions": partitions, "rate": rate}
        result = {
            "options": options,
            "machine": machine(),
            "bridges": {
                name: {"promise": PROMISES[name], "median": median(of)} for name, of in measured.items()
            },
            "absent": absent,
            "runs": measured,
        }
        typer.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    else:
        Console().print(_table(measured))
        for name in absent:
            typer.echo(f"left out: {name} (not installed)", err=True)
    if lost.get(OURS) or any(run.missing for run in measured.get(OURS, ())):
        raise typer.Exit(1)


def _rivals() -> dict[str, Callable[[int], Any]]:
    """Those that are installed, by name."""
    found: dict[str, Callable[[int], Any]] = {OURS: _ours}
    if importlib.util.find_spec("paho"):
        found["paho-mqtt"] = _paho
    if find_program():
        found["redpanda-connect"] = lambda partitions: _connect(partitions, in_flight=1)
        found["redpanda-connect, out of order"] = lambda partitions: _connect(partitions, in_flight=64)
    return found


def _ours(partitions: int) -> Any:
    return running_rig(form="raw", partitions=partitions, receive_maximum=4_000, tls=False)


@contextmanager
def _paho(partitions: int) -> Iterator[Rig]:
    with running_parts() as parts:
        mqtt, brokers = _surroundings(parts, partitions)
        module = ("-m", "testbed.bench.paho_bridge", str(mqtt), FILTER, brokers, RAW_TOPIC)
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        log = parts.directory / "bridge.log"
        command = Command((sys.executable, *module), parts.directory, environment)
        parts.program("bridge", command, lambda: READY in log.read_bytes())
        yield Rig(mqtt, brokers, parts.pids)


@contextmanager
def _connect(partitions: int, in_flight: int) -> Iterator[Rig]:
    program = find_program() or []
    with running_parts() as parts:
        mqtt, brokers = _surroundings(parts, partitions)
        (http,) = free_ports(1)
        config = parts.directory / "connect.yaml"
        config.write_text(yaml.safe_dump(_configuration(mqtt, brokers, http, in_flight)))
        parts.program("bridge", Command((*program, str(config)), parts.directory), lambda: _is_ready(http))
        yield Rig(mqtt, brokers, parts.pids)


def _surroundings(parts: Parts, partitions: int) -> tuple[int, str]:
    """A broker, and a Kafka with the topic."""
    mqtt, brokers = parts.broker().plain, parts.kafka()
    asyncio.run(ensure_topics(brokers, [TopicSpec(RAW_TOPIC, partitions)]))
    return mqtt, brokers


def _configuration(mqtt: int, brokers: str, http: int, in_flight: int) -> dict[str, Any]:
    """Redpanda Connect's configuration; more than one batch in flight gives up the order."""
    return {
        "http": {"address": f"127.0.0.1:{http}"},
        "logger": {"level": "WARN"},
        "input": {
            "mqtt": {
                "urls": [f"tcp://127.0.0.1:{mqtt}"],
                "client_id": "bench-connect",
                "topics": [FILTER],
                "qos": 1,
                "clean_session": False,
            }
        },
        "pipeline": {"threads": 1},
        "output": {
            "redpanda": {
                "seed_brokers": [brokers],
                "topic": RAW_TOPIC,
                "key": '${! metadata("mqtt_topic").re_find_all("[^/]+").index(1) }',
                "acks": "all",
                "idempotent_write": True,
                "compression": "none",
                "max_in_flight": in_flight,
                "batching": {"count": 500, "period": "5ms"},
            }
        },
    }


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _table(measured: dict[str, list[Run]]) -> Table:
    table = Table(
        "bridge", "msg/s", "µs/msg", "broker", "Kafka", "MB", "p50 ms", "p99 ms", "missing", "promise"
    )
    for name, runs in measured.items():
        figures = median(runs)
        cpu, latency = figures["cpu_us"], figures["latency_ms"]
        table.add_row(
            name,
            f"{figures['rate']:,.0f}",
            *(f"{cpu[part]:.1f}" for part in ("bridge", "broker", "kafka")),
            f"{figures['bridge_rss_mb']:.0f}",
            str(latency["p50"]),
            str(latency["p99"]),
            str(figures["missing"]),
            PROMISES[name],
        )
    return table
