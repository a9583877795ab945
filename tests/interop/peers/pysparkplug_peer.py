"""pysparkplug as edge node (`edge`) or as reader of a group (`read`); JSON lines in and out."""

import json
import sys

import pysparkplug as psp

role, port, group, node = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
TYPES = {
    "Temperature": (psp.DataType.DOUBLE, 20.5),
    "Count": (psp.DataType.INT32, -87),
    "Small": (psp.DataType.INT8, -3),
    "Name": (psp.DataType.STRING, "peer"),
    "Flag": (psp.DataType.BOOLEAN, True),
}


def say(**content):
    sys.stdout.write(json.dumps(content, default=str) + "\n")
    sys.stdout.flush()


def metric(name, value):
    return psp.Metric(psp.get_current_timestamp(), name, TYPES[name][0], value=value)


def tell(message):
    metrics = getattr(message.payload, "metrics", ())
    return {"topic": str(message.topic), "metrics": {entry.name: entry.value for entry in metrics}}


if role == "read":
    client = psp.Client()
    topic = psp.Topic(group_id=group, message_type="#")
    client.subscribe(topic, psp.QoS.AT_LEAST_ONCE, lambda _, message: say(seen=tell(message)))
    client.connect("127.0.0.1", port=port, callback=lambda _: say(ready=True))
    sys.stdin.readline()
    client.disconnect()
else:
    edge = psp.EdgeNode(group, node, [], cmd_callback=lambda _, message: say(command=tell(message)))
    device = psp.Device(
        "pump",
        [metric(name, value) for name, (_, value) in TYPES.items()],
        cmd_callback=lambda _, message: say(command=tell(message)),
    )
    edge.register(device)
    edge.connect("127.0.0.1", port=port)
    for line in sys.stdin:
        request = json.loads(line)
        if "stop" in request:
            break
        edge.update_device("pump", [metric(name, value) for name, value in request["set"].items()])
    edge.disconnect()
