"""Replays a dead letter: the message takes the way that it should have taken, without MQTT.

The bridge reads the letter itself, so whoever asks chooses among what it wrote and can bring in nothing of
their own. The route's encoder makes the record, with the births that the bridge knows; neither births nor
device states learn from what is old. Letters of Redpanda Connect hold records that only need their topic.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import orjson

from iiot import dead_letters, json_input, replays, schemas
from iiot.dead_letters import DeadLetter
from iiot.errors import DecodeError, IiotError, KafkaError
from iiot.kafka import Headers, ensure_topics
from iiot.kafka_reader import Record, TopicReader
from iiot.replays import Place
from iiot.sparkplug.births import BirthCatalog
from iiot.topics import REPLAYED, dlq
from mqtt_redpanda_bridge.encode import Context
from mqtt_redpanda_bridge.lane import Lane, RouteCounters
from mqtt_redpanda_bridge.pump import Outlet
from mqtt_redpanda_bridge.routes import RouteTable

DELIVERY_TIMEOUT: Final = 10.0
"""Seconds that Kafka may take."""
_EVENTS: Final = b"/lwm2m-server/events"
"""`ce_source` of what Redpanda Connect writes."""
_NOTICES: Final = ("gap", "reset")
"""Of Redpanda Connect: no events, they tell that some are missing."""


class LetterGoneError(IiotError):
    """There is no such letter, or no more."""


class ReplayedError(IiotError):
    """The letter was replayed before."""


class NotReplayableError(IiotError):
    """The letter would become one again; the text says why."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay writes."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


class Replayer:
    """Makes records of dead letters and delivers them, one at a time.

    Args:
        table: the routes.
        context: what the bridge knows; nothing in it is changed.
        outlet: where records go.
        open_reader: for what Kafka has.
        brokers: where the topic of the marks is made.
    """

    def __init__(
        self, table: RouteTable, context: Context, outlet: Outlet, open_reader: Callable[[], TopicReader],
        brokers: str,
    ) -> None:  # fmt: skip
        self._table = table
        self._context = context
        self._outlet = outlet
        self._open_reader = open_reader
        self._brokers = brokers
        self._one_at_a_time = asyncio.Lock()

    async def replay(self, place: Place, *, dry_run: bool, again: bool) -> Replay:
        """Deliver what a dead letter holds to the topic that it was meant for.

        Args:
            place: of the letter.
            dry_run: only tell what would be written.
            again: also when it was replayed before.

        Raises:
            LetterGoneError: there is no such letter.
            NotReplayableError: it cannot be delivered, still.
            ReplayedError: it was replayed before.
            KafkaError: Kafka does not answer.
        """
        async with self._one_at_a_time:
            record, replayed_ms = await asyncio.to_thread(self._look, place)
            if replayed_ms is not None and not again:
                moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(replayed_ms / 1000))
                raise ReplayedError(f"{place}: replayed at {moment}")
            made = self._make(record)
            if not dry_run:
                await self._produce(made)
                await ensure_topics(self._brokers, [replays.MARKS])
                mark = replays.mark(made.topic, int(time.time() * 1000))
                await self._produce(Replay(REPLAYED, replays.mark_key(record), mark, []))
            return made

    def _look(self, place: Place) -> tuple[Record, int | None]:
        try:
            with closing(self._open_reader()) as reader:
                record = reader.at(place.topic, place.partition, place.offset)
                if record is None:
                    raise LetterGoneError(f"{place}: there is no such record, or no more")
                marks = replays.read_marks(reader.read_all(REPLAYED))
        except KeyError as exc:
            raise LetterGoneError(f"{place}: there is no such topic or partition") from exc
        return record, marks.get(replays.mark_key(record))

    def _make(self, record: Record) -> Replay:
        place = Place.of(record)
        try:
            letter = dead_letters.read(record.value)
            if not letter.is_whole:
                raise NotReplayableError(f"{place}: it has {len(letter.payload)} of {letter.size} bytes")
            is_event = dict(record.headers).get("ce_source", _EVENTS) == _EVENTS
            made = _event(record, letter) if is_event else self._message(letter, record)
        except DecodeError as exc:
            raise NotReplayableError(f"{place}: undecodable: {exc}") from exc
        headers = [*made.headers, ("replayed_from", str(place))]
        return Replay(made.topic, made.key, made.value, headers)

    def _message(self, letter: DeadLetter, record: Record) -> Replay:
        route = self._table.match(letter.topic)
        if route is None:
            raise NotReplayableError(f"{Place.of(record)}: no route takes {letter.topic}")
        known = self._context
        is_birth = "BIRTH/" in letter.topic
        context = Context(births=BirthCatalog() if is_birth else known.births, prefixes=known.prefixes)
        lane = Lane(letter.topic, route, RouteCounters(), context)
        if lane.encoder is None:
            raise DecodeError(f"illegal topic: {lane.illegal}")
        topic = route.topic if lane.topic_of is None else lane.topic_of(letter.payload)
        if topic is None:
            raise NotReplayableError(f"{Place.of(record)}: {letter.topic} holds no telemetry")
        value, headers = lane.encoder.encode(letter.payload, int(record.time.timestamp() * 1000))
        return Replay(topic, lane.encoder.key, lane.prefix + value, headers)

    async def _produce(self, made: Replay) -> None:
        report: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

        def on_delivery(error: str | None) -> None:
            if not report.done():
                report.set_result(error)

        self._outlet.produce(made.topic, made.key, made.value, made.headers, on_delivery)
        try:
            error = await asyncio.wait_for(report, DELIVERY_TIMEOUT)
        except TimeoutError as exc:
            raise KafkaError(f"{made.topic}: no delivery report; the record may still arrive") from exc
        if error is not None:
            raise KafkaError(f"{made.topic}: {error}")


def _event(record: Record, letter: DeadLetter) -> Replay:
    """The record that Redpanda Connect would have written, had it taken the event."""
    if dlq(letter.topic) != record.topic:
        raise NotReplayableError(f"{Place.of(record)}: a letter for {letter.topic} in another's topic")
    try:
        event = orjson.loads(letter.payload)
    except ValueError as exc:
        raise DecodeError(f"not JSON: {exc}") from exc
    if not isinstance(event, dict) or event.get("type") in _NOTICES or not event.get("endpoint"):
        raise DecodeError(f"not an event of a device: {letter.reason}")
    json_input.check_nesting(letter.payload, "event")
    number, moment = event.get("id"), event.get("timestamp")
    endpoint = str(event["endpoint"])
    told = {
        "event_id": number,
        "ce_specversion": "1.0",
        "ce_id": number,
        "ce_source": _EVENTS.decode(),
        "ce_type": f"iot.lwm2m.{event.get('type') or 'unknown'}",
        "ce_subject": endpoint,
        "ce_time": moment,
        "ce_dataschema": schemas.uri(schemas.LWM2M_EVENT),
        "content-type": "application/json",
    }
    headers: Headers = [(name, str(value)) for name, value in told.items() if value is not None]
    return Replay(letter.topic, endpoint.encode(), letter.payload, headers)
