"""Kafka topics for the page: counts, rates, newest records; Kafka is asked only when a page asks."""

import asyncio
import base64
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

import orjson

from iiot.errors import KafkaError
from iiot.kafka_reader import Count, Record, TopicReader

FRESH: Final = 1.0
STALE: Final = 30.0
MAX_RECORDS: Final = 100
MAX_VALUE: Final = 64 << 10
"""Bytes of a record's value that are shown."""


class Topics:
    """Looks at Kafka from one thread of its own, because the client's calls block."""

    def __init__(self, brokers: str) -> None:
        self._brokers = brokers
        self._thread = ThreadPoolExecutor(1, "kafka-reader")
        self._reader: TopicReader | None = None
        self._counts: dict[str, Count] = {}
        self._rates: dict[str, float] = {}
        self._looked_at = 0.0
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Nothing is opened before somebody looks."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the connections."""
        if self._reader is not None:
            await self._run(self._reader.close)
        self._thread.shutdown(wait=False)

    async def counts(self) -> list[dict[str, Any]]:
        """Every topic: records kept, records ever, and records per second since the last look.

        Raises:
            KafkaError: no broker answers.
        """
        async with self._lock:
            if time.monotonic() - self._looked_at > FRESH:
                await self._look()
            return [
                {
                    "name": name,
                    "records": count.records,
                    "total": count.ends,
                    "rate": self._rates.get(name),
                }
                for name, count in sorted(self._counts.items())
            ]

    async def newest(self, topic: str, limit: int) -> list[dict[str, Any]]:
        """The newest records of a topic, the newest first.

        Raises:
            KafkaError: no broker answers.
            KeyError: there is no such topic.
        """
        async with self._lock:
            if topic not in self._counts:
                await self._look()
            if topic not in self._counts:
                raise KeyError(topic)
            records = await self._run(lambda: self._open().newest(topic, limit))
        return [show_record(record) for record in records]

    async def _look(self) -> None:
        counts: dict[str, Count] = await self._run(lambda: self._open().counts())
        now = time.monotonic()
        seconds = now - self._looked_at
        before = self._counts if seconds < STALE else {}
        self._rates = {
            name: (count.ends - before[name].ends) / seconds
            for name, count in counts.items()
            if name in before and count.ends >= before[name].ends
        }
        self._counts, self._looked_at = counts, now

    async def _run(self, work: Any) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except KafkaError:
            self._counts, self._rates, self._looked_at = {}, {}, 0.0
            raise

    def _open(self) -> TopicReader:
        if self._reader is None:
            self._reader = TopicReader(self._brokers, "console")
        return self._reader


def show_record(record: Record) -> dict[str, Any]:
    """A record as JSON: values that are JSON as such, other text as text, and bytes in base64."""
    return {
        "partition": record.partition,
        "offset": record.offset,
        "time": round(record.time.timestamp() * 1000),
        "key": record.key.decode(errors="replace"),
        "size": len(record.value),
        "value": _value(record.value),
        "headers": {name: value.decode(errors="replace") for name, value in record.headers},
    }


def _value(value: bytes) -> Any:
    if len(value) > MAX_VALUE:
        return value[:MAX_VALUE].decode(errors="replace") + " …"
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        pass
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
