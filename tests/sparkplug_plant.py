"""One edge node with two devices and a host, without a broker."""

from iiot.sparkplug.composite import Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode, MetricDefinition
from iiot.sparkplug.host import SparkplugHost
from iiot.sparkplug.host_events import LifeEvent, RequestRebirth
from iiot.sparkplug.host_policy import HostPolicy
from iiot.sparkplug.payload import Payload, decode_payload
from iiot.sparkplug.rebirth import RebirthPolicy
from iiot.sparkplug.topic import parse_topic

T0 = 1_700_000_000_000
KEY = ("IIoT", "n")
ASK = RequestRebirth(*KEY)
PUMP = [
    MetricDefinition("Temperature", DataType.DOUBLE),
    MetricDefinition("Mode", DataType.INT8, writable=True),
]


def values(device):
    return {} if device is None else {"Temperature": 20.0, "Mode": -1}


class Plant:
    """One edge node with two devices, a host, and the time."""

    def __init__(self, *, aliases=False, observe_only=False, **policy):
        self.now = T0
        self.edge = EdgeNode("IIoT", "n", [], {"pump": PUMP, "fan": PUMP}, aliases=aliases)
        limits = RebirthPolicy(jitter=0, debounce=10_000, observe_only=observe_only)
        self.host = SparkplugHost(HostPolicy(rebirth=limits, **policy), lambda: 0.0)

    def feed(self, *messages):
        outputs = []
        for message in messages:
            outputs += self.host.receive(
                parse_topic(message.topic), decode_payload(message.payload), self.now
            )
        return outputs

    def receive(self, topic, *metrics):
        """A message of these metrics, with the number that the host expects."""
        return self.host.receive(topic, Payload(T0, list(metrics), self.node.order.expected), self.now)

    def wait(self, ms):
        self.now += ms
        return self.host.tick(self.now)

    def connect(self):
        self.will = self.edge.next_will()
        self.feed(*self.births())
        return self

    def births(self):
        return self.edge.births(self.now, values)

    def data(self, temperature=21.0, device="pump"):
        return self.edge.data(device, {"Temperature": temperature}, self.now)

    @property
    def node(self):
        return self.host.nodes[KEY]

    @property
    def pump(self):
        return self.node.devices["pump"]

    @property
    def temperature(self):
        return self.pump.metrics["Temperature"].value

    def quality(self, device="pump", metric="Temperature"):
        unit = self.node.devices[device]
        return unit.quality(unit.metrics[metric])

    def judged(self, metric="Temperature"):
        """The quality of a metric of the pump, and why it is bad."""
        return self.quality(metric=metric), self.pump.metrics[metric].quality()[1]


def life(change, device=None, time=T0):
    return LifeEvent(change, "IIoT", "n", device, time)


def says(code, datatype=DataType.INT32):
    """Properties that tell this quality code."""
    return {"Quality": Property(datatype, code)}
