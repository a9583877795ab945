"""The broker's side of the server: topics to messages, messages to topics, births and deaths."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from iiot.errors import DecodeError, IiotError, InvalidValueError, MqttError
from iiot.lwm2m import json_profile
from iiot.lwm2m.json_profile import Topic
from iiot.lwm2m.message import Code, Downlink, Operation, Refusal, Response
from iiot.mqtt import Connection, ConnectOptions, Message, Subscription, keep_connected
from iiot.telemetry import get_logger
from lwm2m_server.operations import Operations
from lwm2m_server.registry import Registration
from lwm2m_server.settings import Settings
from lwm2m_server.sparing import SparingLog
from lwm2m_server.uplink import Uplink

MAX_MESSAGE_BYTES: Final = 256 * 1024
"""Largest message taken from a device (4.13 above)."""
DRAIN_SECONDS: Final = 2.0
"""How long a stopping server waits for what it received to become durable."""
_SPARKPLUG: Final = "spBv1.0"
_PRESENCE: Final = (f"{_SPARKPLUG}/+/NBIRTH/+", f"{_SPARKPLUG}/+/NDEATH/+")
_OPERATIONS: Final = {
    "reg": Operation.REGISTER,
    "update": Operation.UPDATE,
    "dereg": Operation.DEREGISTER,
    "send": Operation.SEND,
    "notify": Operation.NOTIFY,
    "bootstrap": Operation.BOOTSTRAP_REQUEST,
}

log = get_logger("lwm2m_server.transport")
_sparing = SparingLog(log, time.monotonic)


class Metrics(Protocol):
    """What is counted here."""

    def foreign(self, reason: str) -> None:
        """A message was dropped: `retained`, or on a `topic` that names no operation of a legal endpoint."""


class Transport:
    """The MQTT session of the server.

    Args:
        settings: broker, client id, prefix.
        uplink: acts on devices' messages.
        operations: takes devices' responses.
        settled: waits until all that was received is durable.
        metrics: counts.
    """

    def __init__(
        self,
        settings: Settings,
        uplink: Uplink,
        operations: Operations,
        settled: Callable[[], Awaitable[None]],
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._prefix = settings.lwm2m_prefix
        self._uplink = uplink
        self._operations = operations
        self._settled = settled
        self._metrics = metrics
        self._connection: Connection | None = None
        self._stopping = False

    @property
    def connected(self) -> bool:
        """Subscribed and able to send."""
        return self._connection is not None and self._connection.is_open

    async def run(self, stopping: asyncio.Event) -> None:
        """Stay connected until `stopping` is set."""
        await keep_connected(
            self._options,
            self.handle,
            lambda c: self._session(c, stopping),
            stopping=stopping,
            on_state=_log_state,
        )

    def send(self, registration: Registration, message: Downlink) -> None:
        """Publish a message to a device in its profile.

        Raises:
            MqttError: the broker is away.
            InvalidValueError: the profile cannot express it.
        """
        if self._connection is None:
            raise MqttError("not connected")
        topic, payload = json_profile.encode_downlink(registration.endpoint, message, self._prefix)
        self._connection.publish(topic, payload, qos=1)

    def handle(self, message: Message) -> None:
        """Act on a message from the broker."""
        if self._stopping:
            return  # not acknowledged: the broker keeps it for the next start
        if message.retain:
            self._drop(message, "retained")
        elif message.topic.startswith(_SPARKPLUG):
            _, _, kind, node = message.topic.split("/")
            self._uplink.presence(node, kind == "NBIRTH", message.ack)
        else:
            try:
                topic = json_profile.parse_topic(message.topic, self._prefix)
            except IiotError:
                self._drop(message, "topic")
            else:
                self._handle_json(topic, message)

    def _handle_json(self, topic: Topic, message: Message) -> None:
        try:
            _check_size(message.payload)
            decoded = json_profile.decode_uplink(topic, message.payload)
        except InvalidValueError as error:
            large = error.field == "payload"
            code = Code.REQUEST_ENTITY_TOO_LARGE if large else Code.BAD_REQUEST
            self._refuse(topic, message, code, Refusal.of(error))
        except DecodeError as error:
            snippet = message.payload[:60].decode("utf-8", "replace")
            self._refuse(
                topic, message, Code.BAD_REQUEST, Refusal("payload", snippet, f"a JSON object ({error})")
            )
        else:
            if isinstance(decoded, Response):
                self._operations.handle(topic.endpoint, decoded)
                message.ack()
            else:
                self._uplink.handle(
                    topic.endpoint, decoded, "json", self._replier(topic.endpoint), message.ack
                )

    def _refuse(self, topic: Topic, message: Message, code: Code, reason: Refusal) -> None:
        if topic.kind == "resp":
            self._operations.refuse(topic.endpoint, topic.token, f"unintelligible response: {reason}")
            message.ack()
            return
        reply = self._replier(topic.endpoint)
        self._uplink.refuse(topic.endpoint, _OPERATIONS[topic.kind], code, reason, reply, message.ack)

    def _replier(self, endpoint: str) -> Callable[[Response], None]:
        def reply(response: Response) -> None:
            if response.operation is Operation.NOTIFY or self._connection is None:
                return  # a Notify has no answer; a request that got none comes again
            topic, payload = json_profile.encode_downlink(endpoint, response, self._prefix)
            with suppress(MqttError):
                self._connection.publish(topic, payload, qos=1)

        return reply

    def _drop(self, message: Message, reason: str) -> None:
        self._metrics.foreign(reason)
        _sparing.warning("message_dropped", reason=reason, topic=message.topic[:200])
        message.ack()

    def _options(self) -> ConnectOptions:
        return ConnectOptions(
            client_id=self._settings.mqtt_client_id,
            settings=self._settings,
            clean_start=False,
            session_expiry=self._settings.mqtt_session_expiry,
            receive_maximum=self._settings.mqtt_receive_maximum,
        )

    async def _session(self, connection: Connection, stopping: asyncio.Event) -> None:
        try:
            # Before the SUBACK already: a kept session delivers at once, and devices want answers.
            self._connection = connection
            filters = (*json_profile.up_filters(self._prefix), *_PRESENCE)
            await connection.subscribe(*map(Subscription, filters))
            log.info("subscribed", session_present=connection.session_present, filters=len(filters))
            await stopping.wait()
            self._stopping = True
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self._settled()
            await asyncio.sleep(0)  # the acknowledgements just given leave with the next turn of the loop
        finally:
            self._connection = None


def _check_size(payload: bytes) -> None:
    if len(payload) > MAX_MESSAGE_BYTES:
        raise InvalidValueError("payload", f"{len(payload)} bytes", f"at most {MAX_MESSAGE_BYTES} bytes")


def _log_state(connected: bool, reason: str) -> None:
    log.info("mqtt_connected" if connected else "mqtt_disconnected", reason=reason)
