#!/usr/bin/env python3
"""Write docs/metrics.md from what the services register; with --check only compare.

Each service's metrics are made by its own code, with nothing to connect to, and listed by name, type, labels
and help text.
"""

import asyncio
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(path) for path in ROOT.glob("*/src")]

from prometheus_client import CollectorRegistry  # noqa: E402 - the members' sources come first
from prometheus_client.core import Metric  # noqa: E402

from console.app import run_console  # noqa: E402
from console.settings import Settings as ConsoleSettings  # noqa: E402
from device_simulator.metrics import Stats, StatsCollector  # noqa: E402
from iiot.kafka_reader import Count  # noqa: E402
from iiot.service import Service  # noqa: E402
from iiot.settings import load  # noqa: E402
from iiot.topics import TELEMETRY  # noqa: E402
from lwm2m_server.__main__ import open_server  # noqa: E402
from lwm2m_server.settings import Settings as ServerSettings  # noqa: E402
from mqtt_redpanda_bridge.bridge import Bridge  # noqa: E402
from mqtt_redpanda_bridge.settings import BridgeSettings  # noqa: E402
from sparkplug_host.app import run_host  # noqa: E402
from sparkplug_host.settings import Settings as HostSettings  # noqa: E402
from testbed.connect.api import Figures  # noqa: E402
from testbed.connect.pump import Counts  # noqa: E402
from testbed.exporter.broker import BrokerFigures  # noqa: E402
from testbed.exporter.disks import DiskFigures  # noqa: E402
from testbed.exporter.ledger import LedgerFigures  # noqa: E402
from testbed.exporter.topics import TopicFigures  # noqa: E402
from testbed.verify.books import Books  # noqa: E402

TARGET: Final = ROOT / "docs" / "metrics.md"
NOWHERE: Final = {"http_port": 0, "mqtt_host": "127.0.0.1", "mqtt_port": 1, "mqtt_tls": False}
COMMON: Final = ("process_", "python_")
INTRODUCTION: Final = """\
# Metrics

Every service answers `GET /metrics`; `prometheus/prometheus.yml` scrapes them all every 5 s. This page is
made from the code by `.venv/bin/python scripts/generate-metrics-table.py`, and `./testbed test` fails when
it is not current.

Names follow Prometheus' conventions: one prefix per service, base units (seconds, bytes), `_total` on
counters. No label names a device, so their number does not grow with the fleet; label sets are complete
from the start, so a series that is 0 is there. Histograms have `_bucket`, `_sum` and `_count`; sizes of
buckets fit what is measured.

Two parts speak no Prometheus of their own. The **exporter** (`testbed-exporter`, port 8089) speaks for
them: Mosquitto's `$SYS`, read on the plain listener, which grants anyone on its network that and needs no
identity; the offsets of the Kafka topics, without a consumer group, so Redpanda and Apache Kafka look
alike; and the ledger that `./testbed verify` keeps for a window, kept all the time. It also tells how much
room is left on the disks that data lies on. In containers Redpanda is scraped as well, with its own names
(`redpanda_…` at `/public_metrics`).
"""
NOTES: Final = {
    "redpanda-connect": "Names are the engine's own: in containers it has more, labelled `label` and `path`."
    " Its lag is `lwm2m_events_consumer_lag` of the LwM2M server.",
    "testbed-exporter": "Of a broker or a Kafka that does not answer only `…_up` is there: figures that stand"
    " still would lie.",
}


async def registries() -> dict[str, CollectorRegistry]:
    """The registry of each service, filled as at its start."""
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        service = Service("lwm2m-server")
        settings = load(ServerSettings, **NOWHERE, database=Path(directory) / "events.db")
        async with open_server(settings, service):
            found[service.name] = service.registry
            service.stopping.set()
    service = Service("sparkplug-host")
    service.stopping.set()
    await run_host(load(HostSettings, **NOWHERE), service)
    found[service.name] = service.registry
    service = Service("mqtt-redpanda-bridge")
    Bridge(load(BridgeSettings, **NOWHERE), service)
    found[service.name] = service.registry
    service = Service("device-simulator")
    service.registry.register(StatsCollector(Stats(), "1", lambda: None))
    found[service.name] = service.registry
    service = Service("console")
    service.stopping.set()
    await run_console(load(ConsoleSettings, **NOWHERE), service)
    found[service.name] = service.registry
    service = Service("redpanda-connect")
    pump = SimpleNamespace(name="lwm2m-http-source", counts=Counts())
    service.registry.register(Figures([pump]))  # type: ignore[list-item]
    found[service.name] = service.registry
    found["testbed-exporter"] = exporter()
    return found


def exporter() -> CollectorRegistry:
    """As it is while broker and Kafka answer."""
    service = Service("testbed-exporter")
    broker, topics = BrokerFigures(), TopicFigures()
    broker.certificate_expires = 0.0
    broker.is_fresh = lambda now: True  # type: ignore[method-assign]
    topics.take(dict.fromkeys(TELEMETRY, Count(0, 0)), 0.0)
    disks = DiskFigures({"state": Path("/")})
    for collector in (broker, topics, LedgerFigures(Books(300)), disks):
        service.registry.register(collector)
    return service.registry


def table(metrics: Iterable[Metric]) -> Iterator[str]:
    """Rows of one service."""
    yield "| metric | type | labels | meaning |"
    yield "|---|---|---|---|"
    for metric in sorted(metrics, key=lambda metric: metric.name):
        labels = {name: None for sample in metric.samples for name in sample.labels if name != "le"}
        shown = labels or dict.fromkeys(getattr(metric, "_labelnames", ()))
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        kind = "untyped" if metric.type == "unknown" else metric.type
        words = ", ".join(f"`{label}`" for label in shown)
        yield f"| `{name}` | {kind} | {words} | {metric.documentation} |"


async def page() -> str:
    """The whole file."""
    found = await registries()
    lines = [INTRODUCTION]
    shared: dict[str, Metric] = {}
    for service, registry in found.items():
        own = []
        for metric in registry.collect():
            if metric.name.startswith((*COMMON, "iiot_")):
                shared.setdefault(metric.name, metric)
            else:
                own.append(metric)
        note = [NOTES[service], ""] if service in NOTES else []
        lines += [f"## {service}", "", *note, *table(own), ""]
    certificate = Metric(
        "iiot_certificate_expiry_timestamp_seconds",
        "Until when the service's MQTT certificate is valid, seconds since 1970; where there is one",
        "gauge",
    )
    info = Metric("<service>_info", "1; effective settings as labels, secrets masked", "gauge")
    shared = {metric.name: metric for metric in (*shared.values(), certificate, info)}
    lines += ["## Every service", "", *table(shared.values()), ""]
    return "\n".join(lines)


def main() -> int:
    """0 when the page is as it should be."""
    fresh = asyncio.run(page())
    if TARGET.exists() and TARGET.read_text() == fresh:
        return 0
    if "--check" in sys.argv[1:]:
        print("docs/metrics.md is out of date: run python scripts/generate-metrics-table.py")  # noqa: T201
        return 1
    TARGET.write_text(fresh)
    print(f"wrote {TARGET.relative_to(ROOT)}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
