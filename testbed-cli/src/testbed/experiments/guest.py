"""A device of an experiment: one MQTT TLS connection with both protocols, its own certificate and numbers.

It is not the simulator: bare and quick, so that it can also do what a good device never does.
"""

import asyncio
import time
from collections import Counter as Count
from contextlib import suppress
from dataclasses import replace
from typing import Final

from iiot.errors import DecodeError, InvalidValueError, MqttError
from iiot.lwm2m import json_profile
from iiot.lwm2m.message import Code, Command, Deregister, Link, Record, Register, Response, Send, Uplink
from iiot.lwm2m.path import Path
from iiot.mqtt import Backoff, Connection, ConnectOptions, Message, Subscription, Will, keep_connected
from iiot.settings import MqttSettings
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode, MetricDefinition, RebirthRequested, Values
from iiot.sparkplug.topic import NAMESPACE
from testbed.verify.ledger import Counter
from testbed.verify.paths import SEQUENCE_METRIC

GROUP: Final = "IIoT"
ASSET: Final = "asset"
TEMPERATURE: Final = "Sensors/Temperature"
LIFETIME: Final = 300
"""s; what a killed run leaves behind ends by itself."""
VALUE: Final = Path.parse("/3303/0/5700")
LINKS: Final = tuple(Link(Path.parse(path)) for path in ("/1/0", "/3/0", "/3303/0"))
LWM2M_SHARE: Final = 20
"""Every 20th message of a guest is LwM2M, as in the simulators' default fleet."""
FAREWELL: Final = 3.0

_NODE = (MetricDefinition(SEQUENCE_METRIC, DataType.INT64),)
_ASSET = (MetricDefinition(TEMPERATURE, DataType.DOUBLE), MetricDefinition(SEQUENCE_METRIC, DataType.INT64))


