"""Whoever follows the host's events knows what its REST API shows: online and stale, of every unit."""

from hypothesis import given, settings
from hypothesis import strategies as st

from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode
from iiot.sparkplug.host import SparkplugHost
from iiot.sparkplug.host_events import Change, LifeEvent
from iiot.sparkplug.host_policy import HostPolicy
from iiot.sparkplug.payload import Metric, Payload, decode_payload
from iiot.sparkplug.rebirth import RebirthPolicy
from iiot.sparkplug.topic import MessageType, Topic, parse_topic
from sparkplug_host.views import node_view, unit_view
from sparkplug_plant import PUMP, T0, values

NAMES = ("n", "m")
UNKNOWN = (False, True)
"""Online and stale of a unit of which nothing was told."""


class Follower:
    """Knows only the events, and what docs/sparkplug.md says about them."""

    def __init__(self):
        self.units = {}

    def follow(self, event):
        node, unit = event.edge_node, (event.edge_node, event.device)
        if event.change is Change.FORGOTTEN:
            gone = [key for key in self.units if key == unit or (event.device is None and key[0] == node)]
            for key in gone:
                del self.units[key]
        if event.online is None:
            return
        self.units[unit] = (event.online, event.change is not Change.BORN)
        if event.device is None:
            for key, (online, _) in self.units.items():
                if key[0] == node and key[1] is not None:
                    keeps = online and event.online and event.change is Change.STALE
                    self.units[key] = (keeps, True)

    def knows(self, node, device=None):
        return self.units.get((node, device), UNKNOWN)


class Site:
    """Edge nodes with two devices each that do what they like, a host, and a follower of its events."""

    def __init__(self, **policy):
        self.now = T0
        limits = RebirthPolicy(jitter=0, debounce=1_000)
        self.host = SparkplugHost(HostPolicy(rebirth=limits, reorder_timeout=500, **policy), lambda: 0.0)
        self.edges = {name: self.edge(name) for name in NAMES}
        self.wills = {name: [edge.next_will()] for name, edge in self.edges.items()}
        self.follower = Follower()

    @staticmethod
    def edge(name):
        return EdgeNode("IIoT", name, [], {"pump": PUMP, "fan": PUMP}, aliases=name == "m")

    def took(self, outputs):
        for output in outputs or ():
            if isinstance(output, LifeEvent):
                self.follower.follow(output)

    def feed(self, *messages):
        for message in messages:
            topic, payload = parse_topic(message.topic), decode_payload(message.payload)
            self.took(self.host.receive(topic, payload, self.now))

    def connect(self, name):
        self.wills[name].append(self.edges[name].next_will())
        self.births(name)

    def restart(self, name):
        self.edges[name] = self.edge(name)
        self.connect(name)

    def births(self, name):
        self.feed(*self.edges[name].births(self.now, values))

    def node_birth(self, name):
        self.feed(self.edges[name].births(self.now, values)[0])

    def overtaken(self, name):
        self.wills[name].append(self.edges[name].next_will())
        births = self.edges[name].births(self.now, values)
        self.feed(self.wills[name][-1], *births)

    def will(self, name):
        self.feed(self.wills[name][-1])

    def old_will(self, name):
        self.feed(self.wills[name][0])

    def data(self, name):
        if self.edges[name].is_born("pump"):
            self.feed(self.edges[name].data("pump", {"Mode": 4}, self.now))

    def lost(self, name):
        if self.edges[name].is_born("pump"):
            self.edges[name].data("pump", {"Mode": 4}, self.now)

    def swapped(self, name):
        edge = self.edges[name]
        if edge.is_born("pump"):
            first = edge.device_death("pump", self.now)
            self.feed(edge.device_birth("pump", self.now, values("pump")), first)

    def device_death(self, name):
        if self.edges[name].is_born("fan"):
            self.feed(self.edges[name].device_death("fan", self.now))

    def device_birth(self, name):
        if self.edges[name].is_born(None):
            self.feed(self.edges[name].device_birth("fan", self.now, values("fan")))

    def nameless(self, name):
        node = self.host.nodes.get(("IIoT", name))
        for topic in (
            Topic(MessageType.DBIRTH, "IIoT", name, "pump"),
            Topic(MessageType.NBIRTH, "IIoT", name),
        ):
            seq = node.order.expected if node else 0
            payload = Payload(self.now, [Metric(None, 1, DataType.INT32)], seq)
            self.took(self.host.receive(topic, payload, self.now))

    def unreadable(self, name):
        self.took(self.host.receive_undecodable(Topic(MessageType.DDATA, "IIoT", name, "pump"), self.now))

    def empty(self, name):
        for message_type in (MessageType.NBIRTH, MessageType.NDEATH):
            self.took(self.host.receive_empty(Topic(message_type, "IIoT", name), self.now))

    def short_birth(self, name):
        topic = Topic(MessageType.DBIRTH, "IIoT", name, name, short_form=True)
        self.took(self.host.receive(topic, Payload(self.now, [Metric("a", 1, DataType.INT32)]), self.now))

    def short_data(self, name):
        topic = Topic(MessageType.DDATA, "IIoT", name, name, short_form=True)
        self.took(self.host.receive(topic, Payload(self.now, [Metric("a", 1)]), self.now))

    def short_death(self, name):
        topic = Topic(MessageType.DDEATH, "IIoT", name, name, short_form=True)
        self.took(self.host.receive(topic, Payload(self.now), self.now))

    def stored(self, name):
        for message in self.edges[name].births(self.now, values):
            topic, payload = parse_topic(message.topic), decode_payload(message.payload)
            self.host.receive_certificate(topic, payload, self.now)

    def cut_off(self, _):
        self.took(self.host.connection_lost(self.now))

    def forget(self, name):
        node = self.host.nodes.get(("IIoT", name))
        if node is None:
            return
        for device in [device for device, unit in node.devices.items() if not unit.online]:
            self.took([self.host.forget_device(node, device, self.now)])
        if not node.is_online:
            self.took([self.host.forget(node, self.now)])

    def wait(self, _):
        self.now += 600
        self.took(self.host.tick(self.now))

    def soon(self, _):
        self.now += 100
        self.took(self.host.tick(self.now))

    def check(self):
        nodes = self.host.nodes.values()
        assert self.host.nodes_online == sum(node.unit.online for node in nodes)
        assert self.host.devices_online == sum(
            unit.online for node in nodes for unit in node.devices.values()
        )
        assert self.host._held == sum(len(node.order.held) for node in nodes)
        for node in nodes:
            assert node.size == sum(len(unit.metrics) for unit in node.units())
            shown = node_view(node)
            online, stale = self.follower.knows(node.edge_node)
            assert (shown["online"], shown["stale"]) == (online, stale), node.edge_node
            for device, unit in node.devices.items():
                view = unit_view(unit)
                told = self.follower.knows(node.edge_node, device)
                assert (view["online"], view["stale"]) == told, device
        known = {key for key, unit in self.follower.units.items() if unit != UNKNOWN}
        there = {
            (node.edge_node, device) for node in self.host.nodes.values() for device in (None, *node.devices)
        }
        assert known <= there


STEPS = [
    name for name in vars(Site) if not name.startswith("_") and name not in ("edge", "took", "feed", "check")
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(NAMES)), max_size=30), st.booleans())
def test_the_events_tell_all_that_the_api_shows(steps, validate):
    site = Site(validate_bd_seq=validate)
    for step, name in steps:
        getattr(site, step)(name)
        site.check()
