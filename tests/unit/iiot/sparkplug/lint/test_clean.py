"""Traffic in which nothing is wrong: no rule may speak, wherever the observation begins."""

import pytest

from iiot.sparkplug.command import encode_rebirth_request
from iiot.sparkplug.composite import DataSet, Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode, MetricDefinition
from iiot.sparkplug.lint.events import Connect, ConnectWill, Cut, Disconnect, Publish, Subscribe, Vantage
from iiot.sparkplug.lint.linter import Linter
from iiot.sparkplug.lint.report import as_json, violations
from iiot.sparkplug.payload import Metric, Parameter, Template
from iiot.sparkplug.state import HostPresence
from sparkplug_traffic import FULL_VIEW, START, Traffic, by_name, lint, metric

QUALITY = {"Quality": Property(DataType.INT32, 192)}
MOTOR = [Metric("Speed", 1, DataType.INT32, START), Metric("Name", "m", DataType.STRING, START)]
PARAMETER = [Parameter("Maker", DataType.STRING, "x")]


def definitions(aliases):
    node = [
        MetricDefinition("Motor", DataType.TEMPLATE),
        MetricDefinition("Load", DataType.DOUBLE, properties=QUALITY),
        MetricDefinition("Reach", DataType.INT16),
    ]
    device = [
        MetricDefinition("Level", DataType.INT32),
        MetricDefinition("Drive", DataType.TEMPLATE),
        MetricDefinition("Table", DataType.DATA_SET),
        MetricDefinition("Nothing", DataType.STRING),
    ]
    return EdgeNode("group", "node", node, {"dev": device, "other": device}, aliases=aliases)


NODE_VALUES = {
    "Motor": Template(MOTOR, PARAMETER, is_definition=True, version="1"),
    "Load": 0.5,
    "Reach": -87,
}
DEVICE_VALUES = {
    "Level": -3,
    "Drive": Template(MOTOR, PARAMETER, ref="Motor"),
    "Table": DataSet(["a", "b"], [DataType.INT32, DataType.STRING], [(1, "x"), (-2, None)]),
    "Nothing": None,
}


class Recorder:
    """Turns what the state machines make into events."""

    def __init__(self, version):
        self.now = START
        self.version = version
        self.events = []

    def publish(self, topic, payload, qos=0, retain=False, client="node"):
        self.now += 20
        self.events.append(Publish(self.now, topic, payload, qos, retain, client=client))

    def all(self, messages):
        for message in messages:
            self.publish(*message)


def conformant(version, aliases):
    """Two sessions of one edge node, with a rebirth, a device that comes and goes, stored data, a host."""
    record, node, host = Recorder(version), definitions(aliases), HostPresence("host")
    will = ConnectWill(host.topic, host.will(record.now), 1, True)
    record.events.append(Connect(record.now, "host", version, True, 0, will))
    for topic_filter in (host.topic, "spBv1.0/#"):
        record.events.append(Subscribe(record.now, "host", topic_filter, 1))
    record.publish(host.topic, host.birth(), 1, True, "host")
    level = 0
    for _ in range(2):
        death = node.next_will()
        record.events.append(Connect(record.now, "node", version, True, 0, ConnectWill(*death)))
        for topic_filter in node.subscriptions:
            record.events.append(Subscribe(record.now, "node", topic_filter, 1))
        for births in range(2):
            record.all(node.births(record.now, lambda device: DEVICE_VALUES if device else NODE_VALUES))
            record.all([node.data("dev", {"Level": 77}, record.now, acquired=record.now - 3_600_000)])
            for _ in range(150):
                level += 1
                record.all([node.data("dev", {"Level": level}, record.now)])
                record.all([node.data(None, {"Load": level / 2, "Reach": -level}, record.now)])
            part = Template([Metric("Speed", level, DataType.INT32, record.now)], ref="Motor")
            record.all([node.data("dev", {"Drive": part}, record.now)])
            record.all([node.device_death("other", record.now)])
            record.all([node.device_birth("other", record.now, DEVICE_VALUES)])
            if births == 0:
                payload = encode_rebirth_request(record.now)
                record.publish("spBv1.0/group/NCMD/node", payload, client="host")
        if version == 5:
            record.publish(*node.node_death())
            record.events.append(Disconnect(record.now, "node", 4))
            record.publish(*death)  # the broker sends the will as well
        else:
            record.publish(*node.node_death())
            record.events.append(Disconnect(record.now, "node", 0))
    record.publish(host.topic, host.death(record.now), 1, True, "host")
    record.events.append(Disconnect(record.now, "host", 0))
    return record.events


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("aliases", [False, True])
def test_conformant_traffic_raises_nothing(version, aliases):
    events = conformant(version, aliases)

    assert lint(events, seconds=60) == {}


