"""Every part killed with kill -9 comes back, and data flows again in all topics."""

import os
import signal

import pytest

from iiot.topics import LWM2M_HTTP, LWM2M_UPDATES, LWM2M_WEBSOCKET, SPARKPLUG_DATA
from support import wait_until
from testbed import arrivals

CONTINUOUS = (SPARKPLUG_DATA, LWM2M_UPDATES, LWM2M_HTTP, LWM2M_WEBSOCKET)
PARTS = (
    "mosquitto",
    "kafka",
    "lwm2m-server",
    "sparkplug-host",
    "mqtt-redpanda-bridge",
    "redpanda-connect",
    "device-simulator",
    "prometheus",
)


@pytest.mark.parametrize("name", PARTS)
def test_a_killed_part_recovers(testbed, name):
    before = testbed.part(name)
    os.kill(before["pid"], signal.SIGKILL)

    def recovered():
        status = testbed.status()
        part = next(part for part in status["parts"] if part["name"] == name)
        assert part["restarts"] > before["restarts"]
        assert status["healthy"], [part for part in status["parts"] if part["state"] != "healthy"]
        return True

    wait_until(recovered, f"{name} is healthy again", seconds=60, interval=0.3)
    first = arrivals.counts(testbed.brokers, CONTINUOUS, 0)

    def flowing():
        now = arrivals.counts(testbed.brokers, CONTINUOUS, 0)
        assert all(now[topic] > first[topic] for topic in CONTINUOUS), (first, now)
        return True

    wait_until(flowing, f"all topics receive after {name} was killed", seconds=60, interval=0.5)
