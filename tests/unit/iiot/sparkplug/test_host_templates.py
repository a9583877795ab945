"""Template instances that a host receives in parts."""

from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode, MetricDefinition
from iiot.sparkplug.host_state import Quality
from iiot.sparkplug.payload import (
    Metric,
    Parameter,
    Payload,
    Template,
)
from iiot.sparkplug.topic import MessageType, Topic
from sparkplug_plant import ASK, KEY, T0, Plant

MOTOR = Template(
    [
        Metric("Speed", -5, DataType.INT32, T0),
        Metric("Name", "a", DataType.STRING, T0),
        Metric("Gear", Template([Metric("Ratio", -1, DataType.INT8, T0)], ref="Gear"), DataType.TEMPLATE, T0),
    ],
    [Parameter("Maker", DataType.STRING, "x")],
    ref="Motor",
)


def with_motor():
    plant = Plant()
    metrics = [MetricDefinition("Drive", DataType.TEMPLATE)]
    plant.edge = EdgeNode("IIoT", "n", [], {"pump": metrics})
    plant.edge.next_will()
    plant.feed(*plant.edge.births(T0, lambda device: {"Drive": MOTOR} if device else {}))
    return plant


def test_parts_of_a_template_change_only_their_members():
    plant = with_motor()
    gear = Template([Metric("Ratio", -7, DataType.INT8, T0)], ref="Gear")
    part = Template(
        [Metric("Speed", -9, DataType.INT32, T0 + 1), Metric("Gear", gear, DataType.TEMPLATE, T0 + 1)],
        ref="Motor",
    )
    plant.feed(plant.edge.data("pump", {"Drive": part}, T0 + 1))
    drive = plant.pump.metrics["Drive"].value
    assert [(member.name, member.datatype) for member in drive.metrics] == [
        ("Speed", DataType.INT32),
        ("Name", DataType.STRING),
        ("Gear", DataType.TEMPLATE),
    ]
    assert [member.value for member in drive.metrics[:2]] == [-9, "a"]
    assert drive.metrics[2].value.metrics[0].value == -7
    assert drive.parameters == MOTOR.parameters


def test_a_member_that_no_birth_announced_is_refused():
    plant = with_motor()
    part = Template([Metric("Size", 1, DataType.INT32, T0)], ref="Motor")
    plant.feed(plant.edge.data("pump", {"Drive": part}, T0 + 1))
    assert plant.pump.metrics["Drive"].value.metrics[0].value == -5
    assert plant.wait(60_000) == [ASK]
    assert plant.host.counters.undecodable == 1


def test_a_member_that_cannot_be_used_keeps_its_last_value_and_the_template_is_bad_until_it_is_good():
    plant = with_motor()
    topic, drive = Topic(MessageType.DDATA, *KEY, "pump"), plant.pump.metrics["Drive"]

    def receive(*members):
        template = Template(list(members), ref="Motor")
        payload = Payload(T0, [Metric("Drive", template)], plant.node.order.expected)
        plant.host.receive(topic, payload, T0)
        return [member.value for member in drive.value.metrics[:2]], plant.quality(metric="Drive")

    assert receive(Metric("Speed", "fast"), Metric("Name", "b")) == ([-5, "b"], Quality.BAD)
    assert drive.fault.startswith("Speed: ")
    assert receive(Metric("Name", "c")) == ([-5, "c"], Quality.BAD)
    assert receive(Metric("Speed", 7)) == ([7, "c"], Quality.GOOD)
    assert drive.fault is None
