"""The latest state of each device, for the compacted topic `iot.state.devices`."""

from collections import OrderedDict
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from iiot import schemas
from iiot.kafka import Headers
from iiot.lwm2m import registration
from iiot.lwm2m.message import Deregister, Register, Update
from iiot.lwm2m.model import built_in
from iiot.sparkplug.payload import Payload
from iiot.sparkplug.topic import DATA, MessageType, Topic
from iiot.topics import DEVICE_STATE
from mqtt_redpanda_bridge.events import EventHeaders

MAX_DEVICES: Final = 50_000
"""Devices whose state is kept in memory, about 1.2 kB each."""
MAX_BEHIND: Final = 1_000
"""Devices behind one edge node: each birth and death of one writes them all, 60 bytes and a name each."""
_DEATH: Final = MessageType.NDEATH


class _Record(BaseModel):
    """Part of a record; anyone may have written it."""

    model_config = ConfigDict(strict=True)


class _Liveness(_Record):
    online: bool
    since: int


class _Node(_Liveness):
    group: str
    bd_seq: int | None
    devices: dict[str, _Liveness]


class _Registration(_Record):
    registered: bool
    since: int
    lifetime: int | None


class _Written(_Record):
    device: str
    last_seen: int | None
    sparkplug: _Node | None
    lwm2m: _Registration | None


class DeviceStates:
    """Learns from messages; hands out the state of a device when it has to be written.

    That is at once when a device is born, dies, registers or deregisters, and else after `interval_ms` since
    the last time, for `last_seen`. Times are those of receipt, UTC ms.

    Args:
        interval_ms: None: learn nothing.
        limit: devices; beyond it the one that was silent for longest is forgotten. When it comes back, what
            it does not tell again is unknown.

    Attributes:
        forgotten: devices forgotten for `limit`, and those behind edge nodes for `MAX_BEHIND`.
    """

    def __init__(self, interval_ms: int | None = None, limit: int = MAX_DEVICES) -> None:
        self.forgotten = 0
        self._is_on = interval_ms is not None
        self._interval_ms = interval_ms or 0
        self._limit = limit
        self._states: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._written: dict[str, int] = {}
        self._due: str | None = None

    @property
    def count(self) -> int:
        """Devices known."""
        return len(self._states)

    def restore(self, key: bytes, value: bytes) -> None:
        """Go on from a record of an earlier bridge; one that cannot be read is passed over.

        Args:
            key: the device, as `take` writes it.
            value: its state; empty: somebody removed it.
        """
        if not value:
            self._forget(key.decode(errors="replace"))
            return
        try:
            state = _Written.model_validate_json(value)
        except ValidationError:
            return
        self._keep(state.device, state.model_dump())
        self._written[state.device] = state.last_seen or 0

    def adopt(self, other: "DeviceStates") -> None:
        """Forget everything and go on from what `other` knows."""
        self.forgotten += other.forgotten
        self._states, self._written = other._states, other._written  # noqa: SLF001 - of the same class

    def take(self) -> tuple[bytes, bytes, Headers] | None:
        """Key, value and headers of the record that the message just learnt from gives rise to, if any."""
        device, self._due = self._due, None
        if device is None:
            return None
        schema = schemas.uri(schemas.STATE)
        headers = EventHeaders(DEVICE_STATE, "iot.device.state", device, "application/json", schema)
        return (
            device.encode(),
            orjson.dumps(self._states[device]),
            headers.at(None, self._written[device]),
        )

    def sparkplug(self, topic: Topic, message: Payload, now_ms: int) -> None:
        """A birth, data or death message."""
        if not self._is_on:
            return
        kind = topic.message_type
        if kind in DATA:
            self.seen(topic.edge_node, now_ms)
            return
        state = self._of(topic.edge_node)
        if kind is MessageType.NBIRTH:
            node = _liveness(now_ms, online=True)
            state["sparkplug"] = {"group": topic.group, **node, "bd_seq": _bd_seq(message), "devices": {}}
        elif kind is _DEATH:
            if not _bury(state["sparkplug"], _bd_seq(message), now_ms):
                return
        elif kind is MessageType.DBIRTH or kind is MessageType.DDEATH:
            node = state["sparkplug"]
            if node is not None and topic.device is not None:
                life = _liveness(now_ms, online=kind is MessageType.DBIRTH)
                self._note_behind(node["devices"], topic.device, life)
        self._note(topic.edge_node, now_ms, urgent=True, alive=kind is not _DEATH)

    def seen(self, device: str, now_ms: int) -> None:
        """A message that tells nothing but that the device is there."""
        if self._is_on:
            self._of(device)
            self._note(device, now_ms, urgent=False)

    def lwm2m(self, endpoint: str, message: object, profile: str, now_ms: int) -> None:
        """An uplink message of LwM2M: one that the server refuses tells only that the device is there.

        Args:
            endpoint: the device.
            message: what it says, as far as that matters here; None when it cannot be read.
            profile: `json` or `oma`.
            now_ms: time of receipt, UTC ms.
        """
        if not self._is_on:
            return
        urgent = False
        state = self._of(endpoint)
        if isinstance(message, Register | Update) and _is_accepted(message, profile):
            urgent = _registered(state, message, now_ms)
        elif isinstance(message, Deregister):
            state["lwm2m"] = {"registered": False, "since": now_ms, "lifetime": None}
            urgent = True
        self._note(endpoint, now_ms, urgent=urgent)

    def _note_behind(self, devices: dict[str, Any], name: str, life: dict[str, Any]) -> None:
        """Note the life of a device behind an edge node; the one that changed longest ago makes room."""
        devices.pop(name, None)
        while len(devices) >= MAX_BEHIND:
            offline = (known for known, state in devices.items() if not state["online"])
            del devices[next(offline, next(iter(devices)))]
            self.forgotten += 1
        devices[name] = life

    def _of(self, device: str) -> dict[str, Any]:
        state = self._states.get(device)
        if state is None:
            state = {"device": device, "last_seen": None, "sparkplug": None, "lwm2m": None}
        self._keep(device, state)
        return state

    def _keep(self, device: str, state: dict[str, Any]) -> None:
        self._states[device] = state
        self._states.move_to_end(device)
        if len(self._states) > self._limit:
            self._forget(next(iter(self._states)))
            self.forgotten += 1

    def _forget(self, device: str) -> None:
        self._states.pop(device, None)
        self._written.pop(device, None)

    def _note(self, device: str, now_ms: int, *, urgent: bool, alive: bool = True) -> None:
        if alive:
            self._states[device]["last_seen"] = now_ms
        # A clock that was set back must not silence a device.
        if urgent or not 0 <= now_ms - self._written.get(device, 0) < self._interval_ms:
            self._written[device] = now_ms
            self._due = device


