"""Credentials as scripts for Leshan's demo server hand them over.

Devices prove who they are by the certificate of their MQTT connection, which the broker checks. What is put
here lets nobody in and keeps nobody out: it is checked, kept until the server stops, and shown again, so that
a script which provisions devices before they come runs on. Secrets are not kept.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from iiot.errors import IiotError, InvalidValueError
from iiot.identity import check_device_id

MAX_KNOWN: Final = 10_000
IN_FORCE: Final = "x509"
_MODES: Final = "psk, rpk, x509"


class FullError(IiotError):
    """No more entries fit."""


class Credentials:
    """What was put, by endpoint."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def put(self, body: object) -> dict[str, Any]:
        """Take `{"endpoint", "tls": {"mode", "details"}}`, or `oscore` in place of `tls`; as it is shown.

        Raises:
            InvalidValueError: it is something else.
            FullError: there are `MAX_KNOWN` already.
        """
        shown = _parse(body)
        if shown["endpoint"] not in self._known and len(self._known) >= MAX_KNOWN:
            raise FullError(f"got more than {MAX_KNOWN} endpoints, allowed: up to that")
        self._known[shown["endpoint"]] = shown
        return shown

    def remove(self, endpoint: str) -> bool:
        """Forget an endpoint; False when there is none."""
        return self._known.pop(endpoint, None) is not None

    def shown(self, registered: Iterable[str]) -> list[dict[str, Any]]:
        """Every entry; devices that are registered have come in by their certificates."""
        in_force = {name: {"endpoint": name, "tls": {"mode": IN_FORCE}} for name in registered}
        return list((self._known | in_force).values())


def _parse(body: object) -> dict[str, Any]:
    fields = _mapping("body", body)
    endpoint = _text("endpoint", fields.get("endpoint"))
    try:
        check_device_id(endpoint)
    except InvalidValueError as error:
        raise InvalidValueError("endpoint", endpoint, error.allowed) from error
    if "oscore" in fields:
        oscore = _mapping("oscore", fields["oscore"])
        kept = {name: _hex(f"oscore.{name}", oscore.get(name)) for name in ("rid", "sid", "msec")}
        return {"endpoint": endpoint, "oscore": {name: kept[name] for name in ("rid", "sid")}}
    return {"endpoint": endpoint, "tls": _tls(_mapping("tls", fields.get("tls")))}


def _tls(tls: Mapping[str, Any]) -> dict[str, Any]:
    mode = tls.get("mode")
    if mode == IN_FORCE:
        return {"mode": mode}
    if mode not in ("psk", "rpk"):
        raise InvalidValueError("tls.mode", mode, _MODES)
    details = _mapping("tls.details", tls.get("details"))
    key = _hex("tls.details.key", details.get("key"))
    if mode == "rpk":
        return {"mode": mode, "details": {"key": key}}
    return {"mode": mode, "details": {"identity": _text("tls.details.identity", details.get("identity"))}}


def _mapping(field: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        allowed = '{"endpoint", "tls": {"mode", "details"}}' if field in ("body", "tls") else "a JSON object"
        raise InvalidValueError(field, _short(value), allowed)
    return value


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 1024:
        raise InvalidValueError(field, _short(value), "text of 1 to 1024 characters")
    return value


def _hex(field: str, value: object) -> str:
    text = _text(field, value)
    try:
        bytes.fromhex(text)
    except ValueError as error:  # a secret is not repeated
        raise InvalidValueError(field, "…", "bytes in hexadecimal") from error
    return text


def _short(value: object) -> object:
    return None if value is None else type(value).__name__
