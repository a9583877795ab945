from iiot.sparkplug.births import BirthCatalog
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode, MetricDefinition
from iiot.sparkplug.payload import Metric, Payload, Template, decode_payload, encode_payload
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
        "Mode",
    ]
    assert catalog.resolve(Topic(MessageType.NDATA, "IIoT", "ghost"), Payload(metrics=[Metric("a", 1)])) == [
        "a: not in a birth"
    ]


def test_a_metric_that_tells_all_itself_needs_no_birth():
    assert BirthCatalog().resolve(DDATA, Payload(metrics=[Metric("Mode", 1, DataType.INT8)])) == []


def test_a_node_birth_forgets_the_devices():
    catalog, data = learned(aliases=False)
    catalog.learn(Topic(MessageType.NBIRTH, "IIoT", "n"), Payload())
    assert catalog.resolve(DDATA, data) == ["Mode: not in a birth"]


def test_other_messages_teach_nothing():
    catalog = BirthCatalog()
    catalog.learn(DDATA, decode_payload(encode_payload(Payload(metrics=[Metric("Mode", 1, DataType.INT8)]))))
    assert catalog.resolve(DDATA, Payload(metrics=[Metric("Mode", 1)])) == ["Mode: not in a birth"]


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
