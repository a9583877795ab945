"""A broker that says what a test wants, packet by packet: for what a real one never does on demand."""

import asyncio
import struct
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    number << 4 for number in (1, 2, 3, 4, 8, 9, 12, 13, 14)
)


class Packet(NamedTuple):
    kind: int
    flags: int
    body: bytes

    @property
    def mid(self) -> int:
        """Packet id of a PUBACK or of a PUBLISH with QoS 1."""
        at = 2 + struct.unpack_from("!H", self.body)[0] if self.kind == PUBLISH else 0
        return struct.unpack_from("!H", self.body, at)[0]


class ScriptedBroker:
    """One connection at a time; `on_packet` answers, CONNACK apart."""

    def __init__(self, connack: bytes | None, on_packet: Callable[["ScriptedBroker", Packet], None]):
        self.connack = connack
        self.on_packet = on_packet
        self.port = 0
        self.connects = 0
        self.received: list[Packet] = []
        self.writer: asyncio.StreamWriter | None = None

    def of(self, kind: int) -> list[Packet]:
        return [packet for packet in self.received if packet.kind == kind]

    def send(self, first: int, body: bytes = b"") -> None:
        assert len(body) < 128
        self.writer.write(bytes((first, len(body))) + body)

    def publish(self, topic: str, payload: bytes, mid: int) -> None:
        name = topic.encode()
        self.send(PUBLISH | 2, struct.pack("!H", len(name)) + name + struct.pack("!HB", mid, 0) + payload)

    def puback(self, mid: int, code: int = 0) -> None:
        self.send(PUBACK, struct.pack("!HB", mid, code) if code else struct.pack("!H", mid))

    def drop(self) -> None:
        self.writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.connects += 1
        try:
            while True:
                packet = await _read(reader)
                self.received.append(packet)
                if packet.kind == CONNECT and self.connack is not None:
                    self.send(CONNACK, self.connack)
                self.on_packet(self, packet)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Packet:
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return Packet(first & 0xF0, first & 0x0F, await reader.readexactly(length))


@asynccontextmanager
async def scripted_broker(connack: bytes | None = b"\0\0\0", on_packet=lambda broker, packet: None):
    """Args: body of the CONNACK (MQTT 5: flags, reason code, properties), and what to do on each packet."""
    broker = ScriptedBroker(connack, on_packet)
    server = await asyncio.start_server(broker._serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()
        if broker.writer:
            broker.drop()
