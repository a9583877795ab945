import itertools

import pytest

from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, Template, decode_payload, encode_payload

BASE = "spBv1.0/IIoT/"
NODE, ASSET = "device-x-001", "device-x-001/asset"


@pytest.fixture
def born(make_parts):
    def make(**kinds):
        parts = make_parts(**kinds)
        parts.node.edge.next_will()
        parts.births = parts.node.births(parts.clock.now)
        return parts

    return make


def content(message):
    return {metric.name: metric.value for metric in decode_payload(message.payload).metrics}


def write(parts, name, value, datatype, device=True):
    topic = BASE + (f"DCMD/{ASSET}" if device else f"NCMD/{NODE}")
    payload = encode_payload(Payload(1, [Metric(name, value, datatype)]), with_datatypes=False)
    answers = parts.node.receive(topic, payload)
    return answers + (parts.node.births(parts.clock.now) if parts.node.rebirth_wanted else [])


def test_births_tell_every_metric_with_its_type(born):
    node, asset = (decode_payload(message.payload) for message in born().births)
    assert (node.seq, asset.seq) == (0, 1)
    named = {metric.name: metric for metric in node.metrics}
    assert (named["bdSeq"].value, named["bdSeq"].datatype) == (3, DataType.INT64)
    assert named["Node Control/Rebirth"].value is False
    assert named["Properties/Model"].value == "SimDevice-temperature_sensor"
    types = {metric.name: metric.datatype for metric in asset.metrics}
    assert types == {
        "Sensors/Temperature": DataType.DOUBLE,
        "Battery/Level": DataType.INT32,
        "Device/Uptime": DataType.INT64,
        "Ledger/Sequence": DataType.INT64,
    }


def test_every_message_of_the_node_takes_the_next_ledger_number(born):
    parts = born()
    messages = [*parts.births, *(parts.node.telemetry(parts.clock.now + i) for i in range(3))]
    messages += write(parts, "Node Control/Rebirth", True, DataType.BOOLEAN, device=False)
    messages.append(parts.node.telemetry(parts.clock.now + 9))
    assert [content(message)["Ledger/Sequence"] for message in messages] == list(range(5000, 5008))
    assert [decode_payload(m.payload).seq for m in messages] == [0, 1, 2, 3, 4, 0, 1, 2]


def test_a_rebirth_keeps_bdseq(born):
    parts = born()
    again = write(parts, "Node Control/Rebirth", True, DataType.BOOLEAN, device=False)
    assert [m.topic for m in again] == [f"{BASE}NBIRTH/{NODE}", f"{BASE}DBIRTH/{ASSET}"]
    assert content(again[0])["bdSeq"] == 3


def test_nothing_is_sent_between_a_rebirth_request_and_the_births(born):
    parts = born(kind="energy", sparkplug={"store": {}})
    parts.node.record(parts.clock.now + 1)
    rebirth = Metric("Node Control/Rebirth", True, DataType.BOOLEAN)
    lifetime = Metric("LwM2M/Lifetime", 77, DataType.INT64)
    payload = encode_payload(Payload(1, [rebirth, lifetime, rebirth]), with_datatypes=False)
    assert parts.node.receive(f"{BASE}NCMD/{NODE}", payload) == []
    assert parts.node.telemetry(parts.clock.now + 2) is None
    assert parts.node.forward() is None
    assert parts.node.node_changes() == []
    births = parts.node.births(parts.clock.now + 3)
    assert content(births[0])["LwM2M/Lifetime"] == 77
    assert parts.node.forward() is not None
    assert parts.node.telemetry(parts.clock.now + 4) is not None


def test_telemetry_carries_all_metrics_without_datatypes(born):
    parts = born()
    message = parts.node.telemetry(parts.clock.now + 60)
    assert message.topic == f"{BASE}DDATA/{ASSET}"
    metrics = decode_payload(message.payload).metrics
    assert [m.name for m in metrics] == [
        "Sensors/Temperature",
        "Battery/Level",
        "Device/Uptime",
        "Ledger/Sequence",
    ]
    assert {m.datatype for m in metrics} == {None}
    assert content(message)["Device/Uptime"] == 60


def test_metrics_changed_leaves_out_what_stayed(born):
    parts = born(metrics="changed")
    names = [content(parts.node.telemetry(parts.clock.now + i * 0.01)).keys() for i in range(1, 50)]
    assert all({"Device/Uptime", "Ledger/Sequence"} <= keys for keys in names)
    assert not any("Battery/Level" in keys for keys in names)
    assert any("Sensors/Temperature" in keys for keys in names)


