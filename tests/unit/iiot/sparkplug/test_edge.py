import pytest

from iiot.errors import InvalidValueError, MessageTooLargeError, SessionStateError
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import (
    EdgeNode,
    MetricDefinition,
    NextServerRequested,
    PrimaryHostChanged,
    RebirthRequested,
    Refused,
    Write,
)
from iiot.sparkplug.payload import (
    BD_SEQ,
    NEXT_SERVER,
    REBIRTH,
    Metric,
    Payload,
    decode_payload,
)
from iiot.sparkplug.state import State, encode_state
from iiot.sparkplug.topic import parse_topic
from sparkplug_edge import NODE, NOW, PUMP, UNIT, VALUES, born, command, connected, current, edge_node, read


def test_will_and_births_of_one_session_carry_the_same_bd_seq():
    node = edge_node(bd_seq=255)
    for expected in (255, 0, 1):
        will = node.next_will()
        assert (will.topic, will.qos) == ("spBv1.0/IIoT/NDEATH/n", 1)
        (death,) = decode_payload(will.payload).metrics
        assert death == Metric(BD_SEQ, expected, DataType.INT64)
        assert decode_payload(will.payload).seq is None
        (_, nbirth), *_ = read(node.births(NOW, current))
        assert nbirth.metrics[0] == Metric(BD_SEQ, expected, DataType.INT64, NOW)
        assert node.node_death() == will
    assert node.upcoming_bd_seq == 2


def test_births_come_in_order_with_every_metric():
    messages = connected().births(NOW, current)
    (node_topic, nbirth), (pump_topic, pump), (fan_topic, fan) = read(messages)
    assert [node_topic, pump_topic, fan_topic] == [
        "spBv1.0/IIoT/NBIRTH/n", "spBv1.0/IIoT/DBIRTH/n/pump", "spBv1.0/IIoT/DBIRTH/n/fan",
    ]  # fmt: skip
    assert [payload.seq for payload in (nbirth, pump, fan)] == [0, 1, 2]
    assert {payload.timestamp for payload in (nbirth, pump, fan)} == {NOW}
    assert nbirth.metrics[1:] == [
        Metric(REBIRTH, False, DataType.BOOLEAN, NOW),
        Metric("Properties/Model", "M1", DataType.STRING, NOW),
    ]
    assert pump.metrics == [
        Metric("Sensors/Temperature", 23.5, DataType.DOUBLE, NOW, properties=UNIT),
        Metric("Setpoint", 20.0, DataType.FLOAT, NOW),
        Metric("Mode", -1, DataType.INT8, NOW),
    ]
    assert {message.qos for message in messages} == {0}


def test_a_missing_value_is_born_as_null():
    (_, nbirth), *_ = read(connected().births(NOW, lambda device: {}))
    assert nbirth.metrics[-1] == Metric("Properties/Model", None, DataType.STRING, NOW)


def test_seq_runs_over_all_devices_and_wraps():
    node = born()
    seqs = []
    for i in range(300):
        device = (None, "pump", "fan")[i % 3]
        values = {"Properties/Model": "M2"} if device is None else {"Mode": 3}
        message = node.data(device, values, NOW)
        seqs.append(decode_payload(message.payload).seq)
    assert seqs == [(3 + i) % 256 for i in range(300)]


def test_data_has_names_and_times_but_no_datatypes():
    message = born().data("pump", {"Mode": -1}, NOW + 5)
    assert message.topic == "spBv1.0/IIoT/DDATA/n/pump"
    assert decode_payload(message.payload) == Payload(
        NOW + 5, [Metric("Mode", 0xFFFFFFFF, timestamp=NOW + 5)], 3
    )


def test_stored_data_is_historical_with_its_own_time():
    message = born().data("pump", {"Mode": 1}, NOW, acquired=NOW - 60_000)
    (metric,) = decode_payload(message.payload).metrics
    assert metric.is_historical
    assert metric.timestamp == NOW - 60_000


def test_a_value_that_cannot_be_sent_leaves_no_gap():
    node = born()
    with pytest.raises(InvalidValueError, match="Mode: got 300"):
        node.data("pump", {"Mode": 300}, NOW)
    assert decode_payload(node.data("pump", {"Mode": 1}, NOW).payload).seq == 3


