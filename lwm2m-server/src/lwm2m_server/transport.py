"""The broker's side of the server: one MQTT session for both profiles and for births and deaths."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from iiot.errors import MqttError
from iiot.lwm2m.message import Downlink
from iiot.mqtt import Connection, ConnectOptions, Message, Subscription, keep_connected
from lwm2m_server.channel import Channel, Metrics, drop, log
from lwm2m_server.settings import Settings

DRAIN_SECONDS: Final = 2.0
"""How long a stopping server waits for what it received to become durable."""
_SPARKPLUG: Final = "spBv1.0"
_PRESENCE: Final = (f"{_SPARKPLUG}/+/NBIRTH/+", f"{_SPARKPLUG}/+/NDEATH/+")


class Transport:
    """The MQTT session of the server.

    Args:
        settings: broker and client id.
        presence: told `(endpoint, online, acknowledge)` of births and deaths.
        settled: waits until all that was received is durable.
        metrics: counts.

    Attributes:
        channels: the profiles served; a topic belongs to the first that owns it.
    """

    def __init__(
        self,
        settings: Settings,
        presence: Callable[[str, bool, Callable[[], None]], None],
        settled: Callable[[], Awaitable[None]],
        metrics: Metrics,
    ) -> None:
        self.channels: Sequence[Channel] = ()
        self._settings = settings
        self._presence = presence
        self._settled = settled
        self._metrics = metrics
        self._connection: Connection | None = None
        self._stopping = False

    @property
    def connected(self) -> bool:
        """Subscribed and able to send."""
        return self._connection is not None and self._connection.is_open

    @property
    def broker_certificate(self) -> bytes | None:
        """The broker's certificate as DER, None while there is no TLS connection."""
        return None if self._connection is None else self._connection.peer_certificate

    async def run(self, stopping: asyncio.Event) -> None:
        """Stay connected until `stopping` is set."""
        await keep_connected(
            self._options,
            self.handle,
            lambda c: self._session(c, stopping),
            stopping=stopping,
            on_state=_log_state,
        )

    def send(self, endpoint: str, profile: str, message: Downlink) -> None:
        """Publish a message to a device in its profile.

        Raises:
            MqttError: the broker is away.
            InvalidValueError: the profile cannot express it.
        """
        if self._connection is None:
            raise MqttError("not connected")
        channel = self.channel(profile)
        topic, payload = channel.encode(endpoint, message)
        channel.sent(topic, payload)
        self._connection.publish(topic, payload, qos=1)

    def channel(self, profile: str) -> Channel:
        """The channel of a profile."""
        return next(channel for channel in self.channels if channel.name == profile)

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish an answer, if the broker is there; a request that got none comes again."""
        if self._connection is not None:
            with suppress(MqttError):
                self._connection.publish(topic, payload, qos=1)

    def handle(self, message: Message) -> None:
        """Act on a message from the broker."""
        if self._stopping:
            return  # not acknowledged: the broker keeps it for the next start
        if message.retain:
            drop(self._metrics, message, "retained")
        elif message.topic.startswith(_SPARKPLUG):
            _, _, kind, node = message.topic.split("/")
            self._presence(node, kind == "NBIRTH", message.ack)
        else:
            for channel in self.channels:
                if channel.owns(message.topic):
                    channel.handle(message)
                    return
            drop(self._metrics, message, "topic")

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
            profiles = [subscription for channel in self.channels for subscription in channel.subscriptions()]
            await connection.subscribe(*profiles, *map(Subscription, _PRESENCE))
            log.info("subscribed", session_present=connection.session_present, filters=len(profiles) + 2)
            await stopping.wait()
            self._stopping = True
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self._settled()
            await asyncio.sleep(0)  # the acknowledgements just given leave with the next turn of the loop
        finally:
            self._connection = None


def _log_state(connected: bool, reason: str) -> None:
    log.info("mqtt_connected" if connected else "mqtt_disconnected", reason=reason)
