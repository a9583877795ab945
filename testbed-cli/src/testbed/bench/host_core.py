"""`python -m testbed.bench.host_core`: the host's state machine alone, from bytes to changed state.

No broker, no socket: what a DDATA costs where it is decoded and applied. Options come as JSON on standard
input; it prints `begin` and `end` around the measured span, then the result as JSON.
"""

import sys
import time
from dataclasses import dataclass

import orjson

from iiot.sparkplug.host import SparkplugHost
from iiot.sparkplug.host_policy import HostPolicy
from iiot.sparkplug.payload import decode_payload
from iiot.sparkplug.sequence import MODULO
from iiot.sparkplug.topic import MessageType, Topic, parse_topic
from testbed.bench import plant


@dataclass(frozen=True, slots=True)
class CoreLoad:
    """What to apply: births of all edge nodes, then `count` DATA messages of them in turn."""

    nodes: int
    metrics: int
    count: int


@dataclass(frozen=True, slots=True)
class CoreResult:
    """Processor time in µs for each birth certificate and for each DDATA; `ignored` had no effect."""

    birth_us: float
    data_us: float
    ignored: int


def main() -> None:
    """Apply all."""
    load = CoreLoad(**orjson.loads(sys.stdin.buffer.read()))
    host = SparkplugHost(HostPolicy(), lambda: 0.5)
    now_ms = time.time_ns() // 1_000_000
    births = [(plant.topic_of(MessageType.NBIRTH, n), plant.node_birth(now_ms)) for n in range(load.nodes)]
    birth = plant.device_birth(load.metrics, now_ms)
    births += [(plant.topic_of(MessageType.DBIRTH, n), birth) for n in range(load.nodes)]
    birth_us = _apply(host, births, now_ms)
    topics = [plant.topic_of(MessageType.DDATA, n) for n in range(load.nodes)]
    payloads = plant.data(now_ms)
    messages = []
    for number in range(load.count):
        round_, node = divmod(number, load.nodes)
        messages.append((topics[node], payloads[(plant.FIRST_SEQ + round_) % MODULO]))
    print("begin", flush=True)  # noqa: T201 - told to the parent
    data_us = _apply(host, messages, now_ms)
    print("end", flush=True)  # noqa: T201
    ignored = host.counters.ignored + host.counters.gaps + host.counters.unknown_metrics
    sys.stdout.buffer.write(orjson.dumps(CoreResult(birth_us, data_us, ignored)))


def _apply(host: SparkplugHost, messages: list[tuple[str, bytes]], now_ms: int) -> float:
    started = time.process_time()
    for name, payload in messages:
        topic = parse_topic(name, accept_short_form=True)
        assert isinstance(topic, Topic)  # noqa: S101 - no STATE among them
        host.receive(topic, decode_payload(payload), now_ms)
    return round((time.process_time() - started) / len(messages) * 1e6, 2)


if __name__ == "__main__":
    main()
