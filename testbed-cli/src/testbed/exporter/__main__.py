"""The exporter's process: `python -m testbed.exporter`. Experiments have their desk in it."""

import asyncio

from iiot.rest import Access, make_api
from iiot.service import Service, run
from iiot.telemetry import HealthReport, serve
from testbed.experiments.api import experiments_api
from testbed.experiments.desk import Desk
from testbed.experiments.hands import SupervisorHands
from testbed.experiments.store import Reports
from testbed.exporter import broker, ledger, topics
from testbed.exporter.disks import DiskFigures, parse_places
from testbed.exporter.settings import ExporterSettings
from testbed.verify.books import Books


async def main(settings: ExporterSettings, service: Service) -> None:
    """Export until the service stops; what it looks at may be away, that is a figure and no fault."""
    broker_figures, topic_figures = broker.BrokerFigures(), topics.TopicFigures()
    books = Books(settings.ledger_patience)
    ledger_figures = ledger.LedgerFigures(books)
    service.registry.register(broker_figures)
    service.registry.register(topic_figures)
    service.registry.register(DiskFigures(parse_places(settings.disks)))
    if settings.ledger:
        service.registry.register(ledger_figures)

    def health() -> HealthReport:
        seen = {"mqtt_connected": broker_figures.connected, "kafka_up": topic_figures.up}
        return HealthReport(healthy=True, details={**seen, "ledger_up": ledger_figures.up})

    desk = Desk(Reports(settings.experiments_dir and settings.experiments_dir / "reports"))
    hands = None if settings.supervisor_dir is None else SupervisorHands(settings.supervisor_dir)
    api = experiments_api(desk, hands, service.stopping)
    app = make_api(service.registry, health, api, Access.of(settings))
    async with (
        serve(app, settings.http_host, settings.http_port, settings.http_names),
        asyncio.TaskGroup() as tasks,
    ):
        endless = [
            tasks.create_task(broker.watch_certificate(settings, broker_figures)),
            tasks.create_task(topics.watch(settings.kafka_brokers, topic_figures, settings.kafka_interval)),
        ]
        tasks.create_task(broker.follow(settings, broker_figures, service.stopping))
        if settings.ledger:
            tasks.create_task(ledger.keep(settings, books, ledger_figures, service.stopping))
        await service.stopping.wait()
        await desk.close()
        for task in endless:
            task.cancel()


if __name__ == "__main__":
    run("testbed-exporter", ExporterSettings, main)
