"""Both ends of a link between bridges, on transports that hand bytes over in pieces."""

import asyncio
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtt_redpanda_bridge import link as link_module
from mqtt_redpanda_bridge.link import Answer, Kind, MemberLink, ReceiverLink, frame, message_frame


class Transport:
    """What one end writes, the other gets, `size` bytes at a time."""

    def __init__(self, size):
        self.size = size
        self.other = None
        self.is_open = self.is_reading = True
        self.certificate = {"subject": ((("commonName", "bridge"),),)}

    def get_extra_info(self, name):
        return self.certificate if name == "peercert" else None

    def write(self, data):
        for at in range(0, len(data), self.size):
            self.other.data_received(data[at : at + self.size])

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True

    def close(self):
        self.is_open = False

    abort = close


class Dispatcher:
    """Notes what the members say."""

    def __init__(self):
        self.said = []

    def __getattr__(self, name):
        return lambda member, *more: self.said.append((name, *more))


class Incoming:
    def __init__(self, topic, payload, duplicate=False):
        self.topic, self.payload, self.duplicate = topic, payload, duplicate

    def ack(self):
        raise AssertionError("only the dispatcher acknowledges")


class Pair:
    """A receiver's end and a member's end."""

    def __init__(self, size=1 << 20, answer=Answer.RECEIVER):
        self.dispatcher, self.taken, self.births, self.changes = Dispatcher(), [], [], []
        self.receiver = MemberLink("r", "bridge", self.dispatcher, lambda: answer)
        self.member = ReceiverLink(
            "m",
            "bridge",
            self.taken.append,
            lambda *birth: self.births.append(birth),
            lambda _, change: self.changes.append(change),
        )
        self.transports = [Transport(size), Transport(size)]
        self.transports[0].other, self.transports[1].other = self.member, self.receiver

    def connect(self):
        for end, transport in zip((self.receiver, self.member), self.transports, strict=True):
            end.connection_made(transport)


async def turn():
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
async def test_messages_go_there_and_reports_come_back(size):
    pair = Pair(size)
    pair.connect()
    await turn()
    assert await pair.member.answer is Answer.RECEIVER
    pair.member.enlist()
    await turn()
    assert pair.dispatcher.said == [("join",)]
    for number in range(4):
        pair.receiver.send(Incoming(f"t/é{number}", b"x" * number, duplicate=number == 3))
    pair.receiver.teach("b", b"birth")
    pair.receiver.prepare(7)
    pair.receiver.beat(connected=True)
    await turn()
    assert [(one.topic, one.payload, one.duplicate) for one in pair.taken] == [
        (f"t/é{number}", b"x" * number, number == 3) for number in range(4)
    ]
    assert (pair.births, pair.changes, pair.member.connected) == ([("b", b"birth")], [7], True)
    pair.member.ready(7)
    pair.taken[1].ack()
    await turn()
    assert pair.dispatcher.said[1:] == [("ready", 7)]
    for at in (0, 2, 0):
        pair.taken[at].ack()
    await turn()
    pair.member.leave()
    await turn()
    assert pair.dispatcher.said[2:] == [("settle", 3), ("leave",)]


@pytest.mark.parametrize("answer", [Answer.CLAIMS, Answer.NO])
async def test_a_bridge_that_is_not_the_receiver_takes_nobody_in(answer):
    pair = Pair(answer=answer)
    pair.connect()
    await turn()
    assert await pair.member.answer is answer
    pair.member.enlist()
    pair.member.leave()
    await turn()
    assert pair.dispatcher.said == []


async def test_another_identity_is_not_let_in():
    pair = Pair()
    for transport in pair.transports:
        transport.certificate = {"subject": ((("commonName", "device-1"),),)}
    pair.connect()
    await turn()
    assert not any(transport.is_open for transport in pair.transports)
    assert not pair.member.answer.done()


async def test_another_version_is_refused():
    pair = Pair()
    pair.connect()
    await turn()
    pair.receiver.data_received(frame(Kind.HELLO, b'{"version": 2, "member": "m"}'))
    assert not pair.transports[0].is_open


async def test_a_lost_link_is_told_once_it_had_joined():
    pair = Pair()
    pair.connect()
    await turn()
    pair.member.enlist()
    await turn()
    pair.receiver.unsettled = deque([Incoming("t", b"")])
    pair.receiver.connection_lost(None)
    pair.member.connection_lost(None)
    assert pair.dispatcher.said == [("join",), ("lost",)]
    assert pair.member.closed.done()
    assert not pair.member.connected


async def test_a_message_that_trips_over_a_bug_is_acknowledged(monkeypatch):
    pair = Pair()
    pair.member._on_message = lambda _: 1 / 0
    pair.connect()
    await turn()
    pair.member.enlist()
    pair.receiver.send(Incoming("t", b""))
    await turn()
    assert pair.dispatcher.said == [("join",), ("settle", 1)]


async def test_reading_stops_once_and_goes_on():
    pair = Pair()
    pair.connect()
    for paused in (True, True, False):
        pair.member.set_paused(paused)
    assert pair.transports[1].is_reading


async def test_frames_that_nobody_could_send_end_the_link(monkeypatch):
    monkeypatch.setattr(link_module, "MAX_FRAME", 100)
    pair = Pair()
    pair.connect()
    await turn()
    pair.member.data_received(message_frame(Kind.MESSAGE, "t", b"x" * 100))
    assert not pair.transports[1].is_open


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(0, 9))
def test_hostile_bytes_raise_nothing(pieces, kind):
    async def receive():
        pair = Pair()
        pair.connect()
        await turn()
        for end in (pair.receiver, pair.member):
            for piece in pieces:
                end.data_received(piece)
                end.data_received(len(piece).to_bytes(4) + bytes((kind,)) + piece)
        await turn()

    asyncio.run(receive())
