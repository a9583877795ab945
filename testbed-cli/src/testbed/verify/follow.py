"""Follows the records in Kafka and the devices' counts for as long as someone wants the books kept."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import aiohttp

from testbed.verify.books import Books
from testbed.verify.devices import Answers, SimulatorsError, read_counters
from testbed.verify.paths import read_record
from testbed.verify.source import BATCH, Record, RecordSource

READ_FOR: Final = 0.25
"""s that a read waits for records."""
BEHIND: Final = 10_000
"""ms of age at which the last record of a full batch says that reading does not keep up."""


class Follower:
    """Keeps `books` from an open source and the simulators' answers. One call at a time."""

    def __init__(
        self, source: RecordSource, session: aiohttp.ClientSession, simulators: str, books: Books
    ) -> None:
        self._source = source
        self._session = session
        self._simulators = simulators
        self._books = books
        self._reading_late = False

    async def read(self) -> None:
        """Take the records that have arrived; waits a moment when there are none."""
        # A thread waits for Kafka; the books are kept by the event loop alone.
        records = await asyncio.to_thread(lambda: list(self._source.read(READ_FOR)))
        self._reading_late = _is_late(records)
        for record in records:
            entry = read_record(record.topic, record.value)
            if entry is not None:
                self._books.observe(record.topic, entry, record.stored_ms)

    async def ask(self) -> Answers:
        """Ask the devices, and balance the books.

        Returns:
            What they said; `problems` also tell when Kafka is away or reading does not keep up. Then
            nothing new is called lost.
        """
        try:
            answers = await read_counters(self._session, self._simulators)
        except SimulatorsError as exc:
            answers = Answers(problems=[str(exc)])
        if not await asyncio.to_thread(self._source.is_answering):
            answers.problems.append("Kafka does not answer")
            self._books.behind = True
        else:
            self._books.behind = self._reading_late
            if self._reading_late:
                answers.problems.append("records are read later than they are stored")
        if answers.answered:
            self._books.count(answers.counters, time.monotonic(), time.time_ns() // 1000)
        else:
            self._books.balance(time.monotonic())
        return answers


def _is_late(records: Sequence[Record]) -> bool:
    if len(records) < BATCH:
        return False
    stored_ms = records[-1].stored_ms
    return stored_ms is not None and time.time_ns() // 1_000_000 - stored_ms > BEHIND
