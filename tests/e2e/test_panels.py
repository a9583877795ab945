"""Every panel and every alert shows figures on a testbed that runs, is used, and has faults."""

import json
import os
import signal
import urllib.request
from collections.abc import Iterator

import paho.mqtt.client as paho
import pytest

from observability import alerts, ask, has_figures, panels, selectors
from support import wait_until

DEVICE = "device-temp-001"
STRANGER = "device-poison"


@pytest.fixture(scope="module")
def prometheus(testbed) -> Iterator[str]:
    """Address of Prometheus, after traffic in every direction and one fault of each kind."""
    command_and_read(testbed)
    poison(testbed)
    bridge = testbed.part("mqtt-redpanda-bridge")
    os.kill(bridge["pid"], signal.SIGKILL)
    wait_until(lambda: restarted(testbed, bridge), "the bridge is healthy again", seconds=60, interval=0.5)
    return testbed.url(9090, "")


def restarted(testbed, before):
    part = testbed.part(before["name"])
    return part["state"] == "healthy" and part["restarts"] > before["restarts"]


def request(url, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - loopback
    with urllib.request.urlopen(asked, timeout=10) as response:  # noqa: S310
        return response.read()


def command_and_read(testbed):
    """Commands of both protocols to a device, and a rebirth."""
    for path in ("3/0/0", "3/0/9"):
        request(testbed.url(8080, f"/api/clients/{DEVICE}/{path}"))
    request(testbed.url(8081, f"/api/nodes/{DEVICE}/rebirth"), "POST")
    request(testbed.url(8081, "/api/nodes"))


def poison(testbed):
    """A registration that is refused, Sparkplug data without a birth, and bytes that are no payload."""
    issued = testbed.run("certs", "issue", STRANGER, "--json")
    files = json.loads(issued.stdout)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, STRANGER, protocol=paho.MQTTv5)
    client.tls_set(files["ca"], files["cert"], files["key"])
    client.connect("localhost", 8883 + testbed.offset)
    client.loop_start()
    try:
        for topic, payload in (
            (f"lwm2m/{STRANGER}/reg", b'{"endpoint": "somebody-else", "lifetime": -1}'),
            (f"spBv1.0/IIoT/NDATA/{STRANGER}", b"\xff\xff\xff no protobuf"),
        ):
            client.publish(topic, payload, qos=1).wait_for_publish(10)
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.parametrize("query", panels(), ids=lambda query: query.where)
def test_a_panel_shows_figures(prometheus, query):
    wait_until(lambda: has_figures(prometheus, query.expr), query.expr, seconds=60, interval=1)


@pytest.mark.parametrize("query", alerts(), ids=lambda query: query.where)
def test_an_alert_looks_at_series_that_exist(prometheus, query):
    ask(prometheus, query.expr)
    looked_at = selectors(query.expr)
    assert looked_at
    for selector in looked_at:
        wait_until(lambda one=selector: ask(prometheus, f"count({one})"), selector, seconds=60, interval=1)


FAULTS = {
    "a message that was no payload is a dead letter": 'kafka_topic_appended_total{topic=~".+dlq"} > 0',
    "a registration was refused": 'lwm2m_messages_total{operation="register", outcome="refused"} > 0',
    "a rebirth was asked for": 'sparkplug_commands_sent_total{purpose="rebirth"} > 0',
    "the host could not read a payload": "sparkplug_decode_errors_total > 0",
    "a command was answered": 'lwm2m_commands_total{operation="read", code="2.05"} > 0',
    "the bridge started again": 'changes(process_start_time_seconds{job="mqtt-redpanda-bridge"}[5m]) > 0',
    "the ledger is complete": "ledger_up == 1",
    "messages were balanced": "sum(ledger_delivered_messages_total) > 0",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_happened_shows(prometheus, fault):
    wait_until(lambda: ask(prometheus, FAULTS[fault]), FAULTS[fault], seconds=90, interval=1)


def test_nothing_is_lost_for_the_ledger(prometheus):
    [lost] = ask(prometheus, "sum(ledger_lost_messages_total)")
    assert lost["value"][1] == "0"


def test_an_alert_reaches_alertmanager_with_its_runbook(testbed, prometheus):
    def dead_letters():
        found = json.loads(request(testbed.url(9093, "/api/v2/alerts")))
        return [alert for alert in found if alert["labels"]["alertname"] == "DeadLetters"]

    [alert, *_] = wait_until(dead_letters, "DeadLetters at Alertmanager", seconds=60, interval=1)
    assert alert["annotations"]["runbook_url"] == "docs/runbooks.md#deadletters"
    assert "sparkplug.data.dlq" in alert["annotations"]["summary"]


def test_the_console_shows_the_alert(testbed, prometheus):
    def received():
        found = json.loads(request(testbed.url(8088, "/api/alerts")))["webhook"]
        return [alert for alert in found if alert["labels"]["alertname"] == "DeadLetters"]

    wait_until(received, "DeadLetters at the console", seconds=60, interval=1)


def test_the_choice_of_fleets_is_filled(testbed, prometheus):
    names = json.loads(request(testbed.url(9090, "/api/v1/label/fleet/values")))["data"]
    assert len(names) == 1
