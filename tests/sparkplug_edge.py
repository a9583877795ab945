"""An edge node with two devices, and commands to it."""

from iiot.sparkplug.composite import Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import (
    EdgeNode,
    MetricDefinition,
)
from iiot.sparkplug.payload import (
    Payload,
    decode_payload,
    encode_payload,
)

NOW = 1_700_000_000_000
UNIT = {"engUnit": Property(DataType.STRING, "Cel")}
NODE = [MetricDefinition("Properties/Model", DataType.STRING)]
PUMP = [
    MetricDefinition("Sensors/Temperature", DataType.DOUBLE, properties=UNIT),
    MetricDefinition("Setpoint", DataType.FLOAT, writable=True),
    MetricDefinition("Mode", DataType.INT8, writable=True),
]
VALUES = {"Sensors/Temperature": 23.5, "Setpoint": 20.0, "Mode": -1}


def edge_node(**options):
    return EdgeNode("IIoT", "n", NODE, {"pump": PUMP, "fan": PUMP}, **options)


def current(device):
    return {"Properties/Model": "M1"} if device is None else VALUES


def connected(**options):
    node = edge_node(**options)
    node.next_will()
    return node


def born(**options):
    node = connected(**options)
    node.births(NOW, current)
    return node


def read(messages):
    return [(message.topic, decode_payload(message.payload)) for message in messages]


def command(metric, *, device=None, datatypes=False):
    topic = "spBv1.0/IIoT/NCMD/n" if device is None else f"spBv1.0/IIoT/DCMD/n/{device}"
    return topic, encode_payload(Payload(NOW, [metric]), with_datatypes=datatypes)
