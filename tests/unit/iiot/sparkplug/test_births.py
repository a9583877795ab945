import gc

import pytest

from iiot._pb.sparkplug_b_pb2 import Payload as Message
from iiot.budgets import BudgetError
from iiot.sparkplug.births import BirthCatalog, Definition, birth_fault
from iiot.sparkplug.composite import Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode, MetricDefinition
from iiot.sparkplug.payload import Metric, Parameter, Payload, Template, decode_payload, encode_payload
from iiot.sparkplug.topic import MessageType, Topic, parse_topic

DDATA = Topic(MessageType.DDATA, "IIoT", "n", "pump")


def learned(*, aliases):
    node = EdgeNode("IIoT", "n", [], {"pump": [MetricDefinition("Mode", DataType.INT8)]}, aliases=aliases)
    node.next_will()
    catalog = BirthCatalog()
    for message in node.births(0, lambda device: {"Mode": 0} if device else {}):
        catalog.learn(parse_topic(message.topic), decode_payload(message.payload))
    return catalog, decode_payload(node.data("pump", {"Mode": -3}, 5).payload)


def test_names_and_aliases_are_resolved():
    for aliases in (False, True):
        catalog, data = learned(aliases=aliases)
        assert catalog.resolve(DDATA, data) == []
        assert (data.metrics[0].name, data.metrics[0].value, data.metrics[0].datatype) == (
            "Mode",
            -3,
            DataType.INT8,
        )


def test_what_no_birth_told_is_reported():
    catalog, _ = learned(aliases=True)
    data = Payload(
        metrics=[Metric("Other", 1), Metric(None, 1, alias=9), Metric(None, 1), Metric("Mode", "fast")]
    )
    assert [line.split(":")[0] for line in catalog.resolve(DDATA, data)] == [
        "Other",
        "alias 9",
        "alias None",
    ]
    assert data.metrics[3].fault.startswith("value: got 'fast', allowed: an integer from -128 to 127 (Int8)")
    assert catalog.resolve(Topic(MessageType.NDATA, "IIoT", "ghost"), Payload(metrics=[Metric("a", 1)])) == [
        "a: not in a birth"
    ]


def test_a_metric_that_tells_all_itself_needs_no_birth():
    assert BirthCatalog().resolve(DDATA, Payload(metrics=[Metric("Mode", 1, DataType.INT8)])) == []


def test_a_node_birth_forgets_the_devices():
    catalog, data = learned(aliases=False)
    birth = Payload(5, [Metric("bdSeq", 0, DataType.INT64)], 0)
    assert catalog.learn(Topic(MessageType.NBIRTH, "IIoT", "n"), birth)
    assert catalog.resolve(DDATA, data) == ["Mode: not in a birth"]


def test_an_empty_message_on_the_topic_of_a_birth_teaches_nothing():
    catalog, data = learned(aliases=False)
    assert not catalog.learn(Topic(MessageType.NBIRTH, "IIoT", "n"), decode_payload(b""))
    assert catalog.resolve(DDATA, data) == []


def test_other_messages_teach_nothing():
    catalog = BirthCatalog()
    catalog.learn(DDATA, decode_payload(encode_payload(Payload(metrics=[Metric("Mode", 1, DataType.INT8)]))))
    assert catalog.resolve(DDATA, Payload(metrics=[Metric("Mode", 1)])) == ["Mode: not in a birth"]


NBIRTH = Topic(MessageType.NBIRTH, "IIoT", "n")
DBIRTH = Topic(MessageType.DBIRTH, "IIoT", "n", "pump")


def birth(prefix, count=10):
    return Payload(
        1, [Metric(f"{prefix}/{number}", 1, DataType.INT32, alias=number) for number in range(count)]
    )


def test_names_that_no_birth_has_any_more_are_forgotten():
    catalog = BirthCatalog()
    for number in range(5):
        catalog.learn(NBIRTH, birth(f"session {number}"))
        catalog.learn(DBIRTH, birth(f"pump in session {number}"))
    names = [entry.name for entry in gc.get_objects() if type(entry) is Definition]
    assert len([name for name in names if name.startswith("session")]) == 10
    assert len([name for name in names if name.startswith("pump in")]) == 10
    catalog.learn(NBIRTH, birth("session"))
    assert catalog.known(DBIRTH).by_name == {}


def invented(number, payload):
    yield Topic(MessageType.DBIRTH, "IIoT", "n", f"device {number}"), payload
    yield Topic(MessageType.NBIRTH, f"group {number}", "n"), payload


