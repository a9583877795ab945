"""The service: host application and HTTP server together."""

from iiot.http_metrics import HttpMetrics
from iiot.service import Service
from iiot.telemetry import make_app, serve
from sparkplug_host.api import add_routes
from sparkplug_host.host import HostApplication
from sparkplug_host.settings import Settings


async def run_host(settings: Settings, service: Service) -> None:
    """Run until the service stops."""
    application = HostApplication(settings, service)
    app = make_app(service.registry, application.health)
    HttpMetrics(service.registry, "sparkplug").watch(app)
    add_routes(app, application, settings.sparkplug_group)
    async with serve(app, settings.http_host, settings.http_port):
        await application.run()
