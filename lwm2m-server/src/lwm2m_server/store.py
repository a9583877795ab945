"""What survives a restart: registrations, events and documents, in one SQLite file (WAL).

Blocking: call it in threads. A commit is safe from the death of this process at once, and from a power cut
within about a second (`synchronous=NORMAL`).
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from iiot.errors import IiotError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events
    (id INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, seq INTEGER, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS registrations (endpoint TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS consumers (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents
    (kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_VERSION = 2
_DELETE_AT_ONCE = 1000
_NOTHING: Mapping[tuple[str, str], bytes | None] = MappingProxyType({})


class StoreError(IiotError):
    """The database cannot be opened, read or written."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event: `body` is its JSON, `seq` its number in the device's ledger stream."""

    id: int
    endpoint: str
    seq: int | None
    body: bytes


class Store:
    """The database.

    Attributes:
        first: the lowest event id ever used here is the one after `first`; ids of a new database start at
            the µs since 1970, so that a cursor from an earlier one is never ahead of them.
        oldest: id of the oldest event kept; `latest + 1` when there is none.
        latest: highest event id used.
        bytes: size of the kept events' bodies.
    """

    def __init__(self, file: Path, keep: int, keep_bytes: int) -> None:
        """Open or create `file`.

        Args:
            file: the database.
            keep: events kept at most.
            keep_bytes: size of the kept events' bodies at most.

        Raises:
            StoreError: not a database, another version's, or the disk says no.
        """
        self._file = file
        self._keep, self._keep_bytes = keep, keep_bytes
        with self._errors():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._write = self._connect()
            self._read = self._connect()
            (self.first,) = self._one("SELECT value FROM meta WHERE name = 'first'")
            oldest, latest, size = self._one("SELECT min(id), max(id), sum(length(body)) FROM events")
        self.latest: int = self.first if latest is None else latest
        self.oldest: int = self.latest + 1 if oldest is None else oldest
        self.bytes: int = size or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._read.close()
        self._write.close()

    def commit(
        self,
        events: Sequence[StoredEvent],
        registrations: Mapping[str, bytes | None],
        positions: Mapping[str, int | None],
        documents: Mapping[tuple[str, str], bytes | None] = _NOTHING,
    ) -> None:
        """Write events, the new state of registrations, consumers' positions and documents, all or nothing.

        A document has a kind and a name. What is None is removed.

        Raises:
            StoreError: nothing was written.
        """
        with self._errors(), self._write:
            self._write.execute("BEGIN IMMEDIATE")
            self._write.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?)", [(e.id, e.endpoint, e.seq, e.body) for e in events]
            )
            for statement, rows in _changes(registrations, positions, documents):
                self._write.executemany(statement, rows)
            latest = events[-1].id if events else self.latest
            size = self.bytes + sum(len(event.body) for event in events)
            oldest, size = self._drop_old(latest, size)
        self.latest, self.oldest, self.bytes = latest, oldest, size

    def events(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Ids and bodies of at most `limit` kept events behind `after`, oldest first.

        Raises:
            StoreError: the disk says no.
        """
        with self._errors():
            query = "SELECT id, body FROM events WHERE id > ? ORDER BY id LIMIT ?"
            return self._read.execute(query, (after, limit)).fetchall()

    def newest(self, limit: int, limit_bytes: int) -> list[tuple[int, bytes]]:
        """The newest events with consecutive ids, oldest first, as many as fit both limits."""
        found: list[tuple[int, bytes]] = []
        with self._errors(), closing(self._read.cursor()) as cursor:
            for row in cursor.execute("SELECT id, body FROM events ORDER BY id DESC LIMIT ?", (limit,)):
                limit_bytes -= len(row[1])
                if limit_bytes < 0 or (found and row[0] != found[-1][0] - 1):
                    break
                found.append(row)
        found.reverse()
        return found

    def numbers(self, limit: int) -> Iterator[tuple[str, int]]:
        """Endpoint and ledger number of those of the newest `limit` events that have one, oldest first."""
        query = "SELECT endpoint, seq FROM events WHERE id > ? AND seq IS NOT NULL ORDER BY id"
        with self._errors():
            yield from self._read.execute(query, (self.latest - limit,))

    def registrations(self) -> list[bytes]:
        """The stored registrations."""
        with self._errors():
            return [body for (body,) in self._read.execute("SELECT body FROM registrations")]

    def documents(self, kind: str) -> dict[str, bytes]:
        """The stored documents of a kind by name."""
        with self._errors():
            return dict(self._read.execute("SELECT name, body FROM documents WHERE kind = ?", (kind,)))

    def positions(self) -> dict[str, int]:
        """The consumers' positions."""
        with self._errors():
            return dict(self._read.execute("SELECT name, position FROM consumers"))

    def _drop_old(self, latest: int, size: int) -> tuple[int, int]:
        # The newest event stays in any case: its id is what the next start counts on from.
        oldest = self.oldest
        at_once = max(1, min(_DELETE_AT_ONCE, self._keep // 100, (latest - oldest) // 10))
        while oldest < latest and (latest - oldest + 1 > self._keep or size > self._keep_bytes):
            oldest = min(oldest + at_once, latest)
            query = "DELETE FROM events WHERE id < ? RETURNING length(body)"
            size -= sum(length for (length,) in self._write.execute(query, (oldest,)).fetchall())
        return oldest, size

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=5, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "journal_size_limit=67108864"):
            connection.execute(f"PRAGMA {pragma}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise StoreError(
                f"{self._file}: made by another version of the server ({version}, not {_VERSION})"
            )
        if version < _VERSION:  # each version only added tables
            connection.executescript(_SCHEMA)
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('first', ?)", (time.time_ns() // 1000,))
            connection.execute(f"PRAGMA user_version={_VERSION}")
        return connection

    def _one(self, query: str) -> tuple[int, ...]:
        row: tuple[int, ...] = self._write.execute(query).fetchone()
        return row

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._file}: {error}") from error


def _changes(
    registrations: Mapping[str, bytes | None],
    positions: Mapping[str, int | None],
    documents: Mapping[tuple[str, str], bytes | None],
) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    yield (
        "DELETE FROM registrations WHERE endpoint = ?",
        [(name,) for name, body in registrations.items() if body is None],
    )
    yield (
        "REPLACE INTO registrations VALUES (?, ?)",
        [(name, body) for name, body in registrations.items() if body is not None],
    )
    yield "DELETE FROM consumers WHERE name = ?", [(name,) for name, at in positions.items() if at is None]
    yield (
        "REPLACE INTO consumers VALUES (?, ?)",
        [(name, at) for name, at in positions.items() if at is not None],
    )
    yield (
        "DELETE FROM documents WHERE kind = ? AND name = ?",
        [key for key, body in documents.items() if body is None],
    )
    yield (
        "REPLACE INTO documents VALUES (?, ?, ?)",
        [(*key, body) for key, body in documents.items() if body is not None],
    )
