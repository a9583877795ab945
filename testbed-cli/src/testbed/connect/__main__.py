"""Runs the configuration file with the engine at hand."""

import asyncio
import os
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from iiot import service, telemetry
from iiot.kafka import KafkaSink
from iiot.service import Service
from testbed.connect import api, config, engine
from testbed.connect.config import Configuration
from testbed.connect.pump import Pump
from testbed.connect.settings import ConnectSettings

FINISH_WITHIN = 3.0
"""Seconds that a batch in work may take to the end when the service stops."""
CONFIG_FILE = Path(sys.argv[1] if len(sys.argv) > 1 else "redpanda-connect-config.yaml")


async def main(settings: ConnectSettings, process: Service) -> None:
    """Become Redpanda Connect when it is installed, else run the file here."""
    settings.cursor_dir.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **settings.variables()}
    program = None if settings.connect_engine == "embedded" else engine.find_program()
    if program or settings.connect_engine == "redpanda-connect":
        command = [*(program or ["redpanda-connect", "run"]), str(CONFIG_FILE)]
        process.log.info("engine", command=command)
        os.execvpe(command[0], command, environment)  # noqa: S606 - the same process goes on as the engine
    process.log.info("engine", embedded="mq-bridge-connect")
    with tempfile.TemporaryDirectory(prefix="connect-health-") as health:
        text = await asyncio.to_thread(CONFIG_FILE.read_text)
        configuration = config.parse(text, environment, health)
        await run_embedded(configuration, settings, process, Path(health))


async def run_embedded(
    configuration: Configuration, settings: ConnectSettings, process: Service, health: Path
) -> None:
    """Move every source until the service is to stop."""
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        commit = engine.open_commit(configuration.commit)
        paths = []
        for source in configuration.sources:
            sink = await stack.enter_async_context(
                KafkaSink(settings.kafka_brokers, source.name, flush_timeout=0)
            )
            consumer = engine.open_consumer(source.document)
            paths.append((source, Pump(source.name, consumer, commit, sink, configuration.is_header)))
        worker = api.local_worker_id(settings.http_port)
        app = api.Api(paths, health, worker).application(process.registry)
        await stack.enter_async_context(telemetry.serve(app, settings.http_host, settings.http_port))
        pumping = [tasks.create_task(pump.run(process.stopping), name=pump.name) for _, pump in paths]
        await process.stopping.wait()
        _, late = await asyncio.wait(pumping, timeout=FINISH_WITHIN)
        for task in late:
            task.cancel()


if __name__ == "__main__":
    service.run("redpanda-connect", ConnectSettings, main)
