"""`./testbed bench`: measure a part under load."""

import os
import platform
import signal
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from iiot.errors import IiotError
from testbed.bench.load import STAMP, Load
from testbed.bench.measure import Run, measure, median
from testbed.bench.rig import running_rig

app = typer.Typer(help="Measure a part under load, with everything on this machine.", no_args_is_help=True)


class Form(StrEnum):
    """What the load consists of."""

    RAW = "raw"
    SPARKPLUG = "sparkplug"


@app.callback()
def _bench() -> None:
    pass


@app.command()
def bridge(
    form: Annotated[
        Form,
        typer.Option(
            "--format", help="raw: bytes passed through; sparkplug: three metrics, decoded to JSON."
        ),
    ] = Form.RAW,
    payload: Annotated[int, typer.Option(min=STAMP.size, max=65_536, help="Bytes of a raw payload.")] = 120,
    topics: Annotated[int, typer.Option(min=1, max=65_536, help="MQTT topics, so devices and keys.")] = 100,
    partitions: Annotated[int, typer.Option(min=1, max=1_000, help="Partitions of the Kafka topic.")] = 6,
    rate: Annotated[int, typer.Option(min=0, help="Messages per second; 0: as many as pass.")] = 0,
    seconds: Annotated[float, typer.Option(min=1, help="Measured span of a run.")] = 10.0,
    warmup: Annotated[float, typer.Option(min=0, help="Seconds of load before it.")] = 5.0,
    runs: Annotated[int, typer.Option(min=1, max=100, help="Runs; the median is reported.")] = 3,
    qos: Annotated[
        int, typer.Option(min=0, max=1, help="QoS of the publisher; that of the bridge is 1.")
    ] = 0,
    receive_maximum: Annotated[int, typer.Option(min=1, max=65_535)] = 4_000,
    tls: Annotated[bool, typer.Option(help="TLS between broker and bridge.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """MQTT to Kafka through the bridge: a message counts when it is in the topic.

    Every message is acknowledged to the broker only after Kafka's delivery report. Exit status 1 when a
    message that was sent did not arrive.
    """
    # As Ctrl-C does: by itself SIGTERM would end this process and leave the parts running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    errors = Console(stderr=True)
    options = {
        "format": form.value,
        "payload": payload if form is Form.RAW else None,
        "topics": topics,
        "partitions": partitions,
        "rate": rate,
        "publish_qos": qos,
        "receive_maximum": receive_maximum,
        "tls": tls,
        "warmup": warmup,
    }
    measured: list[Run] = []
    try:
        with (
            errors.status("starting broker, Kafka and bridge") as status,
            running_rig(
                form=form.value, partitions=partitions, receive_maximum=receive_maximum, tls=tls
            ) as rig,
        ):
            load = Load(rig.mqtt_port, form.value, payload, topics, qos, rate)
            for number in range(runs):
                status.update(f"run {number + 1} of {runs}")
                measured.append(measure(rig, load, partitions=partitions, warmup=warmup, seconds=seconds))
    except IiotError as exc:
        errors.print(f"bench: {exc}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(3) from exc
    result = {"options": options, "machine": machine(), "median": median(measured), "runs": measured}
    if as_json:
        typer.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    else:
        Console().print(_table(measured))
    if any(run.missing for run in measured):
        raise typer.Exit(1)


def machine() -> dict[str, Any]:
    """The machine that the figures belong to."""
    text = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return {
        "cpu": models[0] if models else "unknown",
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def _table(runs: list[Run]) -> Table:
    table = Table(
        "run", "msg/s", *(f"{name} µs/msg" for name in runs[0].cpu_us), "p50 ms", "p99 ms", "missing"
    )
    for number, run in enumerate(runs, 1):
        _add_row(table, str(number), asdict(run))
    if len(runs) > 1:
        _add_row(table, "median", median(runs))
    return table


def _add_row(table: Table, name: str, figures: dict[str, Any]) -> None:
    latency = figures["latency_ms"]
    table.add_row(
        name,
        f"{figures['rate']:,.0f}",
        *(f"{value:.1f}" for value in figures["cpu_us"].values()),
        str(latency["p50"]),
        str(latency["p99"]),
        str(figures["missing"]),
    )