def test_report_on_change_is_silent_within_the_deadband_and_heard_at_the_heartbeat(born):
    parts = born(on_change={"deadband": 1000, "heartbeat": 10})
    sent = [i for i in range(1, 250) if parts.node.telemetry(parts.clock.now + i * 0.1)]
    assert sent == [100, 200]
    lively = born(on_change={"deadband": 0.1, "heartbeat": 1000})
    values = [
        content(message)["Sensors/Temperature"]
        for i in range(1, 300)
        if (message := lively.node.telemetry(lively.clock.now + i * 0.1))
    ]
    assert 1 < len(values) < 200
    assert all(abs(a - b) > 0.1 for a, b in itertools.pairwise(values))


def test_the_switch_works_from_sparkplug_and_shows_in_lwm2m(born):
    parts = born(kind="energy")
    (answer,) = write(parts, "Outputs/Load", True, DataType.BOOLEAN)
    assert content(answer)["Outputs/Load"] is True
    assert parts.state.sensors.is_on
    assert content(parts.node.telemetry(parts.clock.now + 1))["Outputs/Load"] is True


def test_lifetime_is_one_value_in_both_protocols(born):
    parts = born()
    (answer,) = write(parts, "LwM2M/Lifetime", 90, DataType.INT64, device=False)
    assert answer.topic == f"{BASE}NDATA/{NODE}"
    assert content(answer)["LwM2M/Lifetime"] == 90
    assert (parts.state.lifetime, parts.state.update_wanted) == (90, True)
    parts.state.lifetime = 77
    assert content(parts.node.node_changes()[0])["LwM2M/Lifetime"] == 77
    assert parts.node.node_changes() == []


def test_what_cannot_be_written_is_counted_and_changes_nothing(born):
    parts = born()
    assert write(parts, "Sensors/Temperature", 99.0, DataType.DOUBLE) == []
    assert write(parts, "No/Such", True, DataType.BOOLEAN) == []
    assert write(parts, "LwM2M/Lifetime", -1, DataType.INT64, device=False) == []
    assert parts.node.refused == 3
    assert parts.state.lifetime == 3600


def test_a_sensor_that_does_not_answer_is_null(born):
    parts = born(faults=100)
    now = parts.clock.now
    seen = [content(parts.node.telemetry(now + i * 2))["Sensors/Temperature"] for i in range(2000)]
    assert None in seen
    assert any(value is not None for value in seen)


def test_reboot_is_asked_for_by_a_true_value_only(born):
    parts = born()
    write(parts, "Node Control/Reboot", False, DataType.BOOLEAN, device=False)
    assert not parts.state.reboot_wanted
    write(parts, "Node Control/Reboot", True, DataType.BOOLEAN, device=False)
    assert parts.state.reboot_wanted


def device_of(message):
    return message.topic.rpartition("/")[2]


def verb(message):
    return message.topic.split("/")[2]


def test_aliases_replace_names_in_data(born):
    parts = born(sparkplug={"aliases": True})
    message = parts.node.telemetry(parts.clock.now + 1)
    names = {m.alias: m.name for m in decode_payload(parts.births[1].payload).metrics}
    metrics = decode_payload(message.payload).metrics
    assert [metric.name for metric in metrics] == [None] * 4
    assert {names[metric.alias] for metric in metrics} == set(names.values())


def test_a_device_for_each_channel_reports_in_turn(born):
    parts = born(kind="air-quality", sparkplug={"devices": "per_channel"})
    devices = [device_of(message) for message in parts.births[1:]]
    assert devices[0] == "asset"
    assert len(devices) == 1 + len(parts.state.plan.kind.channels)
    messages = [parts.node.telemetry(parts.clock.now + i) for i in range(2 * len(devices))]
    assert [device_of(message) for message in messages] == devices * 2
    assert [decode_payload(m.payload).seq for m in messages[:3]] == [len(devices) + 1 + i for i in range(3)]
    assert content(messages[0]).keys() == {"Battery/Level", "Device/Uptime", "Ledger/Sequence"}
    for channel, message in zip(parts.state.plan.kind.channels, messages[1:], strict=False):
        assert content(message).keys() == {channel.metric, "Ledger/Sequence"}


def test_a_device_dies_with_its_sensor_and_is_born_with_it_again(born):
    parts = born(faults=100, sparkplug={"failures": True})
    messages = [m for i in range(2000) if (m := parts.node.telemetry(parts.clock.now + i * 2))]
    verbs = [verb(message) for message in messages]
    assert verbs.count("DDEATH") > 2
    assert verbs.count("DBIRTH") in (verbs.count("DDEATH"), verbs.count("DDEATH") - 1)
    for before, after in itertools.pairwise(verbs):
        assert (before == "DDEATH") == (after == "DBIRTH")
    seqs = [decode_payload(message.payload).seq for message in messages]
    assert seqs == [(2 + i) % 256 for i in range(len(seqs))]
    assert all(content(m)["Sensors/Temperature"] is not None for m in messages if verb(m) != "DDEATH")


