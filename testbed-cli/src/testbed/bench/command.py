"""`./testbed bench`: measure a part under load."""

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from testbed.bench.events import events
from testbed.bench.host import host
from testbed.bench.load import STAMP, Load
from testbed.bench.measure import Run, measure, median, settle
from testbed.bench.options import Settle, in_good_order
from testbed.bench.profiles import profiles
from testbed.bench.read import read
from testbed.bench.registrations import registrations
from testbed.bench.report import machine
from testbed.bench.rig import running_rig
from testbed.bench.rivals import bridges
from testbed.finite import finite

app = typer.Typer(help="Measure a part under load, with everything on this machine.", no_args_is_help=True)
for _command in (bridges, events, read, registrations, profiles, host):
    app.command()(_command)


class Form(StrEnum):
    """What the load consists of."""

    RAW = "raw"
    SPARKPLUG = "sparkplug"


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
    seconds: Annotated[float, typer.Option(callback=finite, min=1, help="Measured span of a run.")] = 10.0,
    warmup: Annotated[float, typer.Option(callback=finite, min=0, help="Seconds of load before it.")] = 5.0,
    settling: Settle = 90.0,
    runs: Annotated[int, typer.Option(min=1, max=100, help="Runs; the median is reported.")] = 3,
    qos: Annotated[
        int, typer.Option(min=0, max=1, help="QoS of the publisher; that of the bridge is 1.")
    ] = 0,
    receive_maximum: Annotated[int, typer.Option(min=1, max=65_535)] = 4_000,
    tls: Annotated[bool, typer.Option(help="TLS between broker and bridge.")] = False,
    bridges: Annotated[int, typer.Option(min=1, max=32, help="Bridges that share the devices.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """MQTT to Kafka through the bridge: a message counts when it is in the topic.

    Every message is acknowledged to the broker only after Kafka's delivery report. Exit status 1 when a
    message that was sent did not arrive.
    """
    options = {
        "format": form.value,
        "payload": payload if form is Form.RAW else None,
        "topics": topics,
        "partitions": partitions,
        "rate": rate,
        "publish_qos": qos,
        "receive_maximum": receive_maximum,
        "tls": tls,
        "bridges": bridges,
        "warmup": warmup,
        "settle": settling,
    }
    measured: list[Run] = []
    with (
        in_good_order("starting broker, Kafka and bridge") as say,
        running_rig(
            form=form.value,
            partitions=partitions,
            receive_maximum=receive_maximum,
            tls=tls,
            bridges=bridges,
        ) as rig,
    ):
        load = Load(rig.mqtt_port, form.value, payload, topics, qos, rate)
        say("warming Kafka up")
        lost = settle(rig, load, partitions=partitions, limit=settling)
        for number in range(runs):
            say(f"run {number + 1} of {runs}")
            measured.append(measure(rig, load, partitions=partitions, warmup=warmup, seconds=seconds))
    result = {"options": options, "machine": machine(), "median": median(measured), "runs": measured}
    if as_json:
        typer.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    else:
        Console(emoji=False).print(_table(measured))
    if lost or any(run.missing for run in measured):
        raise typer.Exit(1)


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
