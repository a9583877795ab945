"""Redpanda Connect as a rival of the bridge: its configurations, and the best of them on this machine.

Which one is fastest depends on the machine, and a comparison with a slow one says nothing, so all of a kind
are tried on the same broker and the same warm Kafka, and the best is the one that is measured.
"""

import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

import yaml

from testbed.bench.load import RAW_PREFIX, Load
from testbed.bench.measure import measure, settle
from testbed.bench.parts import Parts, free_ports
from testbed.bench.rig import RAW_TOPIC, Rig
from testbed.engines.native.process import Command

FILTER: Final = f"{RAW_PREFIX}/+"
TRIAL_SECONDS: Final = 3.0
"""Measured for each configuration that is tried, after a second of warm-up."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What of Redpanda Connect's configuration changes its speed.

    Attributes:
        output: `kafka_franz` or `redpanda`.
        threads: of the pipeline; None: its default, one per processor.
        count, period: messages in a batch at most, and how long it waits for them.
        in_flight: batches on their way to Kafka; with one, and one thread, the order holds.
        clean_session: the broker keeps nothing for it while it is away.
    """

    output: str
    threads: int | None
    count: int
    period: str
    in_flight: int
    clean_session: bool = False

    def __str__(self) -> str:
        threads = "default" if self.threads is None else str(self.threads)
        session = "clean" if self.clean_session else "persistent"
        return (
            f"{self.output}, threads {threads}, batches of {self.count} or {self.period},"
            f" {self.in_flight} in flight, {session} session"
        )


IN_ORDER: Final = (
    Configuration("redpanda", 1, 500, "5ms", 1),
    Configuration("redpanda", 1, 500, "10ms", 1),
    Configuration("kafka_franz", 1, 500, "10ms", 1),
    Configuration("redpanda", 1, 2_000, "20ms", 1),
    Configuration("kafka_franz", 1, 2_000, "20ms", 1),
    Configuration("kafka_franz", 1, 5_000, "20ms", 1),
)
OUT_OF_ORDER: Final = (
    Configuration("redpanda", None, 500, "10ms", 64),
    Configuration("kafka_franz", None, 500, "10ms", 64),
    Configuration("kafka_franz", None, 2_000, "20ms", 64),
    Configuration("kafka_franz", 1, 500, "10ms", 64),
)
CLEAN: Final = (
    Configuration("redpanda", None, 500, "10ms", 64, clean_session=True),
    Configuration("kafka_franz", None, 500, "10ms", 64, clean_session=True),
    Configuration("kafka_franz", None, 2_000, "20ms", 64, clean_session=True),
)


@dataclass(frozen=True, slots=True)
class Tried:
    """A configuration, and the messages a second that it passed on in its trial."""

    configuration: Configuration
    rate: float

    def as_json(self) -> dict[str, Any]:
        """Its members."""
        return {**asdict(self.configuration), "rate": self.rate}


class Rival:
    """Redpanda Connect beside a broker and a Kafka that has the topic."""

    def __init__(self, parts: Parts, program: Sequence[str], mqtt: int, brokers: str) -> None:
        self._parts, self._program = parts, program
        self._mqtt, self._brokers = mqtt, brokers

    def try_all(
        self, candidates: Sequence[Configuration], load: Load, *, partitions: int, settling: float
    ) -> list[Tried]:
        """Measure each candidate shortly on the same Kafka, once that is warm; the best comes first.

        Args:
            candidates: configurations that promise the same.
            load: what is sent.
            partitions: of the topic.
            settling: seconds at most until Kafka is warm.
        """
        tried: list[Tried] = []
        for candidate in candidates:
            with self.running(candidate) as rig:
                if not tried:
                    settle(rig, load, partitions=partitions, limit=settling)
                run = measure(rig, load, partitions=partitions, warmup=1.0, seconds=TRIAL_SECONDS)
                tried.append(Tried(candidate, run.rate))
        return sorted(tried, key=lambda one: -one.rate)

    @contextmanager
    def running(self, configuration: Configuration) -> Iterator[Rig]:
        """Redpanda Connect with a configuration."""
        (http,) = free_ports(1)
        file = self._parts.directory / "connect.yaml"
        file.write_text(yaml.safe_dump(document(configuration, self._mqtt, self._brokers, http)))
        command = Command((*self._program, str(file)), self._parts.directory)
        self._parts.program("bridge", command, lambda: _is_ready(http))
        try:
            yield Rig(self._mqtt, self._brokers, dict(self._parts.pids))
        finally:
            self._parts.end("bridge")


def document(configuration: Configuration, mqtt: int, brokers: str, http: int) -> dict[str, Any]:
    """The file that Redpanda Connect reads."""
    pipeline = {} if configuration.threads is None else {"pipeline": {"threads": configuration.threads}}
    return {
        "http": {"address": f"127.0.0.1:{http}"},
        "logger": {"level": "WARN"},
        "input": {
            "mqtt": {
                "urls": [f"tcp://127.0.0.1:{mqtt}"],
                "client_id": "bench-connect",
                "topics": [FILTER],
                "qos": 1,
                "clean_session": configuration.clean_session,
            }
        },
        **pipeline,
        "output": {
            configuration.output: {
                "seed_brokers": [brokers],
                "topic": RAW_TOPIC,
                "key": '${! metadata("mqtt_topic").re_find_all("[^/]+").index(1) }',
                "acks": "all",
                "idempotent_write": True,
                "compression": "none",
                "max_in_flight": configuration.in_flight,
                "batching": {"count": configuration.count, "period": configuration.period},
            }
        },
    }


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
