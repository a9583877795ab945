"""The connection between the receiver and another member of its group, and the frames on it.

A frame is the length of its body (four bytes, network order), its kind (one byte), and the body:

| kind | from | body |
|---|---|---|
| HELLO | both, first | JSON: version, member; of the accepting side also its `Answer` |
| MESSAGE, BIRTH | receiver | one byte 1 for a duplicate, topic length (two bytes), topic, payload |
| SETTLED | member | how many of the oldest messages Kafka has (four bytes); 0 as a sign of life |
| PREPARE, READY | receiver, member | number of the change (four bytes) |
| BEAT | receiver | one byte 1 while it is connected to the broker |
| LEAVE | member | nothing |
"""

import asyncio
import json
import struct
from collections import deque
from collections.abc import Callable
from enum import IntEnum, StrEnum
from typing import Any, Final, cast

from iiot.errors import DecodeError
from iiot.telemetry import get_logger
from mqtt_redpanda_bridge.dispatch import Dispatcher
from mqtt_redpanda_bridge.peer_tls import common_name
from mqtt_redpanda_bridge.pump import Incoming

VERSION: Final = 1
MAX_FRAME: Final = 300 << 20
"""Bytes; an MQTT packet has at most 256 MiB."""
_HEAD: Final = struct.Struct("!IB")
_MESSAGE: Final = struct.Struct("!IBBH")
_NUMBER: Final = struct.Struct("!I")

log = get_logger(__name__)


class Kind(IntEnum):
    """What a frame says."""

    HELLO = 1
    MESSAGE = 2
    BIRTH = 3
    SETTLED = 4
    PREPARE = 5
    READY = 6
    BEAT = 7
    LEAVE = 8


class Answer(StrEnum):
    """What a bridge is when another one asks."""

    RECEIVER = "receiver"
    CLAIMS = "claims"
    """It is about to become the receiver."""
    NO = "no"


def frame(kind: Kind, body: bytes = b"") -> bytes:
    """A frame of any kind."""
    return _HEAD.pack(len(body), kind) + body


def message_frame(kind: Kind, topic: str, payload: bytes, *, duplicate: bool = False) -> bytes:
    """A MESSAGE or BIRTH frame."""
    name = topic.encode()
    return _MESSAGE.pack(3 + len(name) + len(payload), kind, duplicate, len(name)) + name + payload


