"""One run of a bridge benchmark: warm up, measure, read the latencies off the topic."""

import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import orjson
from confluent_kafka import Consumer, KafkaException, TopicPartition

from iiot.topics import SPARKPLUG_DATA
from testbed.bench.load import STAMP, Load
from testbed.bench.rig import RAW_TOPIC, Rig
from testbed.bench.usage import cpu_of, cpu_seconds, microseconds_per, resident_bytes
from testbed.verify.histogram import Histogram

STEP: Final = 0.02
"""Seconds between looks at the topic, while the load is kept up."""
BACKLOG: Final = 6_000
"""Messages that may be on their way when the rate is not fixed: enough to keep every part busy."""
PATIENCE: Final = 30.0
"""Seconds for what was sent to reach the topic."""
SETTLE_STEP: Final = 5.0
"""Seconds over which Kafka's processor time for a message is taken while it warms up."""
SETTLED: Final = 0.9
"""Of what a message took before: less is still getting cheaper."""


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured; times are those of the measured span, after the warm-up.

    Attributes:
        rate: messages per second that reached the topic.
        cpu_us: CPU microseconds per message by process.
        bridge_rss_mb: resident memory of the bridge at the end.
        latency_ms: publish to Kafka's time of storing: p50, p99, max.
        sent: by the load generator over the whole run.
        missing: of these, how many never reached the topic.
    """

    seconds: float
    messages: int
    rate: float
    cpu_us: dict[str, float]
    bridge_rss_mb: float
    latency_ms: dict[str, int | None]
    sent: int
    missing: int


def settle(rig: Rig, load: Load, *, partitions: int, limit: float) -> int:
    """Have as much pass as can, until a message costs Kafka no less than before, at most `limit` seconds.

    Kafka's virtual machine compiles what it runs often: for half a minute and more, on cores that the other
    parts share, and each message costs it several times what it costs later.

    Returns:
        Messages that never reached the topic.
    """
    kafka = rig.pids["kafka"]
    pressure = _Pressure(rig, replace(load, rate=0), partitions)
    least, dearer = math.inf, 0
    try:
        for _ in range(int(limit / SETTLE_STEP)):
            count, before = pressure.topic.count(), cpu_seconds(kafka)
            pressure.keep_up(SETTLE_STEP)
            each = (cpu_seconds(kafka) - before) / max(pressure.topic.count() - count, 1)
            dearer = 0 if each < least * SETTLED else dearer + 1
            least = min(least, each)
            if dearer == 3:
                break
    finally:
        pressure.stop()
    return pressure.missing()


def measure(rig: Rig, load: Load, *, partitions: int, warmup: float, seconds: float) -> Run:
    """Put load on the rig and measure.

    Args:
        rig: running parts.
        load: what to send.
        partitions: of the topic.
        warmup: seconds before measuring.
        seconds: to measure.
    """
    pressure = _Pressure(rig, load, partitions)
    topic, pids = pressure.topic, {**rig.pids, "load": pressure.generator.pid}
    try:
        pressure.keep_up(warmup)
        first, offsets, started = topic.count(), topic.offsets(), time.monotonic()
        before = cpu_of(pids)
        pressure.keep_up(seconds)
        last, elapsed = topic.count(), time.monotonic() - started
        after = cpu_of(pids)
    finally:
        pressure.stop()
    messages = last - first
    missing = pressure.missing()
    latencies = topic.latencies(offsets, messages, load.form)
    return Run(
        seconds=round(elapsed, 3),
        messages=messages,
        rate=round(messages / elapsed, 1),
        cpu_us=microseconds_per(messages, before, after),
        bridge_rss_mb=round(resident_bytes(rig.pids["bridge"]) / 1e6, 1),
        latency_ms={
            "p50": latencies.quantile(0.5),
            "p99": latencies.quantile(0.99),
            "max": latencies.quantile(1.0),
        },
        sent=pressure.sent,
        missing=missing,
    )


def median(runs: list[Run]) -> dict[str, Any]:
    """The median of each figure over several runs."""
    return {
        "rate": statistics.median(run.rate for run in runs),
        "cpu_us": {name: statistics.median(run.cpu_us[name] for run in runs) for name in runs[0].cpu_us},
        "bridge_rss_mb": statistics.median(run.bridge_rss_mb for run in runs),
        "latency_ms": {
            name: statistics.median(run.latency_ms[name] or 0 for run in runs) for name in runs[0].latency_ms
        },
        "missing": sum(run.missing for run in runs),
    }


class _Pressure:
    """Load on a rig, and the topic that it ends up in.

    Attributes:
        sent: messages, known once it has stopped.
    """

    def __init__(self, rig: Rig, load: Load, partitions: int) -> None:
        self.topic = _Topic(
            rig.kafka_brokers, RAW_TOPIC if load.form == "raw" else SPARKPLUG_DATA, partitions
        )
        self.sent = 0
        self._births = load.topics if load.form == "sparkplug" else 0
        self._begin = self.topic.count()
        self.generator = _Generator(load)

    def keep_up(self, seconds: float) -> None:
        """Go on for a while."""
        self.generator.keep_up(self.topic, self._begin, seconds)

    def stop(self) -> None:
        """End the load."""
        self.sent = self.generator.stop()

    def missing(self) -> int:
        """Wait for what was sent; how many never reached the topic."""
        return self.topic.wait_for(self._begin + self._births + self.sent)


class _Generator:
    def __init__(self, load: Load) -> None:
        self._fixed_rate = bool(load.rate)
        self._process = subprocess.Popen(
            (sys.executable, "-m", "testbed.bench.load"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._tell(orjson.dumps(asdict(load)))

    @property
    def pid(self) -> int:
        return self._process.pid

    def keep_up(self, topic: "_Topic", begin: int, seconds: float) -> None:
        """Let it send what the topic has taken, plus `BACKLOG`, for a while."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if not self._fixed_rate:
                self._tell(b"%d" % (topic.count() - begin + BACKLOG))
            time.sleep(min(STEP, left))

    def stop(self) -> int:
        """End it; the number of messages sent."""
        output, _ = self._process.communicate(timeout=30)
        return int(output or 0)

    def _tell(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()


class _Topic:
    def __init__(self, brokers: str, name: str, partitions: int) -> None:
        self._partitions = [TopicPartition(name, number) for number in range(partitions)]
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": "testbed-bench",
                "log_level": 2,
                "enable.auto.commit": False,
            }
        )

    def offsets(self) -> list[TopicPartition]:
        """Where each partition ends now."""
        return [TopicPartition(one.topic, one.partition, self._end(one)) for one in self._partitions]

    def count(self) -> int:
        """Records in the topic."""
        return sum(one.offset for one in self.offsets())

    def wait_for(self, total: int) -> int:
        """Wait until the topic holds `total` records; how many are missing after `PATIENCE`."""
        deadline = time.monotonic() + PATIENCE
        while (missing := total - self.count()) > 0 and time.monotonic() < deadline:
            time.sleep(0.1)
        return max(0, missing)

    def latencies(self, offsets: list[TopicPartition], count: int, form: str) -> Histogram:
        """From the sending time in the value to Kafka's time stamp, of `count` records from `offsets` on."""
        histogram = Histogram()
        self._consumer.assign(offsets)
        while histogram.count < count and (batch := self._consumer.consume(10_000, timeout=5)):
            for message in batch:
                histogram.add(message.timestamp()[1] - _sent_ms(message.value() or b"", form))
        self._consumer.unassign()
        return histogram

    def _end(self, partition: TopicPartition) -> int:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return int(self._consumer.get_watermark_offsets(partition, timeout=5)[1])
            except KafkaException:  # a topic made this moment has no leader yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def _sent_ms(value: bytes, form: str) -> int:
    if form == "raw":
        return int(STAMP.unpack_from(value)[0])
    at = value.index(b'"timestamp":') + 12
    return int(value[at : at + 13])
