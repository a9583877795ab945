"""Messages on the broker are sorted by operation, in both profiles."""

import pytest

from iiot.lwm2m import json_profile, oma_profile
from iiot.lwm2m.message import Code, Command, Content, Deregister, Operation, Record, Response, Send
from iiot.lwm2m.path import Path
from iiot.mqtt.message import Message
from testbed.bench.wire_size import Capture, packet_bytes

BATTERY = Path.of(3, 0, 9)


class Window:
    def acknowledge(self):
        pass


def message(topic, payload):
    return Message(topic, payload, 0x32, 1, Window())


def test_a_packet_is_header_topic_packet_id_properties_and_payload():
    assert packet_bytes("lwm2m/d1/send", b"{}") == 2 + 2 + 13 + 2 + 1 + 2
    assert packet_bytes("t", b"x" * 200) == 3 + 2 + 1 + 2 + 1 + 200


def test_json_requests_and_answers():
    capture = Capture("d1")
    read = json_profile.encode_downlink("d1", Command(token="7", operation=Operation.READ, path=BATTERY))
    answer = json_profile.encode_uplink(
        "d1", Response(token="7", code=Code.CONTENT, records=(Record(BATTERY, 85),))
    )
    send = json_profile.encode_uplink("d1", Send(records=(Record(BATTERY, 85),)))
    other = json_profile.encode_uplink("d2", Deregister())
    for topic, payload in (read, answer, send, other, ("lwm2m/d1/send", b"no JSON")):
        capture.hear(message(topic, payload))
    assert capture.sizes() == {
        "read": {"request": packet_bytes(*read), "answer": packet_bytes(*answer)},
        "send": {"request": packet_bytes(*send), "answer": 0},
    }
    assert capture.has(["read", "send"])
    assert not capture.has(["read", "notify"])


@pytest.mark.parametrize(("path", "name"), [(BATTERY, "read"), (Path.of(3, 0), "read-instance")])
def test_oma_requests_and_answers_share_a_topic(path, name):
    capture, topic = Capture("d1"), "lwm2m/rd/d1"
    sent = [
        oma_profile.encode_downlink(Command(token="8", operation=Operation.READ, path=path)),
        oma_profile.encode_uplink(Response(token="8", code=Code.CONTENT, content=Content(0, b"85"))),
        oma_profile.encode_uplink(Send(token="9", content=Content(112, b"\x80"))),
        oma_profile.encode_downlink(Response(token="9", code=Code.CHANGED)),
    ]
    for payload in sent:
        capture.hear(message(topic, payload))
    sizes = [packet_bytes(topic, payload) for payload in sent]
    assert capture.sizes() == {
        name: {"request": sizes[0], "answer": sizes[1]},
        "send": {"request": sizes[2], "answer": sizes[3]},
    }