class Link(asyncio.Protocol):
    """One end of a connection: frames in, frames out in one write per turn of the event loop.

    Args:
        name: of this bridge, unique in the group.
        identity: common name that the other side's certificate must have; None without TLS.

    Attributes:
        peer: name of the other side.
        last_heard: loop time at which the other side last said something.
        closed: done when the connection is gone.
    """

    def __init__(self, name: str, identity: str | None) -> None:
        loop = asyncio.get_running_loop()
        self.name = name
        self.peer = ""
        self.last_heard = loop.time()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._identity = identity
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._out = bytearray()
        self._reads: dict[int, Callable[[bytes], None]] = {Kind.HELLO: self._hello}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)
        if self._identity is not None and common_name(transport) != self._identity:
            log.warning("member_refused", identity=common_name(transport), allowed=self._identity)
            self._transport.abort()
            return
        self._begin()

    def data_received(self, data: bytes) -> None:
        """Take the frames that are complete."""
        self.last_heard = self._loop.time()
        buffer = self._rest + data if self._rest else data
        try:
            self._rest = buffer[self._take(buffer) :]
        except (DecodeError, struct.error, ValueError, LookupError, TypeError) as exc:
            log.warning("member_said_nonsense", member=self.peer, error=str(exc))
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone."""
        self._transport = None
        if not self.closed.done():
            self.closed.set_result(None)

    def write(self, data: bytes) -> None:
        """Send a frame, together with what follows in this turn of the event loop."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out += data

    def close(self) -> None:
        """Send what is written, and hang up."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Hang up at once."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._transport is not None and self._out:
            self._transport.write(bytes(self._out))
        self._out.clear()

    def _hello(self, body: bytes) -> None:
        said = json.loads(body)
        if said["version"] != VERSION:
            raise DecodeError(f"speaks version {said['version']} of this protocol, not {VERSION}")
        self.peer = str(said["member"])
        self._greet(said)

    def _take(self, buffer: bytes) -> int:
        """Take the complete frames; where they end."""
        at = 0
        while at + _HEAD.size <= len(buffer):
            length, kind = _HEAD.unpack_from(buffer, at)
            if length > MAX_FRAME:
                raise DecodeError(f"a frame of {length} bytes")
            end = at + _HEAD.size + length
            if end > len(buffer):
                break
            # Other versions may say things that this one does not know.
            if (read := self._reads.get(kind)) is not None:
                read(buffer[at + _HEAD.size : end])
            at = end
        return at

    def _begin(self) -> None:
        """The other side proved who it is."""

    def _greet(self, said: dict[str, Any]) -> None:
        """The other side said HELLO."""

    def _say_hello(self, **more: object) -> None:
        said = {"version": VERSION, "member": self.name, **more}
        self.write(frame(Kind.HELLO, json.dumps(said).encode()))


class MemberLink(Link):
    """The receiver's end: a member of the group that delivers messages. See `dispatch.Member`.

    A bridge that is not the receiver says so, and the other side hangs up.
    """

    def __init__(
        self, name: str, identity: str | None, dispatcher: Dispatcher, answer: Callable[[], Answer]
    ) -> None:
        super().__init__(name, identity)
        self.unsettled: deque[Incoming] = deque()
        self._dispatcher = dispatcher
        self._answer = answer
        self._joined = False

    def connection_lost(self, exc: BaseException | None) -> None:
        """What it had comes back."""
        super().connection_lost(exc)
        if self._joined:
            log.info("member_gone", member=self.peer, taken_back=len(self.unsettled))
            self._dispatcher.lost(self)

    def send(self, message: Incoming) -> None:
        """See `dispatch.Member.send`."""
        self.write(message_frame(Kind.MESSAGE, message.topic, message.payload, duplicate=message.duplicate))

    def teach(self, topic: str, payload: bytes) -> None:
        """See `dispatch.Member.teach`."""
        self.write(message_frame(Kind.BIRTH, topic, payload))

    def prepare(self, change: int) -> None:
        """See `dispatch.Member.prepare`."""
        self.write(frame(Kind.PREPARE, _NUMBER.pack(change)))

    def dismiss(self) -> None:
        """See `dispatch.Member.dismiss`."""
        self.close()

    def beat(self, *, connected: bool) -> None:
        """Give a sign of life, and say whether the broker is there."""
        self.write(frame(Kind.BEAT, bytes((connected,))))

    def _begin(self) -> None:
        answer = self._answer()
        self._say_hello(answer=answer)
        if answer is Answer.RECEIVER:
            self._reads |= {Kind.SETTLED: self._settled, Kind.READY: self._ready, Kind.LEAVE: self._leave}

    def _greet(self, said: dict[str, Any]) -> None:
        if Kind.READY in self._reads and not self._joined:
            self._joined = True
            log.info("member_joined", member=self.peer)
            self._dispatcher.join(self)

    def _settled(self, body: bytes) -> None:
        self._dispatcher.settle(self, *_NUMBER.unpack(body))

    def _ready(self, body: bytes) -> None:
        self._dispatcher.ready(self, *_NUMBER.unpack(body))

    def _leave(self, _: bytes) -> None:
        self._dispatcher.leave(self)


class Handed:
    """A message from the receiver; acknowledged as one from the broker is."""

    __slots__ = ("_link", "done", "duplicate", "payload", "topic")

    def __init__(self, topic: str, payload: bytes, duplicate: bool, link: "ReceiverLink") -> None:
        self.topic = topic
        self.payload = payload
        self.duplicate = duplicate
        self.done = False
        self._link = link

    def ack(self) -> None:
        """Kafka has it."""
        if not self.done:
            self.done = True
            self._link.acknowledge()


class ReceiverLink(Link):
    """A member's end: hands over what the receiver sends, and reports what Kafka has.

    Attributes:
        answer: done when the other side has said what it is.
        connected: whether it is connected to the broker.
        is_paused: nothing is read now, signs of life neither.
    """

    def __init__(
        self,
        name: str,
        identity: str | None,
        on_message: Callable[[Incoming], None],
        on_birth: Callable[[str, bytes], None],
        on_prepare: Callable[["ReceiverLink", int], None],
    ) -> None:
        super().__init__(name, identity)
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.connected = False
        self.is_paused = False
        self._on_message = on_message
        self._on_birth = on_birth
        self._on_prepare = on_prepare
        self._unsettled: deque[Handed] = deque()
        self._settled = 0
        self._reads |= {
            Kind.MESSAGE: self._message,
            Kind.BIRTH: self._birth,
            Kind.PREPARE: self._prepare,
            Kind.BEAT: self._beat,
        }

    def connection_lost(self, exc: BaseException | None) -> None:
        """What it handed over is somebody else's now."""
        super().connection_lost(exc)
        self.connected = False
        if not self.answer.done():
            self.answer.set_result(Answer.NO)

    def enlist(self) -> None:
        """Offer to deliver a share."""
        self._say_hello()

    def ready(self, change: int) -> None:
        """Answer PREPARE."""
        self.write(frame(Kind.READY, _NUMBER.pack(change)))

    def leave(self) -> None:
        """Ask to be let go: the receiver hangs up when nothing is left here."""
        self.write(frame(Kind.LEAVE))

    def beat(self) -> None:
        """Give a sign of life."""
        self.write(frame(Kind.SETTLED, _NUMBER.pack(0)))

    def set_paused(self, paused: bool) -> None:
        """Stop or resume reading."""
        self.last_heard = self._loop.time()
        if self._transport is not None and paused != self.is_paused:
            self.is_paused = paused
            (self._transport.pause_reading if paused else self._transport.resume_reading)()

    def acknowledge(self) -> None:
        """Report all leading messages that are done, those of a turn of the event loop together."""
        pending, before = self._unsettled, self._settled
        while pending and pending[0].done:
            pending.popleft()
            self._settled += 1
        if self._settled and not before:
            self._loop.call_soon(self._report)

    def _report(self) -> None:
        self.write(frame(Kind.SETTLED, _NUMBER.pack(self._settled)))
        self._settled = 0

    def _greet(self, said: dict[str, Any]) -> None:
        if not self.answer.done():
            self.answer.set_result(Answer(said["answer"]))

    def _message(self, body: bytes) -> None:
        topic, payload = _split(body)
        message = Handed(topic, payload, bool(body[0]), self)
        self._unsettled.append(message)
        try:
            self._on_message(message)
        except Exception:  # one bad message must not stop the stream of the others
            log.exception("message_handler_failed", topic=topic, size=len(payload))
            message.ack()

    def _birth(self, body: bytes) -> None:
        self._on_birth(*_split(body))

    def _prepare(self, body: bytes) -> None:
        self._on_prepare(self, *_NUMBER.unpack(body))

    def _beat(self, body: bytes) -> None:
        self.connected = body == b"\x01"


def _split(body: bytes) -> tuple[str, bytes]:
    end = 3 + (body[1] << 8 | body[2])
    return body[3:end].decode(), body[end:]
