"""Load generator: `python -m testbed.bench.registering` registers devices and waits for the answers.

One connection speaks for all devices. Options come as JSON on standard input. It prints `begin` after the
warm-up, `end` when the last device was answered, then the result as JSON.
"""

import asyncio
import sys
import time
from dataclasses import dataclass

import orjson
import uvloop

from iiot.errors import IiotError
from iiot.lwm2m import json_profile, oma_profile
from iiot.lwm2m.message import Code, Downlink, Response
from iiot.mqtt import Connection, Message, Subscription
from testbed.bench import devices

ANSWER_TIMEOUT = 20.0
"""Seconds without any answer after which the rest is missing."""
CLIENT_ID = "testbed-bench-devices"


@dataclass(frozen=True, slots=True)
class Registering:
    """What to send.

    Attributes:
        port: plain listener of a broker on this host.
        profile: `json` or `oma`.
        first: number of the first device.
        warmup: devices that register before measuring.
        count: devices that register then.
        window: registrations without an answer at a time.
    """

    port: int
    profile: str
    first: int
    warmup: int
    count: int
    window: int


@dataclass(frozen=True, slots=True)
class Registered:
    """What came of it; times in ms.

    Attributes:
        accepted: answered with 2.01, in the measured span.
        refused: answered otherwise, over the whole run.
        missing: without an answer, over the whole run.
        register_bytes, answer_bytes: topic and payload of one of each.
    """

    seconds: float
    accepted: int
    refused: int
    missing: int
    register_bytes: int
    answer_bytes: int
    p50: float
    p99: float


class Devices:
    """The devices' side."""

    def __init__(self, load: Registering) -> None:
        self.latencies: list[int] = []
        self.refused = self.register_bytes = self.answer_bytes = 0
        self._load = load
        self._waiting: dict[str, int] = {}
        self._changed = asyncio.Event()

    async def run(self) -> Registered:
        """Register all."""
        load = self._load
        connection = await devices.connect(load.port, CLIENT_ID, self._hear)
        is_json = load.profile == "json"
        answers = "lwm2m/+/ack/reg" if is_json else "lwm2m/rd/+"
        await connection.subscribe(Subscription(answers, qos=1, no_local=True))
        await self._register(connection, load.first, load.warmup)
        missing = len(self._waiting)
        self._waiting.clear()
        self.latencies.clear()
        _say("begin")
        started = time.perf_counter()
        await self._register(connection, load.first + load.warmup, load.count)
        seconds = time.perf_counter() - started
        _say("end")
        missing += len(self._waiting)
        await connection.disconnect()
        times = sorted(self.latencies) or [0]
        p50, p99 = (round(times[int(len(times) * q)] / 1e6, 2) for q in (0.5, 0.99))
        return Registered(
            round(seconds, 3), len(self.latencies), self.refused, missing,
            self.register_bytes, self.answer_bytes, p50, p99,
        )  # fmt: skip

    async def _register(self, connection: Connection, first: int, count: int) -> None:
        waiting, load = self._waiting, self._load
        for number in range(first, first + count):
            topic, payload = devices.register(load.profile, number, number, time.time_ns() // 1_000_000)
            waiting[devices.name_of(number)] = time.perf_counter_ns()
            connection.publish(topic, payload, qos=1)
            self.register_bytes = len(topic) + len(payload)
            if not await self._shrinks_to(load.window - 1):
                return
        await self._shrinks_to(0)

    async def _shrinks_to(self, most: int) -> bool:
        while (before := len(self._waiting)) > most:
            self._changed.clear()
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    await self._changed.wait()
            except TimeoutError:
                if len(self._waiting) == before:
                    return False
        return True

    def _hear(self, message: Message) -> None:
        message.ack()
        endpoint, code = self._answer(message)
        sent = self._waiting.pop(endpoint, None)
        if sent is None:
            return
        self.answer_bytes = len(message.topic) + len(message.payload)
        if code is Code.CREATED:
            self.latencies.append(time.perf_counter_ns() - sent)
        else:
            self.refused += 1
        self._changed.set()

    def _answer(self, message: Message) -> tuple[str, Code | None]:
        decoded: Downlink | None
        try:
            if self._load.profile == "json":
                place = json_profile.parse_topic(message.topic)
                endpoint, decoded = place.endpoint, json_profile.decode_downlink(place, message.payload)
            else:
                where = oma_profile.parse_topic(message.topic)
                endpoint, decoded = where.endpoint, oma_profile.decode_downlink(where, message.payload)
        except IiotError:
            return "", None
        return endpoint, decoded.code if isinstance(decoded, Response) else None


def main() -> None:
    """Register all devices, then print what came of it."""
    load = Registering(**orjson.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(Devices(load).run())))


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