@pytest.mark.parametrize("aliases", [False, True])
def test_an_observer_who_comes_late_or_leaves_early_sees_nothing_wrong(aliases):
    events = conformant(5, aliases)

    for cut in range(0, len(events), 53):
        assert lint(events[cut:], seconds=60) == {}
        assert lint(events[:cut]) == {}


def test_an_observer_who_was_cut_off_begins_anew():
    events = conformant(5, aliases=True)
    for start, end in ((50, 80), (300, 320), (305, 640), (610, 660)):
        with_hole = [*events[:start], Cut(events[start].time), *events[end:]]
        assert lint(with_hole, seconds=60) == {}


def test_messages_that_overtook_each_other_are_not_called_missing():
    events = conformant(5, aliases=False)
    plain = [number for number, event in enumerate(events) if "DATA" in getattr(event, "topic", "")]
    for number in plain[3:-3:17]:
        if number + 1 in plain:
            events[number], events[number + 1] = events[number + 1], events[number]

    assert lint(events, seconds=60) == {}


def test_a_late_will_of_the_session_before_is_no_violation():
    traffic = Traffic()
    traffic.births(bd_seq=4)
    traffic.births(bd_seq=5)
    traffic.ndeath(bd_seq=4)
    traffic.ddata()
    traffic.ndeath(bd_seq=5)

    assert lint(traffic.events, seconds=60) == {}


def test_a_late_will_is_no_violation_for_one_who_never_saw_its_session():
    traffic = Traffic()
    traffic.births(bd_seq=5)
    traffic.ndeath(bd_seq=4)
    traffic.ddata()
    traffic.ndeath(bd_seq=5)
    traffic.births(bd_seq=6)

    assert lint(traffic.events, seconds=60) == {}


def test_failed_connects_and_a_restart_that_forgot_bdseq_are_no_violation():
    traffic = Traffic()
    for bd_seq in (254, 1, 0, 0, 3):
        traffic.births(bd_seq)
        traffic.ndeath(bd_seq)

    assert lint(traffic.events, seconds=60) == {}


def test_a_host_that_repairs_a_late_will_is_conformant():
    traffic = Traffic()
    traffic.host_birth()
    first = traffic.host_time
    traffic.host_birth()
    traffic.host_death(first)
    traffic.host_birth(traffic.host_time)

    assert lint(traffic.events, seconds=60) == {}


def test_nothing_is_said_about_qos_while_the_broker_may_raise_it():
    traffic = Traffic()
    traffic.nbirth(qos=1)
    linter = Linter(Vantage(retain_as_published=True))
    for event in traffic.events:
        linter.feed(event)

    assert linter.finish() == []
    assert "QoS" in as_json(linter, [])["not_judged"][0]

    traffic.dbirth(qos=0)
    linter.feed(traffic.events[-1])
    assert [found.rule.key for found in linter.finish()] == ["qos-not-0"]


def test_what_the_broker_had_stored_does_not_count_as_a_session():
    traffic = Traffic()
    traffic.nbirth(bd_seq=9, retain=True)
    traffic.ddata()
    traffic.ndeath(bd_seq=2)
    found = lint(traffic.events, seconds=60)

    assert [key for key, _ in found] == ["retained"]


def test_edge_nodes_that_wait_for_their_primary_host_are_conformant():
    traffic = Traffic()
    traffic.host_death(START)
    for bd_seq in range(2):
        traffic.wait(20)
        traffic.host_birth()
        traffic.births(bd_seq)
        traffic.host_death(START)  # a late will, repaired at once
        traffic.host_birth(traffic.host_time)
        traffic.wait(20)
        traffic.ddata()
        traffic.host_death()
        traffic.ddata()
        traffic.ndeath(bd_seq)

    assert lint(traffic.events, seconds=60, primary_host="host") == {}


def test_the_report_names_every_unit_seen():
    linter = Linter(FULL_VIEW)
    for event in conformant(5, aliases=False):
        linter.feed(event)
    findings = linter.finish()
    report = as_json(linter, findings)

    assert violations(findings) == report["violations"] == 0
    assert [node["edge_node"] for node in report["edge_nodes"]] == ["node"]
    assert {unit["device"] for unit in report["edge_nodes"][0]["devices"]} == {"dev", "other"}
    assert report["hosts"] == [{"host": "host", "findings": []}]


def test_a_server_that_stores_births_and_sends_wills_raises_nothing():
    traffic = Traffic()
    traffic.connect_edge()
    traffic.subscribe("spBv1.0/group/NCMD/node")
    for verb in (traffic.nbirth, traffic.dbirth):
        verb(client="node")
        born = traffic.events[-1]
        traffic.publish(f"$sparkplug/certificates/{born.topic}", born.payload, retain=True)
    traffic.nbirth(client="node")
    traffic.dbirth(client="node")
    traffic.disconnect(reason=None)
    traffic.ndeath()

    assert lint(traffic.events, seconds=60) == {}