def _is_accepted(message: Register | Update, profile: str) -> bool:
    try:
        registration.check(message, profile, built_in())
    except registration.RefusedError:
        return False
    return True


def _registered(state: dict[str, Any], message: Register | Update, now_ms: int) -> bool:
    """Note what a registration says; whether that has to be written at once."""
    known = state["lwm2m"]
    if isinstance(message, Register):
        state["lwm2m"] = {"registered": True, "since": now_ms, "lifetime": message.lifetime}
        return True
    # The server refuses an Update of a device that is not registered.
    if known is None or not known["registered"] or message.lifetime in (None, known["lifetime"]):
        return False
    known["lifetime"] = message.lifetime
    return True


def _liveness(now_ms: int, *, online: bool) -> dict[str, Any]:
    return {"online": online, "since": now_ms}


def _bury(node: dict[str, Any] | None, bd_seq: int | None, now_ms: int) -> bool:
    """Mark a node and its devices offline; False for a death of an earlier session, or of no known node."""
    if node is None or not node["online"]:
        return False
    if bd_seq is not None and node["bd_seq"] is not None and bd_seq != node["bd_seq"]:
        return False
    node.update(_liveness(now_ms, online=False))
    for device in node["devices"].values():
        if device["online"]:
            device.update(_liveness(now_ms, online=False))
    return True


def _bd_seq(message: Payload) -> int | None:
    found = next((metric.value for metric in message.metrics if metric.name == "bdSeq"), None)
    return found if type(found) is int else None
