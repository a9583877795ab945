"""`--scale mqtt-redpanda-bridge=3`: the bridges share the devices, and one that dies takes nothing along."""

import json
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

from compose.stack import get
from support import wait_until

SECONDS = 40
BRIDGE = "mqtt-redpanda-bridge"


def value(query: str) -> float:
    """The one value of an instant query, 0 when there is none."""
    words = urllib.parse.urlencode({"query": query})
    found = get(f"http://localhost:9090/api/v1/query?{words}")["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0


def verify(stack) -> dict[str, object]:
    words = ("run", "--rm", "--no-TTY", "tools", "verify", "--seconds", str(SECONDS), "--json")
    output = stack.compose("--progress", "quiet", *words)
    return json.loads(output[output.index("{") :])


def test_one_of_three_bridges_dies_for_good_and_nothing_is_lost(stack, measured):
    scaled = (f"--scale={BRIDGE}=3", "--scale=device-simulator=5")
    stack.compose("up", "--detach", "--wait", "--no-recreate", *scaled)
    try:
        wait_until(lambda: value("max(bridge_members)") == 3, "3 bridges share the devices", 60, interval=1)
        wait_until(
            lambda: value('count(rate(bridge_delivered_total{route="sparkplug"}[30s]) > 10)') == 3,
            "each of them delivers",
            90,
            interval=1,
        )
        with ThreadPoolExecutor() as pool:
            verdict = pool.submit(verify, stack)
            wait_until(lambda: value("sum(rate(bridge_delivered_total[10s]))") > 500, "load", 30, interval=1)
            # Docker starts no container again that was killed by hand.
            stack.docker("kill", receiver(stack))
            wait_until(lambda: value("max(bridge_members)") == 2, "2 bridges are left", 60, interval=1)
            result = verdict.result()
        measured.append(f"the receiver of 3 bridges killed: {result}")
        assert result["lost"] == 0
        assert result["reordered"] == 0
    finally:
        unscaled = (f"--scale={BRIDGE}=1", "--scale=device-simulator=1")
        stack.compose("up", "--detach", "--wait", "--no-recreate", *unscaled)


def receiver(stack) -> str:
    """Id of the container with the bridge that has the MQTT session."""
    for container in stack.containers(BRIDGE):
        [network] = container["NetworkSettings"]["Networks"].values()
        if get(f"http://{network['IPAddress']}:8082/api/health")["group"]["role"] == "receiver":
            return str(container["Id"])
    raise AssertionError("no bridge is the receiver")
