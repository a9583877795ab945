"""The dead letters that Kafka has, read without a consumer group. Blocking calls."""

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

from iiot import dead_letters, replays
from iiot.dead_letters import DeadLetter
from iiot.errors import DecodeError, IiotError
from iiot.kafka_reader import Record, TopicReader
from iiot.replays import Place
from iiot.topics import REPLAYED, dlq, is_dlq

_NUMBER: Final = re.compile(r"\d+")


class NoLettersError(IiotError):
    """There is no such topic of dead letters, or no such letter."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters.

    Attributes:
        topic: of the dead letters, with or without `.dlq`; None for all.
        since: nothing older.
        device: key of the record: device id, or whatever else the letter is filed under.
        limit: the newest of each topic at most.
    """

    topic: str | None = None
    since: datetime | None = None
    device: str | None = None
    limit: int = 1000

    def takes(self, record: Record) -> bool:
        """Whether a record is wanted."""
        if self.since is not None and record.time < self.since:
            return False
        return self.device is None or record.key.decode(errors="replace") == self.device


@dataclass(frozen=True, slots=True)
class Found:
    """A record of a dead-letter topic.

    Attributes:
        record: as it is in Kafka.
        letter: what it says; None when it is no dead letter.
        replayed_ms: when it was replayed, UTC ms; None: it was not.
        is_whole: the letter has all of the payload.
    """

    record: Record
    letter: DeadLetter | None
    replayed_ms: int | None
    is_whole: bool

    def without_payload(self) -> Self:
        """What a list needs: thousands of letters with their payloads would need gigabytes."""
        letter = self.letter and replace(self.letter, payload=b"")
        return replace(self, record=replace(self.record, value=b""), letter=letter)

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place.of(self.record)

    @property
    def device(self) -> str:
        """What it is filed under."""
        return self.record.key.decode(errors="replace")

    @property
    def reason(self) -> str:
        """Why the message was not delivered."""
        return "not a dead letter" if self.letter is None else self.letter.reason


@dataclass(frozen=True, slots=True)
class Group:
    """Letters of a topic with the same kind of reason, the newest first."""

    topic: str
    kind: str
    letters: Sequence[Found]


def reading(brokers: str) -> closing[TopicReader]:
    """A reader that is closed at the end."""
    return closing(TopicReader(brokers, "testbed-dlq"))


def read(reader: TopicReader, wanted: Filter) -> list[Found]:
    """The wanted letters, the newest first.

    Raises:
        NoLettersError: there is no such topic.
        KafkaError: Kafka does not answer.
    """
    names = _topics(reader, wanted.topic)
    marks = replays.read_marks(reader.read_all(REPLAYED))
    found = [
        _found(record, marks).without_payload()
        for record in reader.each_of(names, wanted.limit)
        if wanted.takes(record)
    ]
    return sorted(found, key=lambda one: (one.record.time, one.record.offset), reverse=True)


def read_one(reader: TopicReader, place: Place) -> Found:
    """One letter.

    Raises:
        NoLettersError: there is none at this place.
        KafkaError: Kafka does not answer.
    """
    try:
        record = reader.at(place.topic, place.partition, place.offset)
    except KeyError as exc:
        raise NoLettersError(f"{place}: there is no such topic or partition") from exc
    if record is None:
        raise NoLettersError(f"{place}: there is no such record, or no more")
    return _found(record, replays.read_marks(reader.read_all(REPLAYED)))


def grouped(letters: Sequence[Found]) -> list[Group]:
    """By topic and kind of reason, the largest group of a topic first."""
    groups: dict[tuple[str, str], list[Found]] = {}
    for one in letters:
        groups.setdefault((one.record.topic, kind_of(one.reason)), []).append(one)
    made = [Group(topic, kind, found) for (topic, kind), found in groups.items()]
    return sorted(made, key=lambda group: (group.topic, -len(group.letters), group.kind))


def kind_of(reason: str) -> str:
    """What reasons of one kind have in common: their first words, without numbers."""
    return _NUMBER.sub("N", ": ".join(reason.split(": ")[:2]))[:60]


def _topics(reader: TopicReader, wanted: str | None) -> list[str]:
    known = sorted(name for name in reader.counts() if is_dlq(name))
    if wanted is None:
        return known
    name = wanted if is_dlq(wanted) else dlq(wanted)
    if name not in known:
        raise NoLettersError(f"--topic {wanted}: allowed: {', '.join(known) or 'none exists yet'}")
    return [name]


def _found(record: Record, marks: dict[bytes, int]) -> Found:
    try:
        letter = dead_letters.read(record.value)
    except DecodeError:
        letter = None
    is_whole = letter is not None and letter.is_whole
    return Found(record, letter, marks.get(replays.mark_key(record)), is_whole)
