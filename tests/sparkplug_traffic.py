"""Builds recordings of Sparkplug traffic message by message; what is not said otherwise is conformant."""

from iiot._pb.sparkplug_b_pb2 import Payload as Pb
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.lint.events import Connect, ConnectWill, Disconnect, Publish, Subscribe, Vantage
from iiot.sparkplug.lint.linter import Linter

START = 1_790_000_000_000
HOST = "spBv1.0/STATE/host"
FULL_VIEW = Vantage(retain_as_published=True, qos_as_published=True)


def metric(payload, name, datatype, alias=None, timestamp=None, **value):
    added = payload.metrics.add(timestamp=payload.timestamp if timestamp is None else timestamp, **value)
    if name is not None:
        added.name = name
    if datatype is not None:
        added.datatype = datatype
    if alias is not None:
        added.alias = alias
    return added


def by_name(payload, name):
    return next(entry for entry in payload.metrics if entry.name == name)


class Traffic:
    """One edge node `group/node` with the device `dev`, one host; `events` is the recording."""

    def __init__(self):
        self.now = START
        self.seq = 0
        self.events = []

    def publish(self, topic, payload, qos=0, retain=False, client=None):
        self.now += 100
        self.events.append(Publish(self.now, topic, payload, qos, retain, client=client))

    def send(self, topic, payload, edit=None, **publishing):
        if edit is not None:
            edit(payload)
        self.publish(topic, payload.SerializeToString(), **publishing)

    def wait(self, seconds):
        self.now += round(seconds * 1000)

    def next_seq(self):
        self.seq = (self.seq + 1) % 256
        return self.seq

    def host_birth(self, timestamp=None, **publishing):
        self.host_time = self.now + 100 if timestamp is None else timestamp
        body = b'{"online":true,"timestamp":%d}' % self.host_time
        self.publish(HOST, body, **{"qos": 1, "retain": True, **publishing})

    def host_death(self, timestamp=None, **publishing):
        body = b'{"online":false,"timestamp":%d}' % (self.host_time if timestamp is None else timestamp)
        self.publish(HOST, body, **{"qos": 1, "retain": True, **publishing})

    def nbirth(self, bd_seq=0, edit=None, node="node", **publishing):
        self.seq = 0
        payload = Pb(timestamp=self.now + 100, seq=0)
        metric(payload, "bdSeq", DataType.INT64, long_value=bd_seq)
        metric(payload, "Node Control/Rebirth", DataType.BOOLEAN, boolean_value=False)
        metric(payload, "Load", DataType.DOUBLE, double_value=0.5)
        self.send(f"spBv1.0/group/NBIRTH/{node}", payload, edit, **publishing)

    def dbirth(self, edit=None, device="dev", **publishing):
        payload = Pb(timestamp=self.now + 100, seq=self.next_seq())
        metric(payload, "Level", DataType.INT32, int_value=5)
        self.send(f"spBv1.0/group/DBIRTH/node/{device}", payload, edit, **publishing)

    def births(self, bd_seq=0):
        self.nbirth(bd_seq)
        self.dbirth()

    def ndata(self, edit=None, **publishing):
        payload = Pb(timestamp=self.now + 100, seq=self.next_seq())
        metric(payload, "Load", None, double_value=float(self.now % 10_000))
        self.send("spBv1.0/group/NDATA/node", payload, edit, **publishing)

    def ddata(self, edit=None, device="dev", **publishing):
        payload = Pb(timestamp=self.now + 100, seq=self.next_seq())
        metric(payload, "Level", None, int_value=self.now % 10_000)
        self.send(f"spBv1.0/group/DDATA/node/{device}", payload, edit, **publishing)

    def ddeath(self, edit=None, device="dev", **publishing):
        payload = Pb(timestamp=self.now + 100, seq=self.next_seq())
        self.send(f"spBv1.0/group/DDEATH/node/{device}", payload, edit, **publishing)

    def ndeath(self, bd_seq=0, edit=None, **publishing):
        payload = Pb()
        payload.metrics.add(name="bdSeq", datatype=DataType.INT64, long_value=bd_seq)
        self.send("spBv1.0/group/NDEATH/node", payload, edit, **{"qos": 1, **publishing})

    def command(self, name="Load", edit=None, device=None, client=None, **value):
        payload = Pb(timestamp=self.now + 100)
        metric(payload, name, None, **value)
        target = "NCMD/node" if device is None else f"DCMD/node/{device}"
        self.send(f"spBv1.0/group/{target}", payload, edit, client=client)

    def rebirth_request(self, edit=None):
        self.command("Node Control/Rebirth", edit, boolean_value=True)

    def connect_edge(self, bd_seq=0, version=5, clean=True, client="node", **will):
        payload = Pb()
        payload.metrics.add(name="bdSeq", datatype=DataType.INT64, long_value=bd_seq)
        topic = "spBv1.0/group/NDEATH/node"
        registered = ConnectWill(**{"topic": topic, "payload": payload.SerializeToString(), "qos": 1, **will})
        self.events.append(Connect(self.now, client, version, clean, 0, registered))

    def connect_host(self, timestamp=None, client="host", **will):
        self.host_time = self.now if timestamp is None else timestamp
        body = b'{"online":false,"timestamp":%d}' % self.host_time
        registered = ConnectWill(**{"topic": HOST, "payload": body, "qos": 1, "retain": True, **will})
        self.events.append(Connect(self.now, client, 5, True, 0, registered))

    def connect_without_will(self, client):
        self.events.append(Connect(self.now, client, 5, True))

    def subscribe(self, topic_filter, qos=1, client="node"):
        self.events.append(Subscribe(self.now, client, topic_filter, qos))

    def disconnect(self, client="node", reason=4):
        self.events.append(Disconnect(self.now, client, reason))


def lint(events, vantage=FULL_VIEW, seconds=0, primary_host=None):
    """Findings of a recording, as (rule, subject) pairs to what was found."""
    linter = Linter(vantage, primary_host)
    for event in events:
        linter.feed(event)
    return {(found.rule.key, found.subject): found for found in linter.finish(linter.last + seconds * 1000)}
