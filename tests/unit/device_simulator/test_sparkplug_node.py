import itertools

import pytest

from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, decode_payload, encode_payload

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
    return parts.node.receive(topic, payload, parts.clock.now)


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