def test_rebirth_starts_seq_again_and_keeps_bd_seq():
    node = born(bd_seq=7)
    node.data("pump", {"Mode": 1}, NOW)
    assert node.receive(*command(Metric(REBIRTH, True, DataType.BOOLEAN))) == [RebirthRequested()]
    (_, nbirth), (_, dbirth), _ = read(node.births(NOW, current))
    assert (nbirth.seq, dbirth.seq, nbirth.metrics[0].value) == (0, 1, 7)
    assert node.receive(*command(Metric(REBIRTH, False, DataType.BOOLEAN))) == []


def test_aliases_are_unique_over_node_and_devices_and_replace_names_in_data():
    node = connected(aliases=True)
    births = read(node.births(NOW, current))
    aliases = [metric.alias for _, payload in births for metric in payload.metrics]
    assert aliases == [None, None, 1, 2, 3, 4, 5, 6, 7]
    (metric,) = decode_payload(node.data("fan", {"Setpoint": 1.0}, NOW).payload).metrics
    assert (metric.name, metric.alias) == (None, 6)
    assert node.receive(*command(Metric(None, 2, DataType.INT8, alias=7), device="fan")) == [
        Write("fan", "Mode", 2)
    ]


def test_a_device_fails_and_recovers():
    node = connected()
    births = node.births(NOW, lambda device: None if device == "fan" else current(device))
    assert len(births) == 2
    with pytest.raises(SessionStateError, match="fan is not born"):
        node.data("fan", {"Mode": 1}, NOW)
    ((topic, dbirth),) = read([node.device_birth("fan", NOW, VALUES)])
    assert (topic, dbirth.seq) == ("spBv1.0/IIoT/DBIRTH/n/fan", 2)
    ((topic, ddeath),) = read([node.device_death("fan", NOW)])
    assert (topic, ddeath) == ("spBv1.0/IIoT/DDEATH/n/fan", Payload(NOW, [], 3))
    with pytest.raises(SessionStateError):
        node.device_death("fan", NOW)


def test_a_device_that_a_rebirth_leaves_out_is_not_born():
    node = born()
    node.births(NOW, lambda device: None if device == "fan" else current(device))
    with pytest.raises(SessionStateError, match="fan is not born"):
        node.data("fan", {"Mode": 1}, NOW)


def test_nothing_precedes_the_births_of_a_session():
    node = edge_node()
    with pytest.raises(SessionStateError):
        node.births(NOW, current)
    node.next_will()
    for attempt in (
        lambda: node.data(None, {}, NOW),
        lambda: node.device_birth("pump", NOW, VALUES),
        lambda: node.device_death("pump", NOW),
    ):
        with pytest.raises(SessionStateError):
            attempt()
    node.births(NOW, current)
    node.next_will()
    with pytest.raises(SessionStateError):
        node.data("pump", {"Mode": 1}, NOW)


def test_primary_host_state():
    node = connected(primary_host="scada")
    topic = "spBv1.0/STATE/scada"
    assert node.subscriptions == ["spBv1.0/IIoT/NCMD/n", "spBv1.0/IIoT/DCMD/n/+", topic]
    steps = [
        (State(True, 100), [PrimaryHostChanged(True)]),
        (State(True, 100), []),
        (State(False, 99), []),
        (State(False, 100), [PrimaryHostChanged(False)]),
        (State(True, 50), []),
        (State(True, 101), [PrimaryHostChanged(True)]),
    ]
    for state, actions in steps:
        assert node.receive(topic, encode_state(state)) == actions
    assert node.receive("spBv1.0/STATE/other", encode_state(State(False, 200))) == []
    assert born().receive(topic, encode_state(State(True, 1))) == []


@pytest.mark.parametrize(
    "build",
    [
        lambda: EdgeNode("a/b", "n", [], {}),
        lambda: EdgeNode("IIoT", "", [], {}),
        lambda: EdgeNode("STATE", "n", [], {}),
        lambda: EdgeNode("IIoT", "n", [], {"a+": []}),
        lambda: EdgeNode("IIoT", "n", [MetricDefinition(REBIRTH, DataType.BOOLEAN)], {}),
        lambda: EdgeNode("IIoT", "n", NODE * 2, {}),
        lambda: EdgeNode("IIoT", "n", [], {"pump": [MetricDefinition("", DataType.INT8)]}),
        lambda: born().data("pump", {"Nothing": 1}, NOW),
        lambda: born().data("ghost", {}, NOW),
    ],
)
def test_mistakes_of_the_caller_are_named(build):
    with pytest.raises(InvalidValueError, match="allowed"):
        build()


