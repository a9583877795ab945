"""Every part killed with kill -9 comes back, and the ledger says what that cost."""

import json
import os
import signal
import time

import pytest

from support import wait_until

PARTS = (
    "kafka",
    "lwm2m-server",
    "sparkplug-host",
    "mqtt-redpanda-bridge",
    "redpanda-connect",
    "device-simulator",
    "prometheus",
)
BROKER_MAY_LOSE = 100
"""Messages of half a second: QoS 0 on its way through the broker, and what its last snapshot did not hold."""


def kill_and_watch(testbed, name):
    """Kill a part in the middle of a window; the ledger's report once the part is healthy again."""
    before = testbed.part(name)
    verify = testbed.popen("verify", "--json", "--seconds=12", "--patience=20")
    try:
        time.sleep(4)  # the window has begun
        os.kill(before["pid"], signal.SIGKILL)
        wait_until(lambda: recovered(testbed, name, before), f"{name} is healthy again", 60, 0.3)
        output, _ = verify.communicate(timeout=90)
    finally:
        verify.kill()
        verify.communicate()
    return verify.returncode, json.loads(output)


def recovered(testbed, name, before):
    status = testbed.status()
    part = next(part for part in status["parts"] if part["name"] == name)
    assert part["restarts"] > before["restarts"]
    assert status["healthy"], [part for part in status["parts"] if part["state"] != "healthy"]
    return True


@pytest.mark.parametrize("name", PARTS)
def test_a_killed_part_recovers_and_nothing_is_lost(testbed, name):
    status, report = kill_and_watch(testbed, name)
    assert (status, report["lost"]) == (0, 0), report
    # A killed simulator is away for a moment; everyone else goes on sending.
    assert report["sent"] > 12 * 200 * (0.5 if name == "device-simulator" else 0.95)


def test_a_killed_broker_recovers_and_loses_no_more_than_documented(testbed):
    _, report = kill_and_watch(testbed, "mosquitto")
    assert report["lost"] <= BROKER_MAY_LOSE, report
    assert report["sent"] > 12 * 200 * 0.5