class Guest:
    """One device.

    Args:
        name: its id, which its certificate bears.
        mqtt: how it connects.
        numbered: its messages carry numbers, so that the ledger accounts for them.

    Attributes:
        connection: the connection in use, None between two.
        connects: sessions that came to the births.
        rebirths: rebirth requests that were answered.
        acknowledged: requests that the LwM2M server acknowledged, by code.
    """

    def __init__(self, name: str, mqtt: MqttSettings, *, numbered: bool = True) -> None:
        self.name = name
        self.connection: Connection | None = None
        self.connects = 0
        self.rebirths = 0
        self.acknowledged: Count[str] = Count()
        self.ready = asyncio.Event()
        self._mqtt = mqtt
        self._numbered = numbered
        self._first = time.time_ns() // 1000
        self._last = {"sparkplug": self._first - 1, "lwm2m": self._first - 1}
        self._turn = 0
        self._stopping = asyncio.Event()
        self._edge = EdgeNode(GROUP, name, _NODE, {ASSET: _ASSET}, bd_seq=self._first // 1_000_000 % 256)

    def counters(self) -> list[Counter]:
        """How many messages it has sent, for the ledger."""
        if not self._numbered:
            return []
        return [
            Counter(self.name, stream, self._first, last)
            for stream, last in self._last.items()
            if last >= self._first
        ]

    async def run(self) -> None:
        """Stay connected until `leave`."""
        await keep_connected(
            lambda: ConnectOptions(self.name, self._mqtt, will=self._will),
            self._receive,
            self._session,
            stopping=self._stopping,
            backoff=Backoff(cap=2.0),
        )

    def leave(self) -> None:
        """Say farewell and do not come back."""
        self._stopping.set()

    def send(self, count: int) -> int:
        """Send the next messages of both protocols; returns how many the connection took."""
        connection = self.connection
        if connection is None or not connection.is_open or connection.is_congested:
            return 0
        if connection.in_flight > 500:
            return 0
        for _ in range(count):
            self._turn += 1
            if self._turn % LWM2M_SHARE:
                self._publish_data(connection)
            else:
                self.report(Send(records=(Record(VALUE, 20.0 + self._turn % 10),)))
        return count

    def skip(self) -> None:
        """Use up a Sparkplug sequence number without sending: the gap that a lost message leaves."""
        self._edge.data(ASSET, {TEMPERATURE: 0.0}, _now())

    def register(self) -> None:
        """Register, or register again."""
        self.report(Register(endpoint=self.name, lifetime=LIFETIME, links=LINKS))

    def report(self, message: Uplink) -> None:
        """Publish a message of the LwM2M JSON profile, numbered."""
        topic, payload = json_profile.encode_uplink(self.name, self._with_number(message))
        self.publish(topic, payload, qos=1)

    def publish(self, topic: str, payload: bytes, qos: int = 0) -> None:
        """Publish anything.

        Raises:
            MqttError: it is not connected.
        """
        if self.connection is None:
            raise MqttError(f"{self.name} is not connected")
        self.connection.publish(topic, payload, qos=qos)

    def topic(self, kind: str) -> str:
        """A topic of its own: DDATA and other words of Sparkplug, else a kind of the JSON profile."""
        if kind.isupper():
            device = f"/{ASSET}" if kind.startswith("D") else ""
            return f"{NAMESPACE}/{GROUP}/{kind}/{self.name}{device}"
        return f"lwm2m/{self.name}/{kind}"

    def _will(self) -> Will:
        will = self._edge.next_will()
        return Will(will.topic, will.payload, will.qos)

    async def _session(self, connection: Connection) -> None:
        sparkplug = (Subscription(topic, qos=1) for topic in self._edge.subscriptions)
        lwm2m = map(Subscription, json_profile.down_filters(self.name))
        await connection.subscribe(*sparkplug, *lwm2m)
        self.connection = connection
        try:
            self._births()
            self.register()
            self.connects += 1
            self.ready.set()
            await self._stopping.wait()
            self.report(Deregister())
            death = self._edge.node_death()
            self.connection = None
            with suppress(MqttError):
                await connection.publish_acked(death.topic, death.payload, timeout=FAREWELL)
            await connection.disconnect(send_will=True)
        finally:
            self.connection = None
            self.ready.clear()

    def _births(self) -> None:
        def values(device: str | None) -> Values:
            return self._number("sparkplug") | ({} if device is None else {TEMPERATURE: 20.0})

        for message in self._edge.births(_now(), values):
            self.publish(message.topic, message.payload)

    def _publish_data(self, connection: Connection) -> None:
        values: Values = {TEMPERATURE: 20.0 + self._turn % 10, **self._number("sparkplug")}
        message = self._edge.data(ASSET, values, _now())
        connection.publish(message.topic, message.payload)

    def _number(self, stream: str) -> dict[str, int]:
        if not self._numbered:
            return {}
        self._last[stream] += 1
        return {SEQUENCE_METRIC: self._last[stream]}

    def _with_number(self, message: Uplink) -> Uplink:
        if not (self._numbered and isinstance(message, Send | Register | Deregister)):
            return message
        self._last["lwm2m"] += 1
        return replace(message, seq=self._last["lwm2m"], timestamp=_now())

    def _receive(self, message: Message) -> None:
        message.ack()
        try:
            if message.topic.startswith(NAMESPACE):
                wanted = self._edge.receive(message.topic, message.payload)
                if any(isinstance(action, RebirthRequested) for action in wanted):
                    self._births()
                    self.rebirths += 1
            else:
                self._answer(message)
        except (DecodeError, InvalidValueError, MqttError):
            return  # what is no request of ours has no answer

    def _answer(self, message: Message) -> None:
        where = json_profile.parse_topic(message.topic)
        request = json_profile.decode_downlink(where, message.payload)
        if isinstance(request, Response):
            self.acknowledged[request.code.dotted] += 1
        elif isinstance(request, Command):
            answer = Response(token=where.token, code=Code.METHOD_NOT_ALLOWED)
            self.publish(*json_profile.encode_uplink(self.name, answer), qos=1)


def _now() -> int:
    return time.time_ns() // 1_000_000
