"""TLS contexts for MQTT, cached by certificate file."""

import ssl
from functools import lru_cache
from pathlib import Path

from iiot.errors import MqttConnectError
from iiot.settings import MqttSettings


def tls_context(settings: MqttSettings) -> ssl.SSLContext | None:
    """The context for a connection; None when TLS is off.

    Raises:
        MqttConnectError: a certificate or key file cannot be read.
    """
    if not settings.mqtt_tls:
        return None
    files = (settings.mqtt_ca, settings.mqtt_cert, settings.mqtt_key)
    try:
        changed = tuple(path.stat().st_mtime_ns if path else 0 for path in files)
        return _load_tls_context(files, changed)
    except OSError as exc:
        raise MqttConnectError(f"TLS files {[str(f) for f in files if f]}: {exc}") from exc


@lru_cache(maxsize=16_384)
def _load_tls_context(files: tuple[Path | None, ...], _changed: tuple[int, ...]) -> ssl.SSLContext:
    # Cached, because a fleet reconnects thousands of identities; a renewed file has a new time stamp.
    ca, cert, key = files
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert:
        context.load_cert_chain(cert, key)
    return context
