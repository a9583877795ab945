"""mqtt-spb-wrapper as edge node (`edge`) or as application (`read`); JSON lines in and out."""

import json
import sys

from mqtt_spb_wrapper import MqttSpbEntityApp, MqttSpbEntityDevice, MqttSpbEntityEdgeNode

role, port, group, node = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
VALUES = {"Temperature": 20.5, "Count": -87, "Name": "peer", "Flag": True}


def say(**content):
    sys.stdout.write(json.dumps(content, default=str) + "\n")
    sys.stdout.flush()


def values(payload):
    return {entry["name"]: entry.get("value") for entry in payload.get("metrics", [])}


def seen(topic, payload):
    say(seen={"topic": str(topic), "metrics": values(payload)})


if role == "read":
    app = MqttSpbEntityApp(group, "reader", callback_birth=seen, callback_data=seen, callback_death=seen)
    app.connect("127.0.0.1", port, skip_death=True)
    say(ready=True)
    sys.stdin.readline()
    app.disconnect(skip_death_publish=True)
else:
    edge = MqttSpbEntityEdgeNode(group, node)
    device = MqttSpbEntityDevice(group, node, "pump")
    edge.attributes.set_value("Vendor", "peer")
    for name, value in VALUES.items():
        device.data.set_value(name, value)
    device.commands.set_value("Count", 0)
    device.on_command = lambda payload: say(command={"metrics": values(payload)})
    for entity in (edge, device):
        entity.connect("127.0.0.1", port)
        entity.publish_birth()
    for line in sys.stdin:
        request = json.loads(line)
        if "stop" in request:
            break
        for name, value in request["set"].items():
            device.data.set_value(name, value)
        device.publish_data()
    device.disconnect()
    edge.disconnect()
