"""The processors of `redpanda-connect-config.yaml`, one message or page at a time, in the embedded engine."""

import base64
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest
import yaml

from iiot import schemas
from testbed.connect.config import fill_in
from testbed.connect.engine import open_consumer

BIG = "1795502677947123"
"""As large as the ids of the LwM2M server."""
SHIPPED = (Path(__file__).parents[4] / "redpanda-connect-config.yaml").read_text()


def process(text, metadata, *steps, tries=0):
    """Metadata and payloads of what comes out when `text` goes through the file's processors.

    What must come is waited for so many times more: the engine may be slow to start.
    """
    whole = yaml.safe_load(fill_in(SHIPPED, {"MAX_EVENT_BYTES": "500"}))
    assignments = "".join(
        f"\nmeta {name} = {orjson.dumps(value).decode()}" for name, value in metadata.items()
    )
    encoded = base64.b64encode(text).decode()
    document = {
        "input": {
            "generate": {
                "count": 1,
                "interval": "",
                "mapping": f'root = "{encoded}".decode("base64"){assignments}',
            },
            "processors": list(steps),
        },
        "processor_resources": whole["processor_resources"],
        "rate_limit_resources": whole["rate_limit_resources"],
        "cache_resources": [{"label": label, "memory": {}} for label in ("cursor", "health")],
        "logger": {"level": "OFF"},
    }
    consumer = open_consumer(document)
    found = consumer.poll()
    for _ in range(tries):
        found = found or consumer.poll()
    consumer.acknowledge()
    return found


def record(text):
    metadata = {"source": "lwm2m-http-source", "kafka_topic": "events"}
    (message,) = process(text, metadata, {"resource": "event_to_record"}, tries=20)
    return message


def test_an_event_becomes_a_cloud_event_keyed_by_its_endpoint():
    time = "2026-11-24T06:30:00.123Z"
    event = {"id": 1795502677947123, "type": "send", "endpoint": "d-1", "timestamp": time, "data": {}}
    text = orjson.dumps(event)
    message = record(text)
    assert message.payload == text
    assert message.metadata == {
        "source": "lwm2m-http-source",
        "kafka_topic": "events",
        "kafka_key": "d-1",
        "event_id": "1795502677947123",
        "ce_id": "1795502677947123",
        "ce_specversion": "1.0",
        "ce_source": "/lwm2m-server/events",
        "ce_type": "iot.lwm2m.send",
        "ce_subject": "d-1",
        "ce_time": time,
        "ce_dataschema": schemas.uri(schemas.LWM2M_EVENT),
        "content-type": "application/json",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"not JSON", "not an event object"),
        (b"\xff\x00", "not an event object"),
        (b"17", "not an event object"),
        (b"[{}]", "not an event object"),
        (b"null", "not an event object"),
        (b"{}", "missing endpoint"),
        (b'{"endpoint":""}', "missing endpoint"),
        (b'{"endpoint":null}', "missing endpoint"),
        (b'{"endpoint":"d","x":"%s"}' % (b"x" * 500), "oversize: 523 bytes, at most 500"),
        (b'{"type":"gap","after":5,"oldest":9,"latest":20}', "gap: behind event 5 none is kept before 9"),
        (
            b'{"type":"reset","after":5,"oldest":1,"latest":2}',
            "reset: event 5 is not there yet, the newest is 2; starting over",
        ),
        (
            b'{"type":"reset","after":9007199254740991,"oldest":1,"latest":9000000000000000}',
            "reset: event 9007199254740991 is not there yet, the newest is 9000000000000000; starting over",
        ),
        (b'{"endpoint":"d","x":' + b"[" * 64 + b"]" * 64 + b"}", "nested deeper than 64 levels"),
        (b'{"endpoint":"d","x":' + b'[{"y":[]},[' * 32 + b"]]" * 32 + b"}", "nested deeper than 64 levels"),
    ],
)
def test_what_is_no_event_becomes_a_dead_letter_with_the_reason(text, reason):
    message = record(text)
    letter = orjson.loads(message.payload)
    assert message.metadata["kafka_topic"] == "events.dlq"
    assert message.metadata["error"] == letter["reason"] == reason
    assert (letter["topic"], letter["size"]) == ("events", len(text))
    assert base64.b64decode(letter["payload_base64"]) == text
    key = "d" if b'"d"' in text else "lwm2m-http-source"
    headers = {name: text for name, text in message.metadata.items() if name.startswith("ce_")}
    assert message.metadata["kafka_key"] == headers["ce_subject"] == key
    assert headers["ce_type"] == "iot.dead-letter"
    assert headers["ce_dataschema"] == schemas.uri(schemas.DEAD_LETTER)
    assert headers["ce_source"] == "/lwm2m-server/events"
    assert headers["ce_id"].startswith("lwm2m-http-source-")
    assert datetime.fromisoformat(headers["ce_time"]).utcoffset() == timedelta(0)


