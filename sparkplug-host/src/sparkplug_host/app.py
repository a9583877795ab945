"""The service: host application and HTTP server together."""

from iiot.http_metrics import HttpMetrics
from iiot.rest import Access, make_api
from iiot.service import Service
from iiot.telemetry import serve
from sparkplug_host.api import host_api
from sparkplug_host.host import HostApplication
from sparkplug_host.settings import Settings


async def run_host(settings: Settings, service: Service) -> None:
    """Run until the service stops."""
    application = HostApplication(settings, service)
    access = Access.of(settings)
    api = host_api(application, settings.sparkplug_group, service.stopping)
    app = make_api(service.registry, application.health, api, access)
    HttpMetrics(service.registry, "sparkplug").watch(app)
    async with serve(app, settings.http_host, settings.http_port, settings.http_names):
        await application.run()
