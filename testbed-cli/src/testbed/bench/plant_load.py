"""Load generator: `python -m testbed.bench.plant_load` publishes births, or data in turn of all edge nodes.

One connection speaks for all of them. Options come as JSON on standard input. It prints `begin`, `end` when
all was sent, then the result as JSON.
"""

import asyncio
import sys
import time
from dataclasses import dataclass

import orjson
import uvloop

from iiot.mqtt import Connection
from iiot.sparkplug.sequence import MODULO
from iiot.sparkplug.topic import MessageType
from testbed.bench import devices, plant

TICK = 0.005
CHUNK = 64


@dataclass(frozen=True, slots=True)
class PlantLoad:
    """What to publish, at QoS 0.

    Attributes:
        port: plain listener of a broker on this host.
        nodes: edge nodes.
        metrics: of the device of each, in births.
        count: DATA messages; 0 for the births.
        first: DATA messages that were sent before.
        rate: messages per second; 0 for as many as the broker takes.
    """

    port: int
    nodes: int
    metrics: int
    count: int
    first: int
    rate: float


@dataclass(frozen=True, slots=True)
class PlantSent:
    """What was sent; `began` is the system's monotonic time in s."""

    began: float
    sent: int


def main() -> None:
    """Send all."""
    load = PlantLoad(**orjson.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(_run(load))))


async def _run(load: PlantLoad) -> PlantSent:
    connection = await devices.connect(load.port, "testbed-bench-plant", lambda message: message.ack())
    now_ms = time.time_ns() // 1_000_000
    births = [(plant.topic_of(MessageType.NBIRTH, n), plant.node_birth(now_ms)) for n in range(load.nodes)]
    birth = plant.device_birth(load.metrics, now_ms)
    births += [(plant.topic_of(MessageType.DBIRTH, n), birth) for n in range(load.nodes)]
    topics = [plant.topic_of(MessageType.DDATA, n) for n in range(load.nodes)]
    payloads = plant.data(now_ms)
    print("begin", flush=True)  # noqa: T201 - told to the parent
    began, count = time.monotonic(), load.count or len(births)
    for at in range(0, count, CHUNK):
        for number in range(at, min(at + CHUNK, count)):
            if load.count:
                round_, node = divmod(load.first + number, load.nodes)
                connection.publish(topics[node], payloads[(plant.FIRST_SEQ + round_) % MODULO])
            else:
                connection.publish(*births[number])
        await _pace(connection, load.rate, began, at + CHUNK)
    await connection.drain()
    print("end", flush=True)  # noqa: T201
    await connection.disconnect()
    return PlantSent(began, count)


async def _pace(connection: Connection, rate: float, began: float, sent: int) -> None:
    await connection.drain()
    ahead = began + sent / rate - time.monotonic() if rate else 0
    if ahead > TICK:
        await asyncio.sleep(ahead)


if __name__ == "__main__":
    main()
