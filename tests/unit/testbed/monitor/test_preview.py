import base64
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.kafka_reader import Record
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload
from testbed.monitor.preview import details, summary


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (
            {
                "message_type": "DDATA",
                "device": "asset",
                "metrics": [
                    {"name": "Sensors/Temperature", "value": 23.512345678},
                    {"name": "Flag", "value": None},
                ],
            },
            "DDATA asset  Sensors/Temperature=23.5123  Flag=null",
        ),
        (
            {"operation": "send", "payload": {"values": {"/3303/0/5700": 23.5}, "seq": 1, "timestamp": 2}},
            "send  /3303/0/5700=23.5",
        ),
        ({"operation": "update", "payload": None}, "update  null"),
        (
            {"type": "registered", "data": {"lifetime": 60, "seq": 1, "timestamp": 2}},
            'registered  {"lifetime":60}',
        ),
        (
            {"topic": "lwm2m/x/reg", "reason": "not JSON", "size": 5, "payload_base64": "AA=="},
            "dead letter from lwm2m/x/reg: not JSON (5 bytes)",
        ),
        ({"anything": [1, 2]}, '{"anything":[1,2]}'),
        ({"metrics": [{"value": 1}]}, '{"metrics":[{"value":1}]}'),
        ([1], "[1]"),
    ],
)
def test_known_records_in_words(value, line):
    assert summary(orjson.dumps(value)) == line


def test_what_is_no_json():
    assert summary(b"plain text") == "plain text"
    assert summary(b"\x00\xff") == "2 bytes: 00 ff"


SPARKPLUG = encode_payload(
    Payload(timestamp=5, seq=3, metrics=[Metric("Sensors/Temperature", 23.5, DataType.DOUBLE, 4)])
)


def record(value, topic):
    return Record(topic, 0, 1, datetime.now(UTC), b"k", value, ())


def test_protobuf_is_read_where_it_is_expected():
    assert summary(SPARKPLUG, "iot.telemetry.sparkplug.data") == "protobuf  Sensors/Temperature=23.5"
    assert summary(SPARKPLUG, "other").startswith(f"{len(SPARKPLUG)} bytes: ")
    whole = details(record(SPARKPLUG, "iot.telemetry.sparkplug.data"))
    assert '"seq": 3' in whole
    assert '"name": "Sensors/Temperature"' in whole


@pytest.mark.parametrize(
    ("topic", "payload", "shown"),
    [
        ("lwm2m/x/reg", b"{not json", "the message: {not json"),
        ("spBv1.0/IIoT/DDATA/x/y", SPARKPLUG, '"name": "Sensors/Temperature"'),
        ("spBv1.0/IIoT/DDATA/x/y", b"\xff\xff", "the message: 2 bytes: ff ff"),
    ],
)
def test_a_dead_letter_shows_what_it_held(topic, payload, shown):
    letter = {"topic": topic, "reason": "x", "size": 1, "payload_base64": base64.b64encode(payload).decode()}
    assert shown in details(record(orjson.dumps(letter), "iot.dlq"))


def test_a_dead_letter_without_a_message_is_shown_as_it_is():
    letter = {"topic": "a", "reason": "x", "size": 1, "payload_base64": "no base64!"}
    assert "the message" not in details(record(orjson.dumps(letter), "iot.dlq"))


@given(st.binary(max_size=200) | st.recursive(st.text() | st.none(), st.lists).map(orjson.dumps))
def test_nothing_in_a_message_reaches_the_terminal_as_a_command(value):
    assert summary(value).isprintable()
    assert summary(value, "iot.telemetry.sparkplug.data").isprintable()
    record = Record("t", 0, 1, datetime.now(UTC), b"k", value, (("h\x1b", value),))
    assert all(line.isprintable() for line in details(record).split("\n"))
