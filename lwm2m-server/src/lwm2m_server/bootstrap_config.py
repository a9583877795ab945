"""What a bootstrap server writes to a device: read from the API's JSON, its own form or Leshan's."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from iiot.errors import InvalidValueError
from iiot.lwm2m import json_values
from iiot.lwm2m.message import Record
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.path import Path

_MODES: Final = {"PSK": 0, "RPK": 1, "X509": 2, "NO_SEC": 3, "EST": 4}
_SECURITY: Final = {
    "uri": 0, "bootstrapServer": 1, "securityMode": 2, "publicKeyOrId": 3, "serverPublicKey": 4,
    "secretKey": 5, "serverId": 10, "clientOldOffTime": 11, "bootstrapServerAccountTimeout": 12,
    "matchingType": 13, "sni": 14, "certificateUsage": 15,
}  # fmt: skip
_SERVER: Final = {
    "shortId": 0, "lifetime": 1, "defaultMinPeriod": 2, "defaultMaxPeriod": 3, "disableTimeout": 5,
    "notifIfDisabled": 6, "binding": 7, "apnLink": 10, "registrationPriorityOrder": 13,
    "initialRegistrationDelayTimer": 14, "registrationFailureBlock": 15,
    "bootstrapOnRegistrationFailure": 16, "communicationRetryCount": 17, "communicationRetryTimer": 18,
    "communicationSequenceDelayTimer": 19, "communicationSequenceRetryCount": 20, "trigger": 21,
    "preferredTransport": 22, "muteSend": 23,
}  # fmt: skip
_FIELDS: Final = ("discover", "read", "delete", "objects", "toDelete", "security", "servers", "finish")
_READABLE: Final = (1, 2)


@dataclass(frozen=True, slots=True)
class BootstrapConfig:
    """The steps of a bootstrap, in this order.

    Attributes:
        discover, read: what to ask the device for, before anything is changed.
        delete: what to delete.
        writes: what to write, by object instance.
        finish: whether the session ends with it; otherwise it stays open until it is told to.
    """

    delete: tuple[Path, ...]
    writes: Mapping[Path, tuple[Record, ...]]
    discover: tuple[Path, ...] = ()
    read: tuple[Path, ...] = ()
    finish: bool = True

    @property
    def records(self) -> tuple[Record, ...]:
        """All values, for a bootstrap pack."""
        return tuple(record for records in self.writes.values() for record in records)


def parse(body: object, definitions: Definitions) -> BootstrapConfig:
    """A configuration from JSON.

    Args:
        body: `{"delete": ["/1"], "objects": {"1": {"0": {"0": 101, "1": 300}}}}`, or Leshan's
            `{"toDelete": [...], "security": {"0": {...}}, "servers": {"0": {...}}}`; with either
            `"discover": ["/"]`, `"read": ["/1"]` and `"finish": false`.
        definitions: known objects, for types and ranges.

    Raises:
        InvalidValueError: a field, path or value is wrong.
    """
    if not isinstance(body, Mapping):
        raise InvalidValueError("body", body, f"an object with {', '.join(_FIELDS)}")
    for name in body:
        if name not in (*_FIELDS, "autoIdForSecurityObject", "acls", "oscore"):
            raise InvalidValueError("body", name, ", ".join(_FIELDS))
    deletes = [*_paths(body, "delete"), *_paths(body, "toDelete")]
    _, records = json_values.links_and_records(body.get("objects", {}))
    found = [*records, *_accounts(body, "security", 0, _SECURITY), *_accounts(body, "servers", 1, _SERVER)]
    writes: dict[Path, list[Record]] = {}
    for record in found:
        if record.value is None:
            raise InvalidValueError(str(record.path), None, "a value")
        value = definitions.check(record.path, record.value)
        writes.setdefault(Path(record.path.ids[:2]), []).append(Record(record.path, value))
    discover = tuple(map(check_discover, _paths(body, "discover")))
    read = tuple(map(check_read, _paths(body, "read")))
    if not (writes or deletes or discover or read):
        raise InvalidValueError("objects", {}, "something to delete or to write, to discover or to read")
    finish = body.get("finish", True)
    if not isinstance(finish, bool):
        raise InvalidValueError("finish", finish, "true or false")
    steps = {path: tuple(writes[path]) for path in sorted(writes)}
    return BootstrapConfig(tuple(deletes), steps, discover, read, finish)


def check_discover(path: Path) -> Path:
    """What a Bootstrap-Discover may ask for (Core 6.1.7.3).

    Raises:
        InvalidValueError: something else.
    """
    if path.level not in ("root", "object"):
        raise InvalidValueError("discover", str(path), "/ and objects")
    return path


def check_read(path: Path) -> Path:
    """What a Bootstrap-Read may ask for (Core 6.1.7.4).

    Raises:
        InvalidValueError: something else.
    """
    if path.level not in ("object", "instance") or path.ids[0] not in _READABLE:
        raise InvalidValueError("read", str(path), "/1, /2 and their instances")
    return path


def _paths(body: Mapping[str, Any], field: str) -> list[Path]:
    given = body.get(field, [])
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise InvalidValueError(field, given, "a list of paths")
    paths = [Path.parse(text) for text in given]
    for path in paths:
        if path.level not in ("root", "object", "instance"):
            raise InvalidValueError(field, str(path), "/, objects and instances")
    return paths


def _accounts(
    body: Mapping[str, Any], field: str, object_id: int, names: Mapping[str, int]
) -> Iterable[Record]:
    accounts = body.get(field, {})
    if not isinstance(accounts, Mapping):
        raise InvalidValueError(field, accounts, "an object of accounts by instance id")
    for number, account in accounts.items():
        instance = Path.parse(f"/{object_id}/{number}")
        if instance.level != "instance" or not isinstance(account, Mapping):
            raise InvalidValueError(field, number, "an instance id with an account")
        for name, value in account.items():
            if name in names and value is not None:
                yield Record(instance / names[name], _plain(name, value))


def _plain(name: str, value: Any) -> Any:
    if name == "securityMode" and isinstance(value, str):
        if value.upper() not in _MODES:
            raise InvalidValueError(name, value, ", ".join(_MODES))
        return _MODES[value.upper()]
    if isinstance(value, list):  # Leshan's keys: signed bytes
        if not all(isinstance(byte, int) and -128 <= byte < 256 for byte in value):
            raise InvalidValueError(name, value, "a list of bytes")
        return bytes(byte & 255 for byte in value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidValueError(name, value, "a finite number")
    return value
