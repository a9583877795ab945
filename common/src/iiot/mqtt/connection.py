"""One MQTT network connection: publish, subscribe, acknowledge in order."""

# ruff: noqa: SLF001 - gmqtt's transport and protocol objects are used below their client class

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from gmqtt.client import Message as GmqttMessage
from gmqtt.mqtt.constants import MQTTCommands, MQTTv50, MQTTv311
from gmqtt.mqtt.handler import MQTTConnectError as GmqttConnectError
from gmqtt.mqtt.package import Package
from gmqtt.mqtt.utils import ConnectionState, IdGenerator

from iiot.errors import MqttConnectError, MqttError, SubscribeRefusedError
from iiot.mqtt.message import Message, MessageHandler, ReceiveWindow
from iiot.mqtt.options import ConnectOptions, Subscription
from iiot.mqtt.outgoing import Outgoing, SendWindow
from iiot.mqtt.properties import correlation_id, publish_properties
from iiot.mqtt.protocol import open_transport
from iiot.mqtt.reasons import FAILURE, REASON_WITH_WILL, reason_text
from iiot.mqtt.tls import tls_context
from iiot.mqtt.wire import (
    encode_publish,
    encode_subscribe,
    encode_unsubscribe,
    parse_properties,
    skip_properties,
)
from iiot.telemetry import get_logger

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for TCP, TLS and CONNACK together; also for a SUBACK."""
_MAX_IDS: Final = 65_535
_PacketHandler = Callable[[int, bytes], None]

log = get_logger(__name__)


class Connection:
    """One network connection, from CONNACK to the closing of the socket; it never reconnects itself.

    Attributes:
        session_present: the broker had kept this client's session.
        max_packet_size: bytes of a packet that the broker takes (MQTT 5); None when it told no limit.
    """

    def __init__(self, options: ConnectOptions, on_message: MessageHandler) -> None:
        self.session_present = False
        self.max_packet_size: int | None = None
        self.id_generator = IdGenerator(max=_MAX_IDS)
        self._options = options
        self._is_v5 = options.settings.mqtt_version == "5"
        self._transport: Any = None
        self._connack: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._sent = SendWindow(options.client_id, self.id_generator, self._write, _MAX_IDS - 1)
        self._subacks: dict[int, asyncio.Future[tuple[int, ...]]] = {}
        self._pauses: set[str] = set()
        self._received = ReceiveWindow(
            options.receive_maximum or _MAX_IDS,
            on_message,
            self._write_puback,
            partial(self._set_reading, "window"),
            asyncio.get_running_loop().call_soon,
        )
        self._dispatch: dict[int, _PacketHandler] = {
            MQTTCommands.CONNACK: self._handle_connack,
            MQTTCommands.PUBLISH: self._handle_publish,
            MQTTCommands.PUBACK: self._sent.handle_puback,
            MQTTCommands.SUBACK: self._handle_suback,
            MQTTCommands.UNSUBACK: self._handle_suback,
            MQTTCommands.DISCONNECT: self._handle_disconnect,
        }

    @classmethod
    async def open(cls, options: ConnectOptions, on_message: MessageHandler) -> "Connection":
        """Connect and wait for CONNACK.

        Args:
            options: what to put into CONNECT.
            on_message: called in the event loop for every message, in order; must not raise.

        Raises:
            MqttConnectError: unreachable, TLS failed, refused, or no answer within `CONNECT_TIMEOUT`.
        """
        connection = cls(options, on_message)
        where = f"{options.settings.mqtt_host}:{options.settings.mqtt_port}"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await connection._connect()
        except (OSError, TimeoutError, MqttError) as exc:
            await connection._close("connect failed")
            reason = str(exc) or f"no answer within {CONNECT_TIMEOUT:g} s"
            raise MqttConnectError(f"{where}: {reason}") from exc
        except asyncio.CancelledError:
            await connection._close("given up")
            raise
        return connection

    @property
    def is_open(self) -> bool:
        """Whether the socket is usable."""
        return not self._closed.done() and self._transport is not None and not self._transport.is_closing()

    @property
    def peer_certificate(self) -> bytes | None:
        """The broker's certificate as DER, None without TLS."""
        tls = self._transport._transport.get_extra_info("ssl_object")
        certificate: bytes | None = None if tls is None else tls.getpeercert(binary_form=True)
        return certificate

    @property
    def in_flight(self) -> int:
        """QoS 1 publishes without PUBACK, sent or still waiting for the broker's window."""
        return len(self._sent)

    @property
    def refused(self) -> int:
        """QoS 1 publishes that the broker refused, usually by its access control."""
        return self._sent.refused

    @property
    def is_congested(self) -> bool:
        """Whether the broker takes less than is written: the socket's buffer is above its high-water mark."""
        return bool(self._transport._protocol._paused)

    @property
    def _properties(self) -> bytes:
        return publish_properties() if self._is_v5 else b""

    async def subscribe(self, *subscriptions: Subscription) -> None:
        """Send all filters in one SUBSCRIBE and wait for the SUBACK.

        Raises:
            SubscribeRefusedError: the broker refused at least one filter.
            MqttError: the connection closed, or no answer came in time.
        """
        codes = await self._ask(lambda mid: encode_subscribe(mid, subscriptions, self._is_v5), "SUBACK")
        refused = [s.topic_filter for s, code in zip(subscriptions, codes, strict=False) if code >= FAILURE]
        if refused:
            raise SubscribeRefusedError(f"the broker refused to subscribe {', '.join(refused)}")

    async def unsubscribe(self, *filters: str) -> None:
        """Send all filters in one UNSUBSCRIBE and wait for the UNSUBACK; unknown ones are no error.

        Raises:
            MqttError: the connection closed, or no answer came in time.
        """
        await self._ask(lambda mid: encode_unsubscribe(mid, filters, self._is_v5), "UNSUBACK")

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        """Publish without waiting. QoS 1 beyond the broker's Receive Maximum waits here, in order.

        What is published for a request carries its correlation id, with MQTT 5.

        Raises:
            MqttError: the connection is closed.
        """
        self._check_open()
        if qos == 0:
            self._write(encode_publish(topic, payload, 0, retain, None, self._properties))
        else:
            self._sent.publish(Outgoing(topic, payload, retain, None, self._properties))

    async def publish_acked(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        timeout: float = 5.0,  # noqa: ASYNC109 - the error names the topic
    ) -> None:
        """Publish with QoS 1 and return when the broker acknowledged it.

        Raises:
            MqttError: refused by the broker, connection closed, or no PUBACK within `timeout` seconds.
        """
        self._check_open()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sent.publish(Outgoing(topic, payload, retain, waiter, self._properties))
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError as exc:
            raise MqttError(f"no PUBACK for {topic} within {timeout:g} s") from exc

    def unacknowledged(self) -> list[tuple[str, bytes]]:
        """QoS 1 publishes without PUBACK, in order: after a loss the caller may send them anew."""
        return [(out.topic, out.payload) for out in self._sent]

    async def drain(self) -> None:
        """Wait while the socket's write buffer is above its high-water mark."""
        with suppress(ConnectionError):
            await self._transport._protocol._drain_helper()

    def set_paused(self, paused: bool) -> None:
        """Stop or resume reading from the socket: the broker keeps what follows.

        A broker that dies meanwhile without closing the socket is noticed when reading goes on.
        """
        self._set_reading("caller", paused)

    async def wait_closed(self) -> str:
        """Wait until the connection is gone; the reason in words."""
        return await asyncio.shield(self._closed)

    async def disconnect(self, *, send_will: bool = False) -> None:
        """Say DISCONNECT and close.

        Args:
            send_will: have the broker publish the will all the same: with reason code 0x04, which
                MQTT 3.1.1 lacks, so there the socket closes without DISCONNECT.
        """
        if self.is_open:
            self._received.close()
            self._received.flush()
            if self._is_v5 or not send_will:
                self._transport.send_disconnect(reason_code=REASON_WITH_WILL if send_will else 0)
        await self._close("disconnected")

    # What the transport and its protocol ask of their packet handler.

    @property
    def is_paused(self) -> bool:
        """Whether nothing is read from the socket."""
        return bool(self._pauses)

    @property
    def current_connection(self) -> Any:
        """The transport whose packets count."""
        return self._transport

    def set_connection(self, transport: Any) -> None:
        """Called by the transport when it is made."""
        self._transport = transport

    def __call__(self, package: Package) -> None:
        """Handle what the library makes up itself: the DISCONNECT of a lost connection."""
        self.receive(package.cmd, package.data)

    def receive(self, header: int, data: bytes) -> None:
        """Handle one packet from the broker: its first byte, and what follows the length."""
        handler = self._dispatch.get(header & 0xF0)
        if handler is None:
            return
        try:
            handler(header, data)
        except (struct.error, IndexError, ValueError) as exc:
            log.warning("mqtt_malformed_packet", command=header, error=str(exc))
            self._transport._transport.abort()

    async def _connect(self) -> None:
        options, settings = self._options, self._options.settings
        state = ConnectionState(protocol_version=MQTTv50 if self._is_v5 else MQTTv311)
        self._transport = await open_transport(
            settings.mqtt_host,
            settings.mqtt_port,
            tls_context(settings),
            state,
            self,
            clean_session=options.clean_start,
            keepalive=settings.mqtt_keepalive,
        )
        properties: dict[str, int] = {}
        if self._is_v5 and options.session_expiry:
            properties["session_expiry_interval"] = options.session_expiry
        if self._is_v5 and options.receive_maximum is not None:
            properties["receive_maximum"] = options.receive_maximum
        will = options.will() if callable(options.will) else options.will
        last_words = will and GmqttMessage(will.topic, will.payload, qos=will.qos, retain=will.retain)
        username = options.username.encode() if options.username is not None else None
        password = options.password.encode() if options.password is not None else None
        await self._transport.auth(
            options.client_id, username, password, will_message=last_words, **properties
        )
        await self._connack

    def _handle_connack(self, _: int, data: bytes) -> None:
        flags, code = data[0], data[1]
        if self._connack.done():
            return
        if code:
            self._connack.set_exception(MqttConnectError(str(GmqttConnectError(code))))
            return
        self.session_present = bool(flags & 1)
        properties = parse_properties(data[2:]) if self._is_v5 else {}
        self._sent.size = max(1, min(properties.get("receive_maximum", _MAX_IDS), _MAX_IDS) - 1)
        self.max_packet_size = properties.get("maximum_packet_size")
        if "server_keep_alive" in properties:
            self._transport.keepalive = properties["server_keep_alive"]
        self._connack.set_result(None)

    def _handle_publish(self, header: int, data: bytes) -> None:
        end = 2 + (data[0] << 8 | data[1])
        topic = data[2:end].decode("utf-8", "replace")
        mid, request = 0, ""
        if header & 0x06:
            mid = data[end] << 8 | data[end + 1]
            end += 2
        if self._is_v5 and data[end]:
            start, end = end, skip_properties(data, end)
            request = correlation_id(data[start:end])
        elif self._is_v5:
            end += 1
        self._received.arrive(Message(topic, data[end:], header, mid, self._received, request))

    def _write_puback(self, pubacks: bytes) -> None:
        if self.is_open:
            self._write(pubacks)

    def _set_reading(self, reason: str, paused: bool) -> None:
        before = bool(self._pauses)
        (self._pauses.add if paused else self._pauses.discard)(reason)
        if self.is_open and before != bool(self._pauses):
            transport = self._transport._transport
            (transport.pause_reading if paused else transport.resume_reading)()

    async def _ask(self, packet: Callable[[int], bytes], answer: str) -> tuple[int, ...]:
        """Send a packet that is answered with its packet id and a code for each filter."""
        self._check_open()
        mid = self.id_generator.next_id()
        waiter: asyncio.Future[tuple[int, ...]] = asyncio.get_running_loop().create_future()
        self._subacks[mid] = waiter
        self._write(packet(mid))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await waiter
        except TimeoutError as exc:
            raise MqttError(f"no {answer} within {CONNECT_TIMEOUT:g} s") from exc
        finally:
            self._subacks.pop(mid, None)

    def _handle_suback(self, _: int, data: bytes) -> None:
        mid = data[0] << 8 | data[1]
        start = skip_properties(data, 2) if self._is_v5 else 2  # MQTT 3.1.1's UNSUBACK has no codes
        self.id_generator.free_id(mid)
        waiter = self._subacks.get(mid)
        if waiter is not None and not waiter.done():
            waiter.set_result(tuple(data[start:]))

    def _handle_disconnect(self, _: int, data: bytes) -> None:
        if data:
            self._mark_closed(reason_text(data[0]))
        else:
            self._mark_closed(self._why_lost())

    def _why_lost(self) -> str:
        # With TLS 1.3 the broker judges the client's certificate after the handshake, and just hangs up.
        hint = ""
        if not self._connack.done():
            hint = (
                " before CONNACK" + ", is the client certificate accepted?" * self._options.settings.mqtt_tls
            )
        cause = self._transport._protocol.cause
        return f"connection lost{hint}" + (f" ({cause})" if cause else "")

    def _mark_closed(self, reason: str) -> None:
        if self._closed.done():
            return
        self._closed.set_result(reason)
        self._received.close()
        error = MqttError(f"connection closed: {reason}")
        waiters: list[asyncio.Future[Any] | None] = [self._connack, *self._subacks.values()]
        waiters += [out.waiter for out in self._sent]
        for waiter in waiters:
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)
                waiter.exception()  # a waiter that nobody awaits any more is no error

    async def _close(self, reason: str) -> None:
        self._mark_closed(reason)
        if self._transport is None:
            return
        try:
            async with asyncio.timeout(2):
                # Shielded: a caller that is cancelled here would cancel the library's future of the closing,
                # and with it everyone who waits for the same.
                await asyncio.shield(self._transport.close())
        except TimeoutError:
            self._transport._transport.abort()
        except OSError:
            pass

    def _check_open(self) -> None:
        if not self.is_open:
            raise MqttError(
                f"connection closed: {self._closed.result() if self._closed.done() else 'closing'}"
            )

    def _write(self, data: bytes | bytearray) -> None:
        self._transport.send_package(data)
