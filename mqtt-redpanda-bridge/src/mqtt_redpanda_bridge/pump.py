"""The bridge's core: every message from MQTT ends as a delivered record, and only then is acknowledged.

`received = delivered + dead_lettered + in_flight` holds for each route whenever the event loop is free.
Nothing here knows sockets or clocks; the surroundings enter as arguments and callbacks.
"""

from bisect import bisect_left
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from iiot import dead_letters
from iiot.budgets import TOPIC_CHARS
from iiot.errors import DecodeError, KafkaError
from iiot.in_order import LARGE_BYTES, InOrder, Runner, in_thread
from iiot.kafka import DeliveryHandler, Headers, is_refusal, is_too_large, is_topic_missing
from iiot.sparkplug.compression import most_bytes
from iiot.telemetry import get_logger
from iiot.topics import DEVICE_STATE, dlq
from mqtt_redpanda_bridge.encode import Context, dead_letter
from mqtt_redpanda_bridge.lane import LATENCY_BUCKETS, Lane, RouteCounters
from mqtt_redpanda_bridge.routes import RouteTable

MAX_LANES: Final = 32_768
"""MQTT topics whose encoder is kept; beyond that all are forgotten and found again."""

log = get_logger(__name__)


class Incoming(Protocol):
    """A message from the broker, as `iiot.mqtt.Message`."""

    topic: str
    payload: bytes
    duplicate: bool

    def ack(self) -> None:
        """Let the broker forget the message."""


class Outlet(Protocol):
    """Where records go, as `iiot.kafka.KafkaSink`."""

    def produce(
        self, topic: str, key: bytes, value: bytes, headers: Headers, on_delivery: DeliveryHandler
    ) -> None:
        """Take a record; `on_delivery` hears None or the error. `KafkaError`: the record is not taken."""


class Delivery:
    """A message in flight and the record made of it; called with Kafka's delivery report."""

    __slots__ = (
        "_pump",
        "headers",
        "held",
        "is_dead_letter",
        "key",
        "lane",
        "message",
        "number",
        "outstanding",
        "since",
        "topic",
        "tries",
        "value",
    )

    def __init__(
        self, pump: "Pump", lane: Lane, topic: str, message: Incoming, number: int, since: float
    ) -> None:
        self._pump = pump
        self.lane = lane
        self.message = message
        self.number = number
        self.since = since
        self.topic = topic
        self.key = b""
        self.value = b""
        self.headers: Headers = []
        self.is_dead_letter = False
        self.tries = 0
        self.held = 0
        self.outstanding = 1

    def __call__(self, error: str | None) -> None:
        """Take the delivery report."""
        if error is None:
            self._pump.settle(self)
        else:
            self._pump.fail(self, error)


class Companion:
    """The record of a device's state that comes with a message, which is settled once Kafka has both."""

    __slots__ = ("_pump", "delivery", "headers", "key", "number", "topic", "value")

    def __init__(self, pump: "Pump", delivery: Delivery, key: bytes, value: bytes, headers: Headers) -> None:
        self._pump = pump
        self.delivery = delivery
        self.number = delivery.number
        self.topic = DEVICE_STATE
        self.key, self.value, self.headers = key, value, headers
        delivery.outstanding += 1

    def __call__(self, error: str | None) -> None:
        """Take the delivery report."""
        if error is None:
            self._pump.settle(self.delivery)
        else:
            self._pump.fail(self, error)


