"""Load generator: `python -m testbed.bench.load` publishes prepared MQTT packets as fast as allowed.

It writes bytes made ahead, some tenths of a microsecond per message, so that it takes little from the
parts under test. Options come as JSON in the first line of standard input; each later line is a number:
how many messages may have been sent by now (ignored at a fixed rate). It ends when standard input does,
and prints how many it sent.
"""

import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle

import orjson

from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload

RAW_PREFIX = "bench"
STAMP = struct.Struct("!Q")
"""A raw payload begins with its time of sending, in ms since 1970."""
BATCH = 64
TICK = 0.002
CLOSE_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Load:
    """What to send.

    Attributes:
        port: plain MQTT listener on this host.
        form: `raw` or `sparkplug`.
        payload: bytes of a raw payload; a Sparkplug payload has three metrics.
        topics: number of MQTT topics, used in turn.
        qos: 0 or 1.
        rate: messages per second; 0 for as many as allowed.
    """

    port: int
    form: str
    payload: int
    topics: int
    qos: int
    rate: int


def topic_of(form: str, number: int) -> str:
    """The MQTT topic of the device with this number."""
    name = f"device-bench-{number:05}"
    return f"{RAW_PREFIX}/{name}" if form == "raw" else f"spBv1.0/IIoT/DDATA/{name}/asset"


def main() -> None:
    """Send until standard input ends."""
    load = Load(**orjson.loads(sys.stdin.buffer.readline()))
    client = _Client(load.port)
    if load.form == "sparkplug":
        client.send(b"".join(_births(load)))
    sent = _run(load, client)
    client.close()
    print(sent, flush=True)  # noqa: T201 - the answer to the parent


class _Client:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = f"testbed-bench-{os.getpid()}".encode()
        body = b"\0\4MQTT\4\2\0\0" + struct.pack("!H", len(name)) + name
        self._socket.sendall(bytes((0x10, len(body))) + body)
        if self._socket.recv(4)[3:] != b"\0":
            raise SystemExit("the broker refused the load generator")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)
        self.swallow()

    def swallow(self) -> None:
        """Take PUBACKs off the socket; that they arrive is the broker's business, not the benchmark's."""
        while select.select([self._socket], [], [], 0)[0] and self._socket.recv(1 << 16):
            pass

    def close(self) -> None:
        """Say DISCONNECT and read to the end: a close with PUBACKs unread would reset the connection."""
        self._socket.sendall(b"\xe0\0")
        self._socket.settimeout(CLOSE_TIMEOUT)
        while self._socket.recv(1 << 16):
            pass
        self._socket.close()


def _run(load: Load, client: _Client) -> int:
    build = _builder(load)
    numbers = cycle(range(load.topics))
    sent = allowed = 0
    rest = b""
    os.set_blocking(0, False)
    started = time.monotonic()
    while True:
        if select.select([0], [], [], 0)[0]:
            data = os.read(0, 1 << 16)
            if not data:
                return sent
            *lines, rest = (rest + data).split(b"\n")
            allowed = int(lines[-1]) if lines else allowed
        if load.rate:
            allowed = int((time.monotonic() - started) * load.rate)
        count = min(BATCH, allowed - sent)
        if count > 0:
            now_ms = time.time_ns() // 1_000_000
            client.send(b"".join([build(next(numbers), now_ms, sent + at) for at in range(count)]))
            sent += count
        else:
            select.select([0], [], [], TICK)


def _builder(load: Load) -> Callable[[int, int, int], bytes]:
    """A function that makes the PUBLISH of a device (number, ms, number of the message)."""
    bodies = [_payload(load) for _ in range(load.topics)]
    tails = [_tail(load, body) for body in bodies]
    heads = [_head(load, number, len(tail)) for number, tail in enumerate(tails)]

    def build(number: int, now_ms: int, count: int) -> bytes:
        head, stamp = heads[number], _stamp(load, now_ms)
        packet_id = struct.pack("!H", count % 65_535 + 1) if load.qos else b""
        return b"".join((head, packet_id, stamp, tails[number]))

    return build


def _stamp(load: Load, now_ms: int) -> bytes:
    # Protobuf field 1, a varint: the payload's timestamp. Until the year 2109 it takes six bytes.
    return STAMP.pack(now_ms) if load.form == "raw" else b"\x08" + _varint(now_ms)


def _payload(load: Load) -> bytes:
    return os.urandom(load.payload) if load.form == "raw" else _sparkplug(with_datatypes=False)


def _tail(load: Load, body: bytes) -> bytes:
    return body[len(_stamp(load, time.time_ns() // 1_000_000)) :]


def _head(load: Load, number: int, tail: int) -> bytes:
    topic = topic_of(load.form, number).encode()
    variable = struct.pack("!H", len(topic)) + topic
    stamp = len(_stamp(load, time.time_ns() // 1_000_000))
    length = len(variable) + (2 if load.qos else 0) + stamp + tail
    return bytes((0x30 | load.qos << 1,)) + _varint(length) + variable


def _births(load: Load) -> Iterator[bytes]:
    payload = _sparkplug(with_datatypes=True)
    for number in range(load.topics):
        topic = topic_of(load.form, number).replace("DDATA", "DBIRTH").encode()
        body = struct.pack("!H", len(topic)) + topic + payload
        yield b"\x30" + _varint(len(body)) + body


def _sparkplug(*, with_datatypes: bool) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    metrics = [
        Metric("Sensors/Temperature", 23.5, DataType.DOUBLE, now_ms),
        Metric("Battery/Level", 85, DataType.INT32, now_ms),
        Metric("Ledger/Sequence", now_ms * 1000, DataType.INT64, now_ms),
    ]
    return encode_payload(Payload(now_ms, metrics, seq=1), with_datatypes=with_datatypes)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


if __name__ == "__main__":
    main()