def test_a_host_that_asks_after_a_gap_and_a_device_that_grows_are_not_told():
    traffic = Traffic()
    traffic.host_birth()
    traffic.births()
    traffic.next_seq()
    traffic.ddata()
    traffic.wait(3)
    traffic.rebirth_request()
    traffic.births()
    for name in ("Flow", "Pressure", "Flow", "Torque"):
        traffic.dbirth(lambda payload, name=name: setattr(payload.metrics[0], "name", name))
    traffic.wait(150)
    traffic.ddata(lambda payload: setattr(payload.metrics[0], "name", "Torque"))

    assert {rule for rule, _ in lint(traffic.events, seconds=60)} == {"seq-order"}


def test_data_that_was_long_on_its_way_is_judged_by_when_it_was_made():
    traffic = Traffic()
    traffic.host_birth()
    traffic.births()
    traffic.rebirth_request()
    asked = traffic.now
    traffic.wait(20)
    traffic.ddata(lambda payload: setattr(payload, "timestamp", asked + 3_000))
    traffic.births()

    assert lint(traffic.events, seconds=60) == {}


def test_negative_numbers_of_any_width_are_clean():
    """Peers widen Int8 and Int16 in their own way, Tahu with the sign up to bit 32."""

    def small(value):
        return lambda payload: metric(payload, "Small", DataType.INT16, int_value=value)

    traffic = Traffic()
    traffic.nbirth()
    traffic.dbirth(small(-3 & 0xFFFF_FFFF))
    for step, mask in enumerate((0xFFFF, 0xFFFF_FFFF, 0xFFFF), 1):
        number = -step * 100 & mask
        traffic.ddata(lambda payload, n=number: metric(payload, "Small", None, int_value=n))

    assert lint(traffic.events) == {}


def test_partial_property_sets_without_types_are_clean():
    def limits(typed, **values):
        def edit(payload):
            properties = by_name(payload, "Level").properties
            for key, value in values.items():
                properties.keys.append(key)
                entry = properties.values.add(**value)
                if typed:
                    entry.type = DataType.STRING if key == "unit" else DataType.INT32

        return edit

    traffic = Traffic()
    traffic.nbirth()
    everything = {"Quality": {"int_value": 500}, "unit": {"string_value": "m"}, "high": {"is_null": True}}
    traffic.dbirth(limits(True, **everything))
    traffic.ddata(limits(False, high={"int_value": 7}))
    traffic.ddata(limits(False, Quality={"int_value": 192}))
    traffic.ddata(limits(False, unit={"is_null": True}))
    traffic.ddata()

    assert lint(traffic.events) == {}


def test_integers_and_booleans_in_the_fields_that_tahu_and_others_use_are_clean():
    def birth(payload):
        metric(payload, "Count", DataType.UINT32, long_value=(1 << 32) - 1)
        metric(payload, "On", DataType.BOOLEAN, int_value=1)
        metric(payload, "Flags", DataType.BOOLEAN_ARRAY, bytes_value=b"\x0c\0\0\0\xff\xf0")
        metric(payload, "None", DataType.BOOLEAN_ARRAY, bytes_value=bytes(4))
        metric(payload, "Names", DataType.STRING_ARRAY, bytes_value=b"")
        metric(payload, "Numbers", DataType.INT64_ARRAY, bytes_value=b"")

    traffic = Traffic()
    traffic.nbirth(edit=birth)
    traffic.dbirth()
    traffic.ndata(lambda payload: metric(payload, "On", None, int_value=0))

    assert lint(traffic.events) == {}


def test_several_values_of_one_metric_in_data_are_clean():
    def older(payload):
        for age in (2, 1):
            metric(payload, "Flow", None, timestamp=payload.timestamp - age, int_value=age)
        metric(payload, "Flow", None, int_value=7)

    traffic = Traffic()
    traffic.nbirth()
    traffic.dbirth(lambda payload: metric(payload, "Flow", DataType.INT32, int_value=5))
    traffic.ddata(older)

    assert lint(traffic.events) == {}


def test_a_device_may_be_born_again_with_other_datatypes_and_aliases():
    def numbered(level, flow, datatype):
        def edit(payload):
            by_name(payload, "Level").alias = level
            metric(payload, "Flow", datatype, alias=flow, int_value=5)

        return edit

    def by_alias(payload):
        entry = by_name(payload, "Level")
        entry.ClearField("name")
        entry.alias = 2

    traffic = Traffic()
    traffic.nbirth()
    traffic.dbirth(numbered(1, 2, DataType.INT32))
    traffic.dbirth(numbered(2, 1, DataType.UINT8))
    traffic.ddata(by_alias)
    traffic.ddeath()
    traffic.dbirth(numbered(3, 2, DataType.INT64))

    assert lint(traffic.events) == {}
