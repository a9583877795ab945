from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.kafka_reader import Record
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


@given(st.binary(max_size=200) | st.recursive(st.text() | st.none(), st.lists).map(orjson.dumps))
def test_nothing_in_a_message_reaches_the_terminal_as_a_command(value):
    assert summary(value).isprintable()
    record = Record("t", 0, 1, datetime.now(UTC), b"k", value, (("h\x1b", value),))
    assert all(line.isprintable() for line in details(record).split("\n"))
