"""How each device proves who it is: a certificate of its own, or the one that is given."""

from collections.abc import Iterable
from pathlib import Path

from device_simulator.settings import SimulatorSettings
from iiot import certs
from iiot.errors import SettingsError
from iiot.settings import MqttSettings

_AUTHORITY = "device-ca"


def mqtt_settings_of(ids: Iterable[str], settings: SimulatorSettings) -> list[MqttSettings]:
    """MQTT settings of each device; certificates are made as needed and kept in STATE_DIR.

    Takes about a millisecond for a new certificate: to be called in a thread.

    Raises:
        SettingsError: there is no device authority, or STATE_DIR cannot be written.
    """
    base = {name: getattr(settings, name) for name in MqttSettings.model_fields}
    if not settings.mqtt_tls or settings.mqtt_cert is not None:
        shared = MqttSettings.model_construct(**base)
        return [shared for _ in ids]
    factory = _authority(settings.device_ca_dir)
    found = []
    try:
        for device_id in ids:
            identity = certs.issue(factory.parent, device_id, devices=settings.state_dir / "devices")
            files = {"mqtt_cert": identity.cert, "mqtt_key": identity.key}
            files["mqtt_ca"] = settings.mqtt_ca or identity.ca
            found.append(MqttSettings.model_construct(**base | files))
    except FileNotFoundError as exc:
        raise SettingsError(
            [f"DEVICE_CA_DIR={str(factory)!r}: must hold the device authority; {exc}"]
        ) from exc
    except OSError as exc:
        raise SettingsError([f"STATE_DIR={str(settings.state_dir)!r}: must be writable; {exc}"]) from exc
    return found


def _authority(directory: Path | None) -> Path:
    if directory is None:
        raise SettingsError(
            ["DEVICE_CA_DIR=None: must be set with TLS, unless MQTT_CERT and MQTT_KEY are given"]
        )
    if directory.resolve().name != _AUTHORITY:
        raise SettingsError(
            [f"DEVICE_CA_DIR={str(directory)!r}: must be the certificates' {_AUTHORITY} directory"]
        )
    return directory.resolve()
