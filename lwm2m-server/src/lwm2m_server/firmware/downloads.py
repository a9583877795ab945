"""Packages by HTTPS, for devices that fetch them."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from iiot.errors import SettingsError
from iiot.settings import MqttSettings
from iiot.telemetry import get_logger, make_runner


@asynccontextmanager
async def serve_tls(app: web.Application, host: str, port: int, settings: MqttSettings) -> AsyncIterator[int]:
    """Serve `app` by HTTPS with the certificate that MQTT uses; yields the port.

    Raises:
        SettingsError: there is no certificate, or it cannot be used.
    """
    if settings.mqtt_cert is None or settings.mqtt_key is None:
        raise SettingsError([f"FIRMWARE_HTTPS_PORT={port}: needs MQTT_CERT and MQTT_KEY"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.mqtt_cert, settings.mqtt_key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError([f"MQTT_CERT={str(settings.mqtt_cert)!r}: {error}"]) from error
    runner = make_runner(app, None)  # who resolves a foreign name to us gets no certificate for it
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=context)
        await site.start()
        bound: int = runner.addresses[0][1]
        get_logger("lwm2m_server.firmware").info("https_listening", host=host, port=bound)
        yield bound
    finally:
        await runner.cleanup()
