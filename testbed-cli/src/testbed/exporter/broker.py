"""Mosquitto's own figures, which it publishes below `$SYS`, and how long its certificate is good."""

import asyncio
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from cryptography import x509
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from iiot.mqtt import Connection, ConnectOptions, Message, Subscription, keep_connected
from iiot.telemetry import get_logger
from testbed.exporter.settings import ExporterSettings

ROOT: Final = "$SYS/broker/"
CERTIFICATE_EVERY: Final = 3600.0
"""s between looks at the certificate; each leaves a line in the broker's log."""
FRESH: Final = 30.0
"""s; the broker publishes every 5 s what has changed, and its uptime always does."""

COUNTERS: Final = {
    "bytes/received": ("received_bytes", "Bytes received from all clients"),
    "bytes/sent": ("sent_bytes", "Bytes sent to all clients"),
    "messages/received": ("packets_received", "MQTT packets of any type received"),
    "messages/sent": ("packets_sent", "MQTT packets of any type sent"),
    "publish/messages/received": ("publish_received", "PUBLISH messages received"),
    "publish/messages/sent": ("publish_sent", "PUBLISH messages sent"),
    "publish/messages/dropped": ("publish_dropped", "Messages dropped: a client's queue was full"),
    "publish/bytes/received": ("publish_received_bytes", "Payload bytes received"),
    "publish/bytes/sent": ("publish_sent_bytes", "Payload bytes sent"),
    "clients/expired": ("clients_expired", "Sessions of absent clients that were removed"),
}
GAUGES: Final = {
    "clients/connected": ("clients_connected", "Clients connected now"),
    "clients/disconnected": ("clients_disconnected", "Sessions kept for absent clients"),
    "subscriptions/count": ("subscriptions", "Subscriptions of all sessions"),
    "retained messages/count": ("retained_messages", "Retained messages"),
    "store/messages/count": ("stored_messages", "Messages held: retained, queued and in flight"),
    "store/messages/bytes": ("stored_bytes", "Payload bytes of the messages held"),
    "heap/current": ("heap_bytes", "Memory in use"),
    "uptime": ("uptime_seconds", "Time since the broker started"),
}

log = get_logger(__name__)


class BrokerFigures(Collector):
    """What the broker said last.

    Attributes:
        connected: whether the exporter is connected.
        certificate_expires: seconds since 1970, None when the certificate was never seen.
    """

    def __init__(self) -> None:
        self.connected = False
        self.certificate_expires: float | None = None
        # Figures that never changed since the broker started were never published.
        self._values = dict.fromkeys((*COUNTERS, *GAUGES), 0.0)
        self._heard: float | None = None

    def take(self, topic: str, payload: bytes, now: float) -> None:
        """Note a message below `$SYS`; `now` in s of a monotonic clock."""
        name = topic.removeprefix(ROOT)
        if name in self._values:
            with suppress(ValueError, IndexError):
                self._values[name] = float(payload.split()[0])
                self._heard = now

    def forget(self) -> None:
        """The broker is away; another may answer next."""
        self.connected = False
        self._heard = None
        self._values = dict.fromkeys(self._values, 0.0)

    def is_fresh(self, now: float) -> bool:
        """Whether the figures are of now."""
        return self._heard is not None and now - self._heard < FRESH

    def collect(self) -> Iterator[Metric]:
        """All figures; of a broker that is away only that it is."""
        fresh = self.is_fresh(time.monotonic())
        yield GaugeMetricFamily("mosquitto_up", "1 while the broker tells its figures", fresh)
        if self.certificate_expires is not None:
            yield GaugeMetricFamily(
                "mosquitto_certificate_expiry_timestamp_seconds",
                "Until when the broker's certificate is valid, seconds since 1970",
                self.certificate_expires,
            )
        if fresh:
            for topic, (name, text) in COUNTERS.items():
                yield CounterMetricFamily(f"mosquitto_{name}", text, self._values[topic])
            for topic, (name, text) in GAUGES.items():
                yield GaugeMetricFamily(f"mosquitto_{name}", text, self._values[topic])


async def follow(settings: ExporterSettings, figures: BrokerFigures, stopping: asyncio.Event) -> None:
    """Keep `figures` up to date until `stopping` is set."""

    def on_message(message: Message) -> None:
        figures.take(message.topic, message.payload, time.monotonic())
        message.ack()

    def on_state(connected: bool, reason: str) -> None:
        log.info("mqtt_connected" if connected else "mqtt_not_connected", reason=reason)
        if connected:
            figures.connected = True
        else:
            figures.forget()

    async def session(connection: Connection) -> None:
        await connection.subscribe(Subscription(f"{ROOT}#", qos=0))
        await stopping.wait()

    options = ConnectOptions("testbed-exporter", settings)
    await keep_connected(lambda: options, on_message, session, stopping=stopping, on_state=on_state)


async def watch_certificate(settings: ExporterSettings, figures: BrokerFigures) -> None:
    """Look at the broker's certificate every hour, for ever; sooner while it cannot be seen."""
    while settings.broker_tls_port:
        try:
            expires = await _expiry(settings.mqtt_host, settings.broker_tls_port)
        except (OSError, TimeoutError, ValueError) as exc:
            log.warning("certificate_not_seen", error=str(exc) or type(exc).__name__)
            await asyncio.sleep(10)
        else:
            figures.certificate_expires = expires
            await asyncio.sleep(CERTIFICATE_EVERY)


async def _expiry(host: str, port: int) -> float:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # one that nobody trusts any more is what we look for
    # In TLS 1.3 the server shows its certificate before it refuses a client without one.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    async with asyncio.timeout(5):
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp()
