"""`./testbed bench bridges`: our bridge beside others, on the same load, in one run."""

import asyncio
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table

from iiot.kafka import TopicSpec, ensure_topics
from testbed.bench.connect_rival import (
    CLEAN,
    FILTER,
    IN_ORDER,
    OUT_OF_ORDER,
    Configuration,
    Rival,
    Tried,
)
from testbed.bench.load import STAMP, Load
from testbed.bench.measure import Run, measure, median, settle
from testbed.bench.options import AsJson, Runs, Seconds, Settle, Warmup, in_good_order
from testbed.bench.parts import Parts, running_parts
from testbed.bench.report import machine
from testbed.bench.rig import RAW_TOPIC, Rig, running_rig
from testbed.connect.engine import find_program
from testbed.engines.native.process import Command

OURS: Final = "mqtt-redpanda-bridge"
PAHO: Final = "paho-mqtt"
CONNECT: Final[dict[str, tuple[Configuration, ...]]] = {
    "redpanda-connect": IN_ORDER,
    "redpanda-connect, out of order": OUT_OF_ORDER,
    "redpanda-connect, clean session": CLEAN,
}
"""Redpanda Connect by what it promises; of each the best configuration takes part."""
PROMISES: Final = {
    OURS: "acknowledged after Kafka, order per device",
    PAHO: "acknowledged after Kafka, order per device",
    "redpanda-connect": "acknowledged when read, before Kafka; order per device",
    "redpanda-connect, out of order": "acknowledged when read, before Kafka; no order",
    "redpanda-connect, clean session": "the same, and nothing is kept while it is away",
}
"""What each of them promises for QoS 1. Redpanda Connect's `mqtt` input leaves acknowledging to its client
library, which does it as soon as the pipeline has taken the message."""

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
    key = device. Redpanda Connect takes part when `redpanda-connect` or `rpk` with its plugin is on PATH:
    several configurations are tried, and the best of those that promise the same is measured.
    """
    if unknown := set(only or ()) - PROMISES.keys():
        raise typer.BadParameter(f"--only {unknown.pop()}: must be one of {', '.join(PROMISES)}")
    conditions = Conditions(payload, topics, rate, partitions, settling)
    measured: dict[str, list[Run]] = {}
    tried: dict[str, list[Tried]] = {}
    lost: dict[str, int] = {}
    with in_good_order("looking for bridges") as say:
        installed = _rivals()
        chosen = [name for name in installed if not only or name in only]
        for name in chosen:
            say(
                f"{name}: trying {len(CONNECT[name])} configurations"
                if name in CONNECT
                else f"starting {name}"
            )
            with installed[name](conditions, tried.setdefault(name, [])) as rig:
                load = conditions.load(rig.mqtt_port)
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
            "tried": {name: [one.as_json() for one in of] for name, of in tried.items() if of},
            "absent": absent,
            "runs": measured,
        }
        typer.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    else:
        _tell(measured, tried)
        for name in absent:
            typer.echo(f"left out: {name} (not installed)", err=True)
    if lost.get(OURS) or any(run.missing for run in measured.get(OURS, ())):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all of them get."""

    payload: int
    topics: int
    rate: int
    partitions: int
    settling: float

    def load(self, mqtt_port: int) -> Load:
        """The load on a broker."""
        return Load(mqtt_port, "raw", self.payload, self.topics, 0, self.rate)


_Start = Callable[[Conditions, list[Tried]], AbstractContextManager[Rig]]
"""Starts a bridge with its surroundings; what was tried to find its best configuration goes into the list."""


def _rivals() -> dict[str, _Start]:
    """Those that are installed, by name."""
    found: dict[str, _Start] = {OURS: _ours}
    if importlib.util.find_spec("paho"):
        found[PAHO] = _paho
    if program := find_program():
        found |= {name: partial(_connect, program, candidates) for name, candidates in CONNECT.items()}
    return found


def _ours(conditions: Conditions, _: list[Tried]) -> AbstractContextManager[Rig]:
    return running_rig(form="raw", partitions=conditions.partitions, receive_maximum=4_000, tls=False)


@contextmanager
def _paho(conditions: Conditions, _: list[Tried]) -> Iterator[Rig]:
    with running_parts() as parts:
        mqtt, brokers = _surroundings(parts, conditions.partitions)
        module = ("-m", "testbed.bench.paho_bridge", str(mqtt), FILTER, brokers, RAW_TOPIC)
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        log = parts.directory / "bridge.log"
        command = Command((sys.executable, *module), parts.directory, environment)
        parts.program("bridge", command, lambda: READY in log.read_bytes())
        yield Rig(mqtt, brokers, parts.pids)


@contextmanager
def _connect(
    program: Sequence[str], candidates: Sequence[Configuration], conditions: Conditions, tried: list[Tried]
) -> Iterator[Rig]:
    with running_parts() as parts:
        mqtt, brokers = _surroundings(parts, conditions.partitions)
        rival = Rival(parts, program, mqtt, brokers)
        load, partitions = conditions.load(mqtt), conditions.partitions
        tried += rival.try_all(candidates, load, partitions=partitions, settling=conditions.settling)
        with rival.running(tried[0].configuration) as rig:
            yield rig


def _surroundings(parts: Parts, partitions: int) -> tuple[int, str]:
    """A broker, and a Kafka with the topic."""
    mqtt, brokers = parts.broker().plain, parts.kafka()
    asyncio.run(ensure_topics(brokers, [TopicSpec(RAW_TOPIC, partitions)]))
    return mqtt, brokers


def _table(measured: dict[str, list[Run]]) -> Table:
    """One line each, in 80 columns; what each promises is told below."""
    table = Table("bridge", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("msg/s", "µs/msg", "broker", "Kafka", "MB", "p50 ms", "p99 ms", "missing"):
        table.add_column(heading, justify="right", no_wrap=True)
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
        )
    return table


def _tell(measured: dict[str, list[Run]], tried: dict[str, list[Tried]]) -> None:
    """The figures, what each of them promises, and which configurations were tried, the best first."""
    Console(emoji=False).print(_table(measured))
    for name in measured:
        typer.echo(f"{name}: {PROMISES[name]}")
        for one in tried[name]:
            typer.echo(f"  tried: {one.rate:>7,.0f} msg/s  {one.configuration}")
