"""One look at every part, all at once; a part that is away shows in its check and never raises."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Final, Self

import aiohttp

from iiot.errors import KafkaError
from iiot.http_client import open_session
from iiot.kafka_reader import Record, TopicReader
from testbed.monitor.alerts import AlertLine, read_alerts
from testbed.monitor.bridge import Latencies, bridge_figures
from testbed.monitor.checks import (
    check_broker,
    check_connect,
    check_link,
    check_scaled,
    check_service,
    check_websocket,
)
from testbed.monitor.devices import DeviceList, read_devices
from testbed.monitor.figures import NO_ANSWER, Figures, query, read_figures
from testbed.monitor.model import (
    Changes,
    Check,
    Histories,
    Rates,
    RouteLine,
    Snapshot,
    TopicLine,
    in_order,
)
from testbed.monitor.places import Places

BRIDGE: Final = "mqtt-redpanda-bridge"
SIMULATOR: Final = "device-simulator"


class Collector:
    """Makes snapshots; keeps what rates need from one to the next."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._topics = TopicReader(places.kafka_brokers, "testbed-monitor")
        self._session: aiohttp.ClientSession | None = None
        self._rates = Rates(window=5)
        self._histories = Histories()
        self._latencies = Latencies()
        self._changes = Changes()

    async def __aenter__(self) -> Self:
        """Open the HTTP client."""
        self._session = open_session()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        if self._session:
            await self._session.close()
        await asyncio.to_thread(self._topics.close)

    async def snapshot(self) -> Snapshot:
        """Everything as it is now."""
        session, places = self._opened, self._places
        prometheus = places.prometheus_url
        bridge, server, kafka, broker, services, connect = await asyncio.gather(
            read_figures(session, places.bridge_url, prometheus, BRIDGE, "bridge_"),
            read_figures(session, places.lwm2m_server_url, prometheus, "lwm2m-server", "lwm2m_"),
            self._count(),
            check_broker(places),
            asyncio.gather(
                check_service(session, "LwM2M server", places.lwm2m_server_url),
                check_service(session, "Sparkplug host", places.sparkplug_host_url),
                check_scaled(session, "Bridge", places.bridge_url, BRIDGE, prometheus),
                check_scaled(session, "Simulators", places.simulator_url, SIMULATOR, prometheus),
            ),
            check_connect(session, places),
        )
        links = (
            check_link("Bridge to MQTT", bridge, "bridge_mqtt_connected"),
            check_link("Bridge to Kafka", bridge, "bridge_kafka_connected"),
            check_websocket(server),
        )
        now = datetime.now().astimezone()
        checks = (broker, kafka[0], *services, *connect, *links)
        return Snapshot(
            at=now,
            checks=tuple(self._changes.note(check, now) for check in checks),
            topics=kafka[1],
            routes=await self._routes(session, bridge),
            figures=bridge_figures(bridge, self._latencies, time.monotonic()) if bridge else (),
        )

    async def devices(self, name_part: str) -> DeviceList:
        """The devices whose name contains this."""
        return await read_devices(self._opened, self._places, name_part)

    async def alerts(self) -> list[AlertLine] | None:
        """What Prometheus alerts; None while it does not answer."""
        return await read_alerts(self._opened, self._places.prometheus_url)

    @property
    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("not entered")
        return self._session

    async def newest(self, topics: Sequence[str], limit: int) -> list[Record]:
        """The newest records of each topic, the newest of all first; none while Kafka is away."""
        if not topics:
            return []
        try:
            return await asyncio.to_thread(self._topics.newest_of, topics, limit)
        except (KafkaError, KeyError):
            return []

    async def _count(self) -> tuple[Check, tuple[TopicLine, ...]]:
        began = time.perf_counter()
        try:
            counts = await asyncio.to_thread(self._topics.counts)
        except KafkaError:
            port = self._places.kafka_brokers.rpartition(":")[2]
            return Check("Kafka", "down", f"no answer on port {port}"), ()
        now = time.monotonic()
        lines = []
        for name in in_order(list(counts)):
            count = counts[name]
            rate = self._rates.observe(name, count.ends, now)
            history = self._histories.add(name, rate)
            lines.append(TopicLine(name, count.records, rate, history, count.ends))
        detail = f"answers in {(time.perf_counter() - began) * 1000:.0f} ms"
        return Check("Kafka", "up", detail), tuple(lines)

    async def _routes(self, session: aiohttp.ClientSession, figures: Figures | None) -> tuple[RouteLine, ...]:
        if figures is None:
            return ()
        received_rates = await self._route_rates(session, figures, "bridge_received_total")
        delivered_rates = await self._route_rates(session, figures, "bridge_delivered_total")
        lines = []
        for route in sorted(figures.values("bridge_received_total", "route")):
            rate = received_rates.get(route)
            received, delivered, dead, in_flight = (
                figures.total(name, route=route) or 0.0
                for name in (
                    "bridge_received_total",
                    "bridge_delivered_total",
                    "bridge_dead_lettered_total",
                    "bridge_in_flight",
                )
            )
            lines.append(
                RouteLine(
                    route,
                    int(received),
                    int(delivered),
                    int(dead),
                    int(in_flight),
                    rate,
                    delivered_rates.get(route),
                    self._histories.add(f"route {route}", rate),
                )
            )
        return tuple(lines)

    async def _route_rates(
        self, session: aiohttp.ClientSession, figures: Figures, counter: str
    ) -> dict[str, float | None]:
        if figures.via == "prometheus":
            # What was scraped stands still between scrapes; Prometheus knows when it was.
            expression = f"sum by (route) (rate({counter}[20s]))"
            try:
                found = await query(session, self._places.prometheus_url, expression)
            except NO_ANSWER:
                return {}
            return {sample.labels.get("route", ""): sample.value for sample in found}
        now = time.monotonic()
        return {
            route: self._rates.observe(f"{counter} {route}", figures.total(counter, route=route) or 0.0, now)
            for route in figures.values(counter, "route")
        }
