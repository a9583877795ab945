"""The byte stream taken apart into packets as it arrives."""

# ruff: noqa: SLF001 - the library's transport and protocol objects are wired together here

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from typing import Any

from gmqtt.mqtt.connection import MQTTConnection
from gmqtt.mqtt.protocol import BaseMQTTProtocol, MQTTProtocol
from gmqtt.mqtt.utils import ConnectionState

from iiot.errors import MqttError

# The library logs every packet, and with a traceback each connection that does not end as TLS would like it,
# such as one that is closed while messages come. `Connection` tells why it was lost.
logging.getLogger("gmqtt").setLevel(logging.CRITICAL)


class PacketProtocol(MQTTProtocol):  # type: ignore[misc]
    """Hands packets over in `data_received`.

    The library's own reads through a task, which has no turn any more when the broker closes right after
    its last packets: they would be lost, and with them the reason of the DISCONNECT.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        BaseMQTTProtocol.connection_made(self, transport)

    def data_received(self, data: bytes) -> None:
        """Hand over every packet that is complete."""
        buffer = self._rest + data if self._rest else data
        at, size = 0, len(buffer)
        receive = self._connection.begin_to_receive()
        while at + 2 <= size:
            length, start = buffer[at + 1], at + 2
            if length < 128:
                pass
            elif start < size and buffer[start] < 128:
                length, start = length & 127 | buffer[start] << 7, start + 1
            else:
                length, start = _long_length(buffer, at + 1)
                if start > at + 5:
                    self._transport.abort()
                    return
            end = start + length
            if start == at or end > size:
                break
            receive(buffer[at], buffer[start:end])
            at = end
        self._rest = buffer[at:]

    def eof_received(self) -> None:
        """The broker closed its side: so do we."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if self._connection is None:
            BaseMQTTProtocol.connection_lost(self, exc)
        else:
            super().connection_lost(exc)

    @property
    def cause(self) -> BaseException | None:
        """The error that ended the connection, if it was one."""
        error: BaseException | None = self._hard_reader.exception()
        return error


class PausableTransport(MQTTConnection):  # type: ignore[misc]
    """Takes silence for a dead broker only while it reads: a PINGRESP waits behind what is not read."""

    def begin_to_receive(self) -> Callable[[int, bytes], None]:
        """Note that the broker lives; what takes its packets.

        The library's own `put_package` does so for each packet, with an object around it.
        """
        self._last_data_in = time.monotonic()
        receive: Callable[[int, bytes], None] = self._handler.receive
        return receive

    def _keep_connection(self) -> None:
        if self._handler.is_paused:
            self._last_data_in = time.monotonic()
        super()._keep_connection()


def _long_length(buffer: bytes, at: int) -> tuple[int, int]:
    """A Variable Byte Integer of several bytes (MQTT 5 §1.5.5) and the position behind it.

    The position is `at - 1` when bytes are missing, and beyond `at + 4` when there are too many.
    """
    length = 0
    for index, byte in enumerate(buffer[at : at + 5]):
        length |= (byte & 127) << 7 * index
        if byte < 128:
            return length, at + index + 1
    return (0, at + 5) if len(buffer) >= at + 5 else (0, at - 1)


async def open_transport(
    host: str, port: int, tls: ssl.SSLContext | None, state: ConnectionState, handler: Any, **options: Any
) -> Any:
    """Open the socket and return the library's transport around it.

    Raises:
        OSError: unreachable, or the TLS handshake failed.
        MqttError: closed again at once.
    """
    _, protocol = await asyncio.get_running_loop().create_connection(
        lambda: PacketProtocol(connection_state=state, id_generator=handler.id_generator), host, port, ssl=tls
    )
    if protocol.closed.done():
        raise MqttError(f"closed at once ({protocol.cause})")
    return PausableTransport(protocol._transport, protocol, package_handler=handler, **options)
