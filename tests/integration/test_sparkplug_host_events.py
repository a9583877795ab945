"""What the host's event stream tells when the broker is gone, and when it is back."""

import json
from contextlib import closing
from http.client import HTTPConnection

from own_broker import open_mosquitto
from sparkplug_rig import patiently, running_host, running_simulator

LIFE = "&".join(
    f"type={kind}" for kind in ("node_born", "node_stale", "node_died", "device_born", "device_died")
)


def told(host, count):
    """The first events about lives."""
    found = []
    with closing(HTTPConnection("127.0.0.1", host.port, timeout=20)) as connection:
        connection.request("GET", f"/api/events/stream?after=0&{LIFE}")
        with closing(connection.getresponse()) as response:
            while len(found) < count:
                line = response.readline().decode()
                if line.startswith("data: ") and "timestamp" in (event := json.loads(line[6:])):
                    found.append((event["type"], event["data"]["device"], event["data"].get("cause")))
    return found


def test_a_broker_that_is_killed_is_an_event_and_a_log_line(tmp_path, stack, unique):
    group, fleet = unique("group"), unique("f")
    broker, server = stack.enter_context(open_mosquitto(tmp_path / "broker"))
    host = stack.enter_context(running_host(broker, tmp_path, SPARKPLUG_GROUP=group))
    stack.enter_context(running_simulator(broker, tmp_path, SPARKPLUG_GROUP=group, FLEET_ID=fleet))

    def online():
        (node,) = host.get("/api/nodes")["nodes"] or [{}]
        return node.get("online"), node.get("devices_online")

    patiently(lambda: online() == (True, 1), "node and device are born")
    server.stop(kill=True)
    patiently(lambda: online() == (False, 0), "nothing is known to live")
    born = [("node_born", None, None), ("device_born", "asset", None)]
    assert told(host, 3) == [*born, ("node_stale", None, "host_cut_off")]
    (log,) = tmp_path.glob("sparkplug_host-*.log")
    assert "edge_nodes_stale" in log.read_text()
    server.start()
    patiently(lambda: online() == (True, 1), "they are back")
    assert told(host, 5)[3:] == born