def test_every_topic_is_legal():
    node = edge_node()
    messages = [node.next_will(), *node.births(NOW, current), node.device_death("fan", NOW)]
    for message in messages:
        assert str(parse_topic(message.topic)) == message.topic


EXTRA = MetricDefinition("Vibration", DataType.FLOAT)


def aliases(message):
    return {metric.name: metric.alias for metric in decode_payload(message.payload).metrics}


def test_a_changed_set_of_metrics_holds_from_the_next_birth_on():
    node = born(aliases=True)
    before = aliases(node.births(NOW, current)[1])
    node.define("pump", [PUMP[0], EXTRA])
    with pytest.raises(SessionStateError):
        node.data("pump", {"Sensors/Temperature": 1.0}, NOW)
    node.data("fan", {"Mode": 1}, NOW)

    birth = node.device_birth("pump", NOW, {"Sensors/Temperature": 1.0, "Vibration": 0.5})

    after = aliases(birth)
    assert after.keys() == {"Sensors/Temperature", "Vibration"}
    assert after["Sensors/Temperature"] == before["Sensors/Temperature"]
    assert after["Vibration"] > max(alias for alias in before.values() if alias is not None)
    with pytest.raises(InvalidValueError):
        node.data("pump", {"Mode": 1}, NOW)


def test_a_changed_set_of_node_metrics_needs_all_births():
    node = born()
    node.define(None, [*NODE, EXTRA])
    for device in (None, "pump"):
        with pytest.raises(SessionStateError):
            node.data(device, {}, NOW)
    assert "Vibration" in aliases(node.births(NOW, current)[0])


def test_devices_come_and_go_at_run_time():
    node = born()
    node.define("valve", [EXTRA])
    assert node.device_birth("valve", NOW, {"Vibration": 1.0}).topic == "spBv1.0/IIoT/DBIRTH/n/valve"
    assert node.remove_device("valve", NOW).topic == "spBv1.0/IIoT/DDEATH/n/valve"
    node.define("valve", [EXTRA])
    assert node.remove_device("valve", NOW) is None
    with pytest.raises(InvalidValueError):
        node.remove_device("valve", NOW)
    with pytest.raises(InvalidValueError):
        node.define("a/b", [EXTRA])
    with pytest.raises(InvalidValueError):
        node.define("pump", [EXTRA, EXTRA])
    node.data("pump", {"Mode": 1}, NOW)


def test_births_that_the_broker_would_not_take_are_refused_as_a_whole():
    node = connected()
    sizes = [len(m.topic) + len(m.payload) for m in node.births(NOW, current)]
    node.max_packet_size = max(sizes) + 7
    with pytest.raises(MessageTooLargeError) as caught:
        node.births(NOW, current)
    assert caught.value.limit == max(sizes) + 7 < caught.value.size
    with pytest.raises(SessionStateError):
        node.data("pump", {"Mode": 1}, NOW)
    node.max_packet_size = max(sizes) + 8
    assert [payload.seq for _, payload in read(node.births(NOW, current))] == [0, 1, 2]


def test_next_server_is_asked_for_where_the_metric_exists():
    control = MetricDefinition(NEXT_SERVER, DataType.BOOLEAN, writable=True)
    node = EdgeNode("IIoT", "n", [control], {})
    go, stay = (Metric(NEXT_SERVER, value, DataType.BOOLEAN) for value in (True, False))
    assert node.receive(*command(go)) == [NextServerRequested()]
    assert node.receive(*command(stay)) == []
    assert isinstance(born().receive(*command(go))[0], Refused)


def test_each_connection_has_to_hear_again_that_the_primary_host_is_online():
    node = edge_node(primary_host="host")
    topic, online = "spBv1.0/STATE/host", encode_state(State(online=True, timestamp=5))
    for _ in range(2):
        node.next_will()
        assert not node.primary_host.online
        assert node.receive(topic, online) == [PrimaryHostChanged(online=True)]
    assert node.receive(topic, encode_state(State(online=False, timestamp=4))) == []


def test_a_device_is_born_between_its_birth_and_its_death():
    node = connected()
    assert not node.is_born("pump")
    node.births(NOW, current)
    assert node.is_born(None)
    assert node.is_born("pump")
    node.device_death("pump", NOW)
    assert not node.is_born("pump")
    assert not node.is_born("ghost")
