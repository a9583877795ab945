"""The console's process: a web server, and connections to the other parts that open when somebody looks."""

import asyncio
from contextlib import AsyncExitStack

from aiohttp import web
from prometheus_client import Gauge

from console.alerts import Alerts
from console.api import Api, guard
from console.devices import Devices
from console.experiments import DESK, Experiments
from console.overview import Overview
from console.settings import Settings
from console.streams import Streams
from console.tap import Tap
from console.topics import Topics
from console.upstream import Upstreams
from iiot.http_metrics import HttpMetrics
from iiot.rest import Access
from iiot.service import Service
from iiot.telemetry import HealthReport, make_app, serve
from iiot.token_file import read_token


async def run_console(settings: Settings, service: Service) -> None:
    """Serve until the service stops."""
    async with AsyncExitStack() as stack:
        app, tap = await make_console(settings, service, stack)
        tapping = asyncio.create_task(tap.run(), name="mqtt tap")
        try:
            async with serve(app, settings.http_host, settings.http_port, settings.http_names):
                await service.stopping.wait()
        finally:
            tapping.cancel()
            await asyncio.gather(tapping, return_exceptions=True)


async def make_console(
    settings: Settings, service: Service, stack: AsyncExitStack
) -> tuple[web.Application, Tap]:
    """The web application, and the MQTT tap that is to run beside it; `stack` closes what they hold."""
    access = Access.of(settings)
    urls = {
        "device-simulator": settings.simulator_url,
        "lwm2m-server": settings.lwm2m_server_url,
        "sparkplug-host": settings.sparkplug_host_url,
        "mqtt-redpanda-bridge": settings.bridge_url,
        "redpanda-connect": settings.connect_url,
        "prometheus": settings.prometheus_url,
        DESK: settings.experiments_url,
    }
    upstreams = await stack.enter_async_context(Upstreams(urls, settings.upstream_timeout))
    topics = await stack.enter_async_context(Topics(settings.kafka_brokers))
    tap = Tap(settings, settings.mqtt_client_id)
    streams = Streams(settings.max_lookers, service.stopping)
    Gauge("console_streams_open", "Live views that are open", registry=service.registry).set_function(
        lambda: streams.open
    )

    def health() -> HealthReport:
        # Other parts being away is what the console is there to show: it is healthy all the same.
        return HealthReport(True, {"streams": streams.open, "mqtt": tap.state.detail, **access.details})

    app = make_app(service.registry, health)
    HttpMetrics(service.registry, "console").watch(app)
    app.middlewares.append(guard(access))
    devices = Devices(upstreams)
    overview = Overview(upstreams, topics, tap)
    alerts = Alerts(upstreams, settings.alerts_keep, service.registry)
    file = settings.alerts_token_file
    webhook = None if file is None else Access(read_token("ALERTS_TOKEN_FILE", file))
    Api(upstreams, devices, overview, topics, alerts, tap, streams, webhook).add_routes(app)
    Experiments(upstreams, streams).add_routes(app)
    return app, tap
