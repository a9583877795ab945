import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot import topics
from testbed.verify.paths import PATH_OF_TOPIC, Entry, read_record

SPARKPLUG = {
    "topic": "spBv1.0/IIoT/DDATA/device-temp-001/asset",
    "edge_node": "device-temp-001",
    "device": "asset",
    "message_type": "DDATA",
    "seq": 7,
    "timestamp": 1_800_000_000_123,
    "metrics": [
        {"name": "Sensors/Temperature", "type": "Double", "value": 23.5},
        {"name": "Ledger/Sequence", "type": "Int64", "value": 1_800_000_000_000_042},
    ],
}
BRIDGED = {
    "endpoint": "device-temp-001",
    "operation": "send",
    "timestamp": 1_800_000_000_999,
    "payload": {"values": {"/3303/0/5700": 23.5}, "seq": 42, "timestamp": 1_800_000_000_123},
}
EVENT = {
    "id": 5,
    "type": "send",
    "endpoint": "device-temp-001",
    "timestamp": "2027-01-15T08:00:00.999Z",
    "data": {"values": {"/3303/0/5700": 23.5}, "seq": 42, "timestamp": 1_800_000_000_123},
}


@pytest.mark.parametrize(
    ("topic", "record", "number"),
    [
        (topics.SPARKPLUG_DATA, SPARKPLUG, 1_800_000_000_000_042),
        (topics.LWM2M_REGISTRATION, BRIDGED, 42),
        (topics.LWM2M_UPDATES, BRIDGED, 42),
        (topics.LWM2M_HTTP, EVENT, 42),
        (topics.LWM2M_WEBSOCKET, EVENT, 42),
    ],
)
def test_reads_device_number_and_time(topic, record, number):
    assert read_record(topic, orjson.dumps(record)) == Entry("device-temp-001", number, 1_800_000_000_123)


def test_stored_and_forwarded_values_have_no_latency():
    metrics = [{"name": "Ledger/Sequence", "value": 9, "historical": True}]
    entry = read_record(topics.SPARKPLUG_DATA, orjson.dumps({**SPARKPLUG, "metrics": metrics}))
    assert entry == Entry("device-temp-001", 9, None)


@pytest.mark.parametrize(
    ("topic", "record"),
    [
        (topics.SPARKPLUG_DATA, {**SPARKPLUG, "metrics": SPARKPLUG["metrics"][:1]}),
        (topics.LWM2M_UPDATES, {**BRIDGED, "payload": None}),
        (topics.LWM2M_UPDATES, {**BRIDGED, "payload": {"lifetime": 60}}),
        (topics.LWM2M_UPDATES, {**BRIDGED, "payload": {"seq": "42"}}),
        (topics.LWM2M_HTTP, {**EVENT, "data": {}}),
        (topics.LWM2M_HTTP, {**EVENT, "endpoint": None}),
        (topics.LWM2M_HTTP, [EVENT]),
    ],
)
def test_messages_without_a_number_are_none_of_its_business(topic, record):
    assert read_record(topic, orjson.dumps(record)) is None


@given(st.sampled_from(sorted(PATH_OF_TOPIC)), st.binary(max_size=200))
def test_bytes_of_any_kind_raise_nothing(topic, value):
    read_record(topic, value)


def test_every_telemetry_topic_is_on_a_path():
    assert set(PATH_OF_TOPIC) == set(topics.TELEMETRY)
