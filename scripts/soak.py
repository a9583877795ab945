#!/usr/bin/env python3
"""Hurt a running native testbed at random moments and count every message, twice.

`kill -9`, SIGTERM and freezing of random parts, one or two at once, while `./testbed verify` keeps its
ledger. Afterwards kafka-python reads the same records and counts on its own. The seed makes a run
repeatable. Exit status 1 when either count misses a message.
"""

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition

ROOT = Path(__file__).resolve().parents[1]
PATHS = {
    "sparkplug.data": ("sparkplug", ["iot.telemetry.sparkplug.data"]),
    "lwm2m.bridge": ("lwm2m", ["iot.telemetry.lwm2m.registration", "iot.telemetry.lwm2m.updates"]),
    "lwm2m.http": ("lwm2m", ["iot.telemetry.lwm2m.http"]),
    "lwm2m.websocket": ("lwm2m", ["iot.telemetry.lwm2m.websocket"]),
}
PARTS = ("kafka", "lwm2m-server", "sparkplug-host", "mqtt-redpanda-bridge", "redpanda-connect")
Counts = dict[tuple[str, str], tuple[int, int]]
"""First and last number by device and stream."""
OFFSET = int(os.environ.get("TESTBED_PORT_OFFSET", "0"))


def main() -> int:
    """Run one soak; the exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--seconds", type=int, default=600)
    options.add_argument(
        "--broker", action="store_true", help="hurt Mosquitto as well, which may lose messages"
    )
    chosen = options.parse_args()
    dice = random.Random(chosen.seed)  # noqa: S311 - repeatable, not secret
    consumer, starts = open_topics()
    before = counters()
    verify = subprocess.Popen(
        ("./testbed", "verify", "--json", f"--seconds={chosen.seconds}", "--patience=60"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    began = time.monotonic()
    parts = (*PARTS, "mosquitto") if chosen.broker else PARTS
    while (at := time.monotonic() - began) < chosen.seconds - 45:
        say(f"{at:6.1f} s  {hurt(dice, parts)}")
        time.sleep(dice.uniform(1, 25))
    report = json.loads(verify.communicate(timeout=chosen.seconds + 300)[0])
    names = ("sent", "lost", "duplicated", "reordered", "paths", "missing", "problems")
    say(json.dumps({name: report[name] for name in names}))
    missing = independent_count(consumer, starts, before, counters())
    say(f"independent count: missing {dict(missing)}")
    return int(bool(report["lost"] or any(missing.values())))


def hurt(dice: random.Random, parts: tuple[str, ...]) -> str:
    """Do something to one or two parts; what it was."""
    victims = dice.sample(parts, dice.choice((1, 1, 1, 2)))
    done = []
    for victim in victims:
        pid = next((part["pid"] for part in status()["parts"] if part["name"] == victim), None)
        if not pid:
            done.append(f"{victim} is away")
            continue
        way = dice.choice(("kill -9", "kill -9", "SIGTERM", "freeze"))
        try:
            if way == "freeze":
                seconds = dice.uniform(1, 20)
                os.kill(pid, signal.SIGSTOP)
                time.sleep(seconds)
                os.kill(pid, signal.SIGCONT)
                way = f"freeze {seconds:.0f} s"
            else:
                os.kill(pid, signal.SIGKILL if way == "kill -9" else signal.SIGTERM)
        except ProcessLookupError:
            way = "ended by itself"
        done.append(f"{way} {victim}")
    return ", ".join(done)


def status() -> dict:
    """What `./testbed status` says."""
    command = ("./testbed", "status", "--json")
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return json.loads(answer.stdout)


def counters() -> Counts:
    """First and last number of each stream, from the simulators."""
    with urllib.request.urlopen(f"http://127.0.0.1:{8083 + OFFSET}/api/ledger", timeout=10) as answer:
        streams = json.load(answer)["streams"]
    return {(one["device"], one["stream"]): (one["first"], one["last"]) for one in streams}


def open_topics() -> tuple[KafkaConsumer, dict[TopicPartition, int]]:
    """A consumer, and where each partition ends now."""
    consumer = KafkaConsumer(bootstrap_servers=f"127.0.0.1:{9092 + OFFSET}", enable_auto_commit=False)
    partitions = [
        TopicPartition(topic, number)
        for _, topics in PATHS.values()
        for topic in topics
        for number in consumer.partitions_for_topic(topic)
    ]
    return consumer, consumer.end_offsets(partitions)


def independent_count(
    consumer: KafkaConsumer, starts: dict[TopicPartition, int], before: Counts, after: Counts
) -> collections.Counter:
    """Numbers between the two answers of the simulators that are not in the topics, by path."""
    seen = collections.defaultdict(set)
    consumer.assign(list(starts))
    ends = consumer.end_offsets(list(starts))
    for partition, offset in starts.items():
        consumer.seek(partition, offset)
    while any(consumer.position(partition) < end for partition, end in ends.items()):
        for partition, records in consumer.poll(timeout_ms=1000).items():
            for record in records:
                if (number := number_of(json.loads(record.value))) is not None:
                    seen[partition.topic, record.key.decode()].add(number)
    missing = collections.Counter()
    for path, (stream, topics) in PATHS.items():
        for (device, name), (first, last) in before.items():
            if name == stream and after[device, name][0] == first:
                found = set().union(*(seen[topic, device] for topic in topics))
                # What was sent in the last seconds may still be on its way.
                due = range(last + 1, after[device, name][1] - (5 if stream == "lwm2m" else 100) * 10)
                missing[path] += sum(number not in found for number in due)
    return missing


def number_of(record: dict) -> int | None:
    """The ledger's number in a record."""
    if "metrics" in record:
        return next((m["value"] for m in record["metrics"] if m["name"] == "Ledger/Sequence"), None)
    return (record.get("payload") or record.get("data") or {}).get("seq")


def say(text: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
