"""A device of an experiment, on a connection that only notes what is published."""

import asyncio

import pytest

from iiot.errors import MqttError
from iiot.lwm2m import json_profile
from iiot.lwm2m.message import Code, Command, Operation, Response
from iiot.lwm2m.path import Path
from iiot.settings import MqttSettings
from iiot.sparkplug.command import encode_rebirth_request
from iiot.sparkplug.payload import decode_payload
from testbed.experiments.guest import Guest
from testbed.experiments.loads import shape_of
from testbed.verify.paths import SEQUENCE_METRIC


class FakeConnection:
    is_open, is_congested, in_flight = True, False, 0

    def __init__(self):
        self.sent = []

    def publish(self, topic, payload, *, qos=0):
        self.sent.append((topic, payload, qos))


class FakeMessage:
    def __init__(self, topic, payload):
        self.topic, self.payload = topic, payload

    def ack(self):
        pass


def online(**options):
    guest = Guest("experiment-0001", MqttSettings(), **options)
    guest._will()
    guest.connection = FakeConnection()
    guest._births()
    guest.register()
    return guest


def numbers(guest):
    """The ledger's numbers of all Sparkplug messages, and their sequence numbers."""
    payloads = [decode_payload(p) for topic, p, _ in guest.connection.sent if topic.startswith("spBv1.0")]
    found = [[m.value for m in payload.metrics if m.name == SEQUENCE_METRIC] for payload in payloads]
    return [one for [one] in found], [payload.seq for payload in payloads]


def test_every_message_has_a_number_and_the_counters_agree():
    guest = online()
    assert guest.send(40) == 40
    counters = {counter.stream: counter for counter in guest.counters()}
    given, seqs = numbers(guest)
    sparkplug, lwm2m = counters["sparkplug"], counters["lwm2m"]
    assert given == list(range(sparkplug.first, sparkplug.last + 1))
    assert seqs == list(range(len(seqs)))
    assert lwm2m.last - lwm2m.first + 1 == 1 + 2  # Register, and every 20th of 40
    topics = [topic for topic, _, qos in guest.connection.sent if qos == 1]
    assert topics == ["lwm2m/experiment-0001/reg"] + ["lwm2m/experiment-0001/send"] * 2


def test_a_skipped_number_is_a_gap_in_seq_and_none_in_the_ledger():
    guest = online()
    guest.send(1)
    guest.skip()
    guest.send(1)
    given, seqs = numbers(guest)
    assert seqs == [0, 1, 2, 4]
    assert given == list(range(given[0], given[0] + 4))


def test_a_guest_without_numbers_is_none_of_the_ledgers_business():
    guest = online(numbered=False)
    guest.send(40)
    assert guest.counters() == []
    assert all(b"seq" not in payload for topic, payload, _ in guest.connection.sent if "lwm2m" in topic)


def test_a_rebirth_is_answered_and_a_command_politely_refused():
    guest = online()
    guest.connection.sent.clear()
    guest._receive(FakeMessage(guest.topic("NCMD"), encode_rebirth_request(1)))
    assert [topic.split("/")[2] for topic, _, _ in guest.connection.sent] == ["NBIRTH", "DBIRTH"]
    assert guest.rebirths == 1
    guest.connection.sent.clear()
    command = Command(token="7", operation=Operation.READ, path=Path.parse("/3/0/0"))
    guest._receive(FakeMessage(*json_profile.encode_downlink(guest.name, command)))
    [(topic, payload, _)] = guest.connection.sent
    assert topic == "lwm2m/experiment-0001/resp/7"
    assert b"4.05" in payload


def test_acknowledgements_are_counted_and_noise_is_not():
    guest = online()
    answer = Response(token="", code=Code.CREATED, operation=Operation.REGISTER)
    guest._receive(FakeMessage(*json_profile.encode_downlink(guest.name, answer)))
    for topic in (guest.topic("NCMD"), "lwm2m/experiment-0001/cmd/1", "lwm2m/experiment-0001/ack/reg", "x"):
        guest._receive(FakeMessage(topic, b"\xff{"))
    assert dict(guest.acknowledged) == {"2.01": 1}


def test_nothing_is_sent_while_it_is_not_connected_or_cannot_keep_up():
    guest = online()
    guest.connection.is_congested = True
    assert guest.send(1) == 0
    guest.connection.is_congested = False
    guest.connection.in_flight = 501
    assert guest.send(1) == 0
    guest.connection = None
    assert guest.send(1) == 0
    with pytest.raises(MqttError):
        guest.publish("t", b"")


@pytest.mark.parametrize("name", ["steady", "bursts"])
def test_a_shape_keeps_the_mean(name):
    factor = shape_of(name)
    mean = sum(factor(at / 100) for at in range(1000)) / 1000
    assert mean == pytest.approx(1.0, rel=0.02)


async def test_a_guest_that_leaves_before_it_is_connected_ends():
    guest = Guest("experiment-0001", MqttSettings(mqtt_port=9, mqtt_tls=False))
    running = asyncio.create_task(guest.run())
    guest.leave()
    await asyncio.wait_for(running, 20)
    assert guest.counters() == []