def test_the_other_devices_go_on_when_one_has_failed(born):
    parts = born(kind="air-quality", faults=100, sparkplug={"devices": "per_channel", "failures": True})
    messages = [parts.node.telemetry(parts.clock.now + i * 2) for i in range(1500)]
    assert None not in messages
    assert {"DDEATH", "DBIRTH", "DDATA"} == {verb(message) for message in messages}


def test_a_device_that_the_births_left_out_is_announced_by_a_rebirth(born):
    parts = born(kind="air-quality", faults=100, sparkplug={"devices": "per_channel", "failures": True})
    node, now = parts.node, parts.clock.now

    def until(verbs):
        nonlocal now
        for _ in range(2000):
            now += 2
            message = node.telemetry(now)
            if message is None or verb(message) in verbs:
                return message
        raise AssertionError(f"no {verbs}")

    dead = until(["DDEATH"]).topic.rpartition("/")[2]
    assert dead not in {message.topic.rpartition("/")[2] for message in node.births(now)}
    assert until(["DBIRTH"]) is None
    assert node.rebirth_wanted
    assert dead in {message.topic.rpartition("/")[2] for message in node.births(now)}
    assert not node.rebirth_wanted


def test_stored_samples_leave_after_the_births_with_their_own_time(born):
    parts = born(sparkplug={"store": {"capacity": 3}})
    for _ in range(5):
        parts.clock.now += 1
        parts.node.record(parts.clock.now)
    taken = parts.node.store.first.acquired
    parts.node.edge.next_will()
    assert parts.node.forward() is None
    parts.node.births(parts.clock.now)
    messages = [parts.node.forward() for _ in range(4)]
    assert messages[3] is None
    assert all(m.is_historical for message in messages[:3] for m in decode_payload(message.payload).metrics)
    times = [decode_payload(m.payload).metrics[0].timestamp for m in messages[:3]]
    assert times == [taken, taken + 1000, taken + 2000]
    assert parts.node.store.dropped == 2
    numbers = [content(message)["Ledger/Sequence"] for message in messages[:3]]
    assert numbers == [5004, 5005, 5006]


TYPES = {"sparkplug": {"datatypes": True}}


def test_a_group_may_show_every_datatype(born):
    parts = born(**TYPES)
    node, _, types = (decode_payload(message.payload) for message in parts.births)
    (motor,) = [metric.value for metric in node.metrics if metric.name == "Motor"]
    assert motor.is_definition
    shown = {metric.datatype: metric for metric in types.metrics}
    assert set(shown) >= {DataType(code) for code in range(1, 35) if code not in (20, 21)}
    instance = shown[DataType.TEMPLATE].value
    assert (instance.ref, instance.is_definition) == ("Motor", False)
    assert [member.name for member in instance.metrics] == [member.name for member in motor.metrics]
    assert {member.timestamp for member in instance.metrics} == {types.timestamp}
    assert shown[DataType.FILE].metadata.file_name == "motor.csv"
    assert shown[DataType.DOUBLE].properties["Quality"].value == 192


def write_type(parts, name, value, datatype):
    payload = encode_payload(Payload(1, [Metric(name, value, datatype)]), with_datatypes=False)
    return parts.node.receive(f"{BASE}DCMD/{NODE}/datatypes", payload)


def test_a_written_value_of_any_datatype_holds(born):
    parts = born(**TYPES)
    births = [decode_payload(message.payload) for message in parts.births]
    for metric in births[2].metrics:
        if metric.name == "Ledger/Sequence":
            continue
        (data,) = write_type(parts, metric.name, metric.value, metric.datatype)
        (told, _) = decode_payload(data.payload).metrics
        told.resolve(metric.name, metric.datatype)
        if metric.datatype is not DataType.TEMPLATE:
            assert told.value == metric.value
    write_type(parts, "Types/Int16", -300, DataType.INT16)
    again = decode_payload(parts.node.births(parts.clock.now)[2].payload)
    assert {m.name: m.value for m in again.metrics}["Types/Int16"] == -300
    assert parts.node.refused == 0


def test_a_part_of_a_template_is_merged_and_a_member_that_there_is_not_is_refused(born):
    parts = born(**TYPES)
    part = Template([Metric("Speed", 9, DataType.INT32)], ref="Motor")
    (data,) = write_type(parts, "Types/Template", part, DataType.TEMPLATE)
    members = decode_payload(data.payload).metrics[0].value.metrics
    assert (members[0].name, members[0].value) == ("Speed", 9)
    assert len(members) == 3
    wrong = Template([Metric("Pace", 9, DataType.INT32)], ref="Motor")
    assert write_type(parts, "Types/Template", wrong, DataType.TEMPLATE) == []
    assert parts.node.refused == 1


def test_by_exception_nothing_is_told_of_datatypes_that_nobody_writes(born):
    parts = born(**TYPES, on_change={"deadband": 1000, "heartbeat": 1000})
    told = [parts.node.telemetry(parts.clock.now + i) for i in range(20)]
    assert not any(message and message.topic.endswith("datatypes") for message in told)