@pytest.mark.parametrize("way", [0, 1], ids=["devices", "groups"])
def test_an_edge_node_that_invents_devices_or_groups_is_refused_and_costs_no_other_its_names(way):
    catalog = BirthCatalog(limit=1_000_000)
    other = Topic(MessageType.NBIRTH, "IIoT", "other")
    catalog.learn(other, birth("other"))

    refused = 0
    for number in range(500):
        topic, payload = list(invented(number, birth(f"{number}", 100)))[way]
        try:
            catalog.learn(topic, payload)
        except BudgetError:
            refused += 1

    assert 400 < refused < 490
    assert catalog.resolve(other, Payload(metrics=[Metric(None, 1, alias=3)])) == []
    with pytest.raises(BudgetError, match="births of edge node 'n': more than 1000000 bytes"):
        catalog.learn(topic, payload)


def test_long_names_count_as_what_they_take():
    catalog = BirthCatalog(limit=1_000_000)
    with pytest.raises(BudgetError):
        catalog.learn(NBIRTH, Payload(1, [Metric("\U0001f600" * 300_000, 1, DataType.INT8)]))
    with pytest.raises(BudgetError):
        catalog.learn(NBIRTH, birth("stored"), size=1_000_000)
    assert catalog.learn(NBIRTH, birth("stored"), size=900_000)
    assert catalog.learn(NBIRTH, birth("again"), size=900_000)


def motor(*metrics):
    return Template(list(metrics), ref="Motor")


def test_members_of_a_template_get_the_datatypes_of_the_birth():
    gear = Metric("Gear", motor(Metric("Ratio", -1, DataType.INT8)), DataType.TEMPLATE)
    metrics = [MetricDefinition("Drive", DataType.TEMPLATE)]
    node = EdgeNode("IIoT", "n", [], {"pump": metrics})
    node.next_will()
    catalog = BirthCatalog()
    drive = motor(Metric("Speed", -5, DataType.INT32), gear)
    for message in node.births(0, lambda device: {"Drive": drive} if device else {}):
        catalog.learn(parse_topic(message.topic), decode_payload(message.payload))

    part = motor(Metric("Gear", motor(Metric("Ratio", -7, DataType.INT8)), DataType.TEMPLATE))
    data = decode_payload(node.data("pump", {"Drive": part}, 5).payload)

    assert catalog.resolve(DDATA, data) == []
    (member,) = data.metrics[0].value.metrics
    assert (member.value.metrics[0].value, member.value.metrics[0].datatype) == (-7, DataType.INT8)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (MessageType.NBIRTH, Payload()),
        (MessageType.DBIRTH, Payload()),
        (MessageType.NBIRTH, Payload(5, seq=0)),
        (MessageType.DBIRTH, Payload(5, [Metric(None, 1, DataType.INT8, alias=1)], 1)),
        (MessageType.DBIRTH, Payload(5, [Metric("Mode", 1)], 1)),
    ],
)
def test_what_lacks_everything_a_birth_tells_is_none(kind, payload):
    assert birth_fault(Topic(kind, "IIoT", "n", "pump" if kind.of_device else None), payload)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (MessageType.NBIRTH, Payload(metrics=[Metric("bdSeq", 0, DataType.INT64)])),
        (MessageType.DBIRTH, Payload(5, seq=1)),
        (MessageType.DBIRTH, Payload(5, [Metric("Mode", None, DataType.INT8, fault="bad"), Metric(None)], 1)),
    ],
)
def test_what_a_birth_may_lack_makes_it_no_other_message(kind, payload):
    assert birth_fault(Topic(kind, "IIoT", "n", "pump" if kind.of_device else None), payload) is None


def test_types_of_properties_and_parameters_come_from_the_birth():
    catalog = BirthCatalog()
    topic = Topic(MessageType.DBIRTH, "IIoT", "n", "pump")
    template = Template([Metric("Speed", 1, DataType.INT16)], [Parameter("Poles", DataType.INT8, 4)], "Motor")
    limits = {"low": Property(DataType.INT16, -9)}
    metrics = [Metric("Drive", template, DataType.TEMPLATE), Metric("T", 1, DataType.INT8, properties=limits)]
    catalog.learn(topic, Payload(5, metrics, 1))
    sent = Message(
        metrics=[
            {"name": "Drive", "template_value": {"parameters": [{"name": "Poles", "int_value": 0xFD}]}},
            {
                "name": "T",
                "int_value": 2,
                "properties": {"keys": ["low"], "values": [{"int_value": 0xFFFFFFFD}]},
            },
        ]
    )
    data = decode_payload(sent.SerializeToString())
    assert catalog.resolve(DDATA, data) == []
    drive, level = data.metrics
    assert drive.value.parameters == [Parameter("Poles", DataType.INT8, -3)]
    assert level.properties == {"low": Property(DataType.INT16, -3)}


def test_long_names_make_short_lines():
    data = Payload(metrics=[Metric("x" * 1_000_000, 1)] * 3)
    assert all(len(line) < 100 for line in BirthCatalog().resolve(DDATA, data))
