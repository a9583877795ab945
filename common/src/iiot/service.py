"""The life of a service process: settings, logs, signals, event loop, orderly end."""

import asyncio
import importlib.metadata
import os
import platform
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import uvloop
from cryptography import x509
from prometheus_client import CollectorRegistry, Gauge, Info, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from iiot import telemetry
from iiot.errors import SettingsError
from iiot.loop_watch import LoopWatch
from iiot.settings import ServiceSettings, effective, load

S = TypeVar("S", bound=ServiceSettings)

EXIT_BAD_SETTINGS = 2


class Service:
    """What a running service shares with its parts.

    Attributes:
        name: the service's name, as in `lwm2m-server`.
        registry: Prometheus registry, with process metrics already in it.
        stopping: set when SIGTERM or SIGINT arrived; `main` returns soon after.
        log: logger of the service.
    """

    def __init__(self, name: str) -> None:
        # A second series for each counter, which Prometheus has no use for: it sees restarts by itself.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.name = name
        self.registry = CollectorRegistry()
        self.stopping = asyncio.Event()
        self.log = telemetry.get_logger(name)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.loop_watch = LoopWatch(self.registry)
        self.registry.register(telemetry.MESSAGE_FAILURES)
        build = Gauge(
            "iiot_build_info",
            "1; which build of the testbed this is",
            ["service", "version", "revision", "python_version"],
            registry=self.registry,
        )
        revision = os.environ.get("TESTBED_REVISION") or "source"
        build.labels(name, _version(), revision, platform.python_version()).set(1)


def run(name: str, settings_type: type[S], main: Callable[[S, Service], Awaitable[None]]) -> None:
    """Run `main` until it returns; the whole of a service's `__main__`.

    Prints the effective settings, exports them as `<name>_info`, and turns SIGTERM and SIGINT into
    `Service.stopping`. Bad settings, also those that only `main` can judge, end the process with status 2
    and a line for each.
    """
    try:
        settings = load(settings_type)
        telemetry.configure_logging(name, settings.log_level, settings.log_format)
        uvloop.run(_supervise(name, settings, main))
    except SettingsError as exc:
        for line in exc.problems:
            print(f"{name}: {line}", file=sys.stderr)  # noqa: T201 - no logging before settings
        raise SystemExit(EXIT_BAD_SETTINGS) from exc


async def _supervise(name: str, settings: S, main: Callable[[S, Service], Awaitable[None]]) -> None:
    service = Service(name)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, service.stopping.set)
    values = effective(settings)
    service.log.info("starting", version=_version(), **values)
    info = Info(name.replace("-", "_"), "Version and effective settings", registry=service.registry)
    info.info({"version": _version(), **{key.lower(): value for key, value in values.items()}})
    _export_certificate(settings, service)
    async with service.loop_watch.running():
        await main(settings, service)
    service.log.info("stopped")


def _export_certificate(settings: ServiceSettings, service: Service) -> None:
    """Say until when the service's own certificate is good; what is wrong with the file shows in TLS."""
    file = getattr(settings, "mqtt_cert", None)
    if isinstance(file, Path) and file.is_file():
        leaf = x509.load_pem_x509_certificates(file.read_bytes())[0]
        gauge = Gauge(
            "iiot_certificate_expiry_timestamp_seconds",
            "Until when the service's MQTT certificate is valid, seconds since 1970",
            registry=service.registry,
        )
        gauge.set(leaf.not_valid_after_utc.timestamp())


def _version() -> str:
    try:
        return importlib.metadata.version("iiot")
    except importlib.metadata.PackageNotFoundError:
        return "source"
