"""One table of what every part shows from outside, and what arrives in every topic."""

import itertools
import json
import urllib.error
import urllib.request

import pytest
from kafka import KafkaConsumer

from schema_check import check_record
from support import wait_until

SIGNALS = [
    # part, port, path, a text that the answer holds
    ("lwm2m-server", 8080, "/api/health", '"status":"healthy"'),
    ("lwm2m-server", 8080, "/api/clients", "device-temp-001"),
    ("lwm2m-server", 8080, "/api/clients/device-temp-001", "device-temp-001"),
    ("lwm2m-server", 8080, "/api/clients/device-temp-001/3/0/0", "IoT Testing Corp"),
    ("lwm2m-server", 8080, "/api/events?limit=5", '"events":['),
    ("lwm2m-server", 8080, "/metrics", "lwm2m_active_devices 2.0"),
    ("sparkplug-host", 8081, "/api/health", '"status":"healthy"'),
    ("sparkplug-host", 8081, "/metrics", "sparkplug_devices_online 2.0"),
    ("mqtt-redpanda-bridge", 8082, "/api/health", '"status":"healthy"'),
    ("mqtt-redpanda-bridge", 8082, "/metrics", "bridge_"),
    ("device-simulator", 8083, "/api/health", '"status":"healthy"'),
    ("device-simulator", 8083, "/api/ledger", '"stream":"sparkplug"'),
    ("device-simulator", 8083, "/metrics", "simulator_"),
    ("console", 8088, "/", "<title>IoT testbed</title>"),
    ("console", 8088, "/api/overview", '"status":"healthy"'),
    ("console", 8088, "/api/devices", "device-temp-001"),
    ("console", 8088, "/metrics", "console_streams_open"),
    ("redpanda-connect", 8087, "/ready", ""),
    ("redpanda-connect", 8087, "/metrics", "connect_"),
    ("redpanda-connect", 8087, "/connectors", "lwm2m-http-source"),
    ("redpanda-connect", 8087, "/connectors/lwm2m-http-source/status", "RUNNING"),
    ("prometheus", 9090, "/api/v1/query?query=sum(up)", '"success"'),
    ("prometheus", 9090, "/api/v1/query?query=sparkplug_devices_online", "sparkplug-host"),
    ("prometheus", 9090, "/api/v1/query?query=lwm2m_active_devices", "lwm2m-server"),
]

TOPICS = {
    # topic: a field that every value has
    "iot.telemetry.sparkplug.data": "metrics",
    "iot.telemetry.lwm2m.registration": "operation",
    "iot.telemetry.lwm2m.updates": "operation",
    "iot.telemetry.lwm2m.http": "endpoint",
    "iot.telemetry.lwm2m.websocket": "endpoint",
}


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - loopback
            return response.read().decode()
    except urllib.error.HTTPError as exc:
        raise AssertionError(f"{url}: {exc.code} {exc.read()[:300]!r}") from exc


@pytest.mark.parametrize(("part", "port", "path", "expected"), SIGNALS, ids=lambda value: str(value))
def test_a_part_shows_its_signal(testbed, part, port, path, expected):
    def answer():
        text = get(testbed.url(port, path))
        assert expected in text.replace('": ', '":'), text[:500]
        return True

    wait_until(answer, f"{part} {path}", seconds=20, interval=0.5)


def checked(record):
    check_record(record)
    return record


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_holds_events_of_devices(testbed, topic):
    consumer = KafkaConsumer(
        topic, bootstrap_servers=testbed.brokers, auto_offset_reset="earliest", consumer_timeout_ms=15_000
    )
    try:
        # Experiments of other tests have written too: with device ids of their own.
        record = next(one for one in map(checked, consumer) if one.key.startswith(b"device-"))
        for one in itertools.chain.from_iterable(consumer.poll(timeout_ms=1000, max_records=5000).values()):
            check_record(one)
    finally:
        consumer.close()
    headers = dict(record.headers)
    assert TOPICS[topic] in json.loads(record.value)
    assert headers["ce_specversion"] == b"1.0"
    assert headers["content-type"] == b"application/json"


def test_prometheus_scrapes_every_part(testbed):
    def all_up():
        targets = json.loads(get(testbed.url(9090, "/api/v1/targets")))["data"]["activeTargets"]
        health = {target["labels"]["job"]: (target["health"], target["lastError"]) for target in targets}
        assert {"lwm2m-server", "sparkplug-host", "mqtt-redpanda-bridge", "device-simulator"} <= health.keys()
        assert all(state == "up" for state, _ in health.values()), health
        return True

    wait_until(all_up, "all targets are up", seconds=30, interval=1)
