"""Bytes of each LwM2M operation on the wire, read off the broker while a device is managed."""

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import ClientSession

from iiot.errors import IiotError
from iiot.http_client import open_session
from iiot.lwm2m import json_profile, oma_profile
from iiot.lwm2m.message import Command, Downlink, Operation, Response, Uplink
from iiot.mqtt import Message, Subscription
from iiot.mqtt.wire import encode_length
from testbed.bench import devices
from testbed.bench.fleet import BATTERY, Fleet
from testbed.engines.native.errors import PartError

CAPTURE_TIMEOUT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Call:
    """A REST request that makes the server send something."""

    method: str
    path: str
    body: str | None = None


CALLS: Final = (
    Call("GET", BATTERY),
    Call("GET", "/3/0"),
    Call("GET", "/composite?paths=/3/0/9,/1/0/1"),
    Call("GET", "/3/0/discover"),
    Call("PUT", "/1/0/1", "3600"),
    Call("PUT", f"{BATTERY}/attributes?pmin=0&pmax=1"),
    Call("POST", f"{BATTERY}/observe"),
    Call("POST", "/1/0/8"),
)
"""The last one, the Registration Update Trigger, makes the device send an Update."""
FINAL_CALLS: Final = (Call("DELETE", f"{BATTERY}/observe?active"), Call("POST", "/3/0/4"))
"""The last one makes the device reboot, and so register again."""


class Capture:
    """Sorts messages by operation.

    Args:
        endpoint: of the device to look at.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._sizes: dict[str, list[int]] = defaultdict(list)
        self._answers: dict[str, list[int]] = defaultdict(list)
        self._open: dict[str, str] = {}

    def hear(self, message: Message) -> None:
        """Take in a message of the broker."""
        message.ack()
        decoded = self._decode(message.topic, message.payload)
        if decoded is None:
            return
        size = packet_bytes(message.topic, message.payload)
        if isinstance(decoded, Response):
            token, operation = decoded.token, decoded.operation
            name = operation.value if operation is not None else self._open.pop(token, None)
            if name is not None:
                self._answers[name].append(size)
            return
        name = _name_of(decoded) if isinstance(decoded, Command) else type(decoded).__name__.lower()
        self._sizes[name].append(size)
        if decoded.token and name != "notify":
            self._open[decoded.token] = name

    def has(self, names: Sequence[str]) -> bool:
        """Whether all these operations were seen."""
        return all(name in self._sizes for name in names)

    def sizes(self) -> dict[str, dict[str, float]]:
        """Median size of request and answer, by operation; 0 where there is no answer."""
        return {
            name: {
                "request": statistics.median(sizes),
                "answer": statistics.median(self._answers.get(name, [0])),
            }
            for name, sizes in self._sizes.items()
        }

    def _decode(self, topic: str, payload: bytes) -> Uplink | Downlink | None:
        try:
            if topic.startswith("lwm2m/rd/"):
                where = oma_profile.parse_topic(topic)
                if where.endpoint != self._endpoint:
                    return None
                return oma_profile.decode_uplink(where, payload) or oma_profile.decode_downlink(
                    where, payload
                )
            place = json_profile.parse_topic(topic)
            if place.endpoint != self._endpoint:
                return None
            if place.kind in json_profile.DOWN_KINDS:
                return json_profile.decode_downlink(place, payload)
            return json_profile.decode_uplink(place, payload)
        except IiotError:
            return None


def packet_bytes(topic: str, payload: bytes) -> int:
    """Size of a PUBLISH with QoS 1 and without properties (MQTT 5 §3.3)."""
    rest = 2 + len(topic.encode()) + 2 + 1 + len(payload)
    return 1 + len(encode_length(rest)) + rest


def _name_of(command: Command) -> str:
    path = command.path
    whole = command.operation is Operation.READ and path is not None and path.level == "instance"
    return "read-instance" if whole else command.operation.value


async def measure_sizes(fleet: Fleet) -> Mapping[str, Mapping[str, float]]:
    """Manage the first device of a fleet that says little else; bytes of each operation.

    Raises:
        PartError: the device or the server did not do what was asked.
    """
    endpoint = fleet.endpoints[0]
    capture = Capture(endpoint)
    watcher = await devices.connect(fleet.broker.plain, "testbed-bench-watcher", capture.hear)
    await watcher.subscribe(Subscription("lwm2m/#"))
    async with open_session(base_url=f"http://127.0.0.1:{fleet.server}/") as session:
        await _call_all(session, endpoint, CALLS)
        await _until(capture, ("update", "send", "notify"))
        await _call_all(session, endpoint, FINAL_CALLS)
        await _until(capture, ("register",))
    await watcher.disconnect()
    return capture.sizes()


async def _call_all(session: ClientSession, endpoint: str, calls: Sequence[Call]) -> None:
    for call in calls:
        path = f"/api/clients/{endpoint}{call.path}"
        async with session.request(call.method, path, data=call.body) as answer:
            if answer.status != 200 or (await answer.json()).get("delayed"):
                raise PartError("devices", f"{call.method} {path}: {answer.status} {await answer.text()}")


async def _until(capture: Capture, names: Sequence[str]) -> None:
    deadline = time.monotonic() + CAPTURE_TIMEOUT
    while not capture.has(names):
        if time.monotonic() > deadline:
            raise PartError("devices", f"not all of {', '.join(names)} seen within {CAPTURE_TIMEOUT:g} s")
        await asyncio.sleep(0.1)