class Pump:
    """Moves messages; the callbacks are told of changes that the surroundings act on.

    Args:
        run: where large messages are encoded; what arrives meanwhile waits behind them.

    Attributes:
        outlet: replaced when a producer can never deliver again.
        counters: by route name.
        unmatched: messages that no route took; acknowledged, since there is no place for them.
        not_telemetry: messages of a route that are not for Kafka: what servers say, and answers to them, on
            topics that carry both directions.
        in_flight_bytes: payload bytes received and not settled.
        held_bytes: memory of what is in flight: payloads, and records twice, since the producer has a copy.
        lost_letters: of the dead-lettered, messages of which not even a letter without payload could be
            delivered; a line in the log is all that is left of them.
        kafka_errors: delivery reports and refusals that were errors.
        last_error: the latest of them.
        stalled: deliveries that wait for `retry`, because Kafka failed one of them.
        under_pressure: more than `max_bytes` are held, or were and have not halved.
        on_idle: nothing is in flight any more.
        on_stall: Kafka failed a record for a reason that may pass; call `retry` later.
        on_pressure: told of each change of `under_pressure`.
    """

    def __init__(
        self,
        table: RouteTable,
        context: Context,
        outlet: Outlet,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        max_bytes: int,
        run: Runner = in_thread,
    ) -> None:
        self.outlet = outlet
        self.context = context
        self.counters = {route.name: RouteCounters() for route in table.routes}
        self.unmatched = 0
        self.not_telemetry = 0
        self.in_flight = 0
        self.in_flight_bytes = 0
        self.held_bytes = 0
        self.lost_letters = 0
        self.kafka_errors = 0
        self.last_error = ""
        self.stalled: list[Delivery | Companion] = []
        self.on_idle: Callable[[], None] = _ignore
        self.on_stall: Callable[[], None] = _ignore
        self.on_pressure: Callable[[bool], None] = _ignore
        self._table = table
        self._lanes: dict[str, Lane] = {}
        self._clock = clock
        self._wall_clock = wall_clock
        self._max_bytes = max_bytes
        self.under_pressure = False
        self._number = 0
        self._order = InOrder(run)

    def handle(self, message: Incoming) -> None:
        """Take one message from the broker."""
        lane = self._lanes.get(message.topic) or self._open(message.topic)
        if lane is None:
            self.unmatched += 1
            message.ack()
            return
        topic = lane.route.topic if lane.topic_of is None else _choose(lane, message)
        if topic is None:
            self.not_telemetry += 1
            message.ack()
            return
        delivery = self._accept(lane, topic, message)
        work = most_bytes(message.payload)
        if self._order.is_idle and work <= LARGE_BYTES:
            self._encode(delivery)
            self._forward(delivery)
        else:
            self._hold(delivery)
            self._order.add(work, partial(self._encode, delivery), partial(self._forward, delivery))

    def bury(self, message: Incoming, reason: str) -> None:
        """Take a message that somebody before the pump failed to hand on, as a dead letter."""
        lane = self._lanes.get(message.topic) or self._open(message.topic)
        if lane is None:
            self.unmatched += 1
            message.ack()
            return
        delivery = self._accept(lane, lane.route.topic, message)
        self._order.add(0, partial(self._bury, delivery, reason), partial(self._forward, delivery))

    def in_order(self, payload: bytes, work: Callable[[], None]) -> None:
        """Work on a payload that is no message of this bridge, in its turn among the messages."""
        self._order.add(most_bytes(payload), work, _ignore)

    def settle(self, delivery: Delivery) -> None:
        """Kafka has a record: with the last one of a message, count and acknowledge it."""
        delivery.outstanding -= 1
        if delivery.outstanding:
            return
        counters, message = delivery.lane.counters, delivery.message
        if delivery.is_dead_letter:
            counters.dead_lettered += 1
        else:
            counters.delivered += 1
            counters.delivered_bytes += len(delivery.value)
            latency = self._clock() - delivery.since
            counters.latency_sum += latency
            counters.latency_counts[bisect_left(LATENCY_BUCKETS, latency)] += 1
        counters.in_flight -= 1
        self.in_flight -= 1
        self.in_flight_bytes -= len(message.payload)
        self.held_bytes -= delivery.held
        message.ack()
        if self.under_pressure and self.held_bytes <= self._max_bytes // 2:
            self.under_pressure = False
            self.on_pressure(False)
        if not self.in_flight:
            self.on_idle()

    def fail(self, delivery: Delivery | Companion, error: str) -> None:
        """Kafka does not have the record: dead-letter what it will never take, keep the rest for `retry`."""
        self.kafka_errors += 1
        self.last_error = error
        if is_refusal(error):
            if isinstance(delivery, Companion):
                log.warning("device_state_refused", key=delivery.key.decode(), error=error)
                self.settle(delivery.delivery)
                return
            self._bury_smaller(delivery, error)
            return
        if isinstance(delivery, Delivery) and delivery.is_dead_letter and is_topic_missing(error):
            delivery.tries += 1
            if delivery.tries >= dead_letters.TRIES:
                self._give_up(delivery, error)
                return
        self.stalled.append(delivery)
        if len(self.stalled) == 1:
            log.warning("kafka_delivery_failed", topic=delivery.topic, error=error)
            self.on_stall()

    def retry(self) -> None:
        """Produce again what Kafka failed and what arrived since, in order of arrival."""
        waiting = sorted(self.stalled, key=lambda delivery: delivery.number)
        self.stalled = []
        for delivery in waiting:
            self._send(delivery)

    def _accept(self, lane: Lane, topic: str, message: Incoming) -> Delivery:
        """Count a message as received and in flight."""
        size = len(message.payload)
        counters = lane.counters
        counters.received += 1
        counters.received_bytes += size
        counters.redelivered += message.duplicate
        counters.in_flight += 1
        self.in_flight += 1
        self.in_flight_bytes += size
        self._number += 1
        return Delivery(self, lane, topic, message, self._number, self._clock())

    def _open(self, topic: str) -> Lane | None:
        if len(self._lanes) >= MAX_LANES:
            self._lanes.clear()
        route = self._table.match(topic)
        if route is None:
            return None
        lane = Lane(topic, route, self.counters[route.name], self.context)
        if len(topic) <= TOPIC_CHARS:
            self._lanes[topic] = lane
        return lane

    def _encode(self, delivery: Delivery) -> None:
        lane, message = delivery.lane, delivery.message
        encoder = lane.encoder
        if encoder is None:
            self._bury(delivery, f"illegal topic: {lane.illegal}")
            return
        now_ms = int(self._wall_clock() * 1000)
        try:
            value, delivery.headers = encoder.encode(message.payload, now_ms)
            delivery.value = lane.prefix + value
            delivery.key = encoder.key
        except DecodeError as exc:
            self._bury(delivery, f"undecodable: {exc}")
        except Exception as exc:  # a payload that trips over a bug must not stop the others
            log.exception("message_encoding_failed", topic=message.topic, size=len(message.payload))
            self._bury(delivery, f"internal error: {exc!r}")

    def _forward(self, delivery: Delivery) -> None:
        self._hold(delivery)
        companion = self._companion(delivery)
        self._send(delivery)
        if companion is not None:
            self._send(companion)

    def _companion(self, delivery: Delivery) -> Companion | None:
        try:
            update = self.context.states.take()
        except Exception:
            log.exception("device_state_failed", topic=delivery.message.topic)
            return None
        return None if update is None else Companion(self, delivery, *update)

    def _hold(self, delivery: Delivery) -> None:
        held = len(delivery.message.payload) + 2 * len(delivery.value)
        self.held_bytes += held - delivery.held
        delivery.held = held
        if self.held_bytes > self._max_bytes and not self.under_pressure:
            self.under_pressure = True
            self.on_pressure(True)

    def _bury_smaller(self, delivery: Delivery, error: str) -> None:
        """Kafka will never take this record: bury the message, or of a dead letter less of the payload."""
        if not delivery.is_dead_letter:
            self._bury(delivery, error)
        elif is_too_large(error) and (smaller := dead_letters.shrink(delivery.value)):
            delivery.value = smaller
        else:
            self._give_up(delivery, error)
            return
        self._hold(delivery)
        self._send(delivery)

    def _give_up(self, delivery: Delivery, error: str) -> None:
        self.lost_letters += 1
        log.error(
            "dead_letter_not_delivered",
            topic=delivery.message.topic,
            size=len(delivery.message.payload),
            reason=dict(delivery.headers)["error"],
            to=delivery.topic,
            error=error,
        )
        self.settle(delivery)

    def _bury(self, delivery: Delivery, reason: str) -> None:
        lane, message = delivery.lane, delivery.message
        log.debug("dead_letter", topic=message.topic, size=len(message.payload), reason=reason)
        delivery.key = lane.encoder.key if lane.encoder else message.topic.encode()
        delivery.value, delivery.headers = dead_letter(
            message.topic,
            message.payload,
            reason,
            delivery.key.decode(),
            int(self._wall_clock() * 1000),
        )
        delivery.topic = dlq(lane.route.topic)
        delivery.is_dead_letter = True

    def _send(self, delivery: Delivery | Companion) -> None:
        if self.stalled:
            # Overtaking what waits would break the order per device.
            self.stalled.append(delivery)
            return
        try:
            self.outlet.produce(delivery.topic, delivery.key, delivery.value, delivery.headers, delivery)
        except KafkaError as exc:
            self.fail(delivery, str(exc))
        except Exception as exc:  # the client takes no such record: nor will it later
            log.exception("record_not_produced", topic=delivery.topic)
            self.fail(delivery, f"_INVALID_ARG: {exc!r}")


def _choose(lane: Lane, message: Incoming) -> str | None:
    """The Kafka topic for a payload; the route's own when that fails, and so will the encoder."""
    try:
        return lane.topic_of(message.payload) if lane.topic_of else lane.route.topic
    except Exception:
        log.exception("message_topic_failed", topic=message.topic, size=len(message.payload))
        return lane.route.topic


def _ignore(*_: object) -> None:
    pass