def test_an_event_may_be_nested_as_deep_as_ordinary_readers_go():
    text = b'{"endpoint":"d","t":"' + b"[{" * 50 + b'\\"","x":' + b"[" * 63 + b"]" * 63 + b',"y":[{}]}'
    assert record(text).metadata["kafka_topic"] == "events"


@pytest.mark.parametrize(
    ("stored", "after"),
    [
        ("17", "17"), ("", "0"), ("x", "0"), ("-1", "0"), ("1e3", "0"), (BIG, BIG),
        ("9007199254740991", "9007199254740991"), ("9007199254740992", "9007199254740991"),
        ("9999999999999999", "9007199254740991"), ("9" * 40, "9007199254740991"),
    ],
)  # fmt: skip
def test_a_cursor_that_no_feed_can_have_is_one_ahead_of_all(stored, after):
    store = {"cache": {"resource": "cursor", "operator": "set", "key": "lwm2m-http-source", "value": stored}}
    (message,) = process(b"", {}, store, {"resource": "cursor_get"}, tries=20)
    assert message.metadata["after"] == after


def test_an_event_without_id_type_and_time_still_arrives():
    message = record(b'{"endpoint":"d"}')
    assert message.metadata["kafka_topic"] == "events"
    assert message.metadata["kafka_key"] == "d"
    assert message.metadata["ce_type"] == "iot.lwm2m.unknown"
    assert not {"ce_id", "ce_time", "event_id"} & message.metadata.keys()


@pytest.mark.parametrize(
    ("after", "page", "events", "cursor"),
    [
        ("0", {"events": [1, 2], "next": 2, "oldest": 1, "latest": 9}, [1, 2], "2"),
        ("0", {"events": [8], "next": 8, "oldest": 8, "latest": 8}, [8], "8"),
        ("5", {"events": [6], "next": 6, "oldest": 6, "latest": 6}, [6], "6"),
        ("5", {"events": [8], "next": 8, "oldest": 8, "latest": 9}, ["gap", 8], "8"),
        ("5", {"events": [], "next": 5, "oldest": None, "latest": 9}, ["gap"], "9"),
        ("5", {"events": [], "next": 9, "oldest": 10, "latest": 9}, ["gap"], "9"),
        ("5", {"events": [], "next": 0, "oldest": 1, "latest": 3, "reset": True}, ["reset"], "0"),
        (BIG, {"events": [1], "next": int(BIG), "oldest": 1, "latest": int(BIG)}, [1], BIG),
    ],
)  # fmt: skip
def test_a_page_yields_its_events_a_notice_of_what_is_missing_and_the_next_cursor(
    after, page, events, cursor
):
    found = process(
        orjson.dumps(page),
        {"after": after},
        {"resource": "page_to_events"},
        {"unarchive": {"format": "json_array"}},
        tries=20 if events else 0,
    )
    values = [orjson.loads(message.payload) for message in found]
    assert [value["type"] if isinstance(value, dict) else value for value in values] == events
    assert {message.metadata["next"] for message in found} == {cursor}
