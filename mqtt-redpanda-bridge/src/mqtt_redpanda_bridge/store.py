"""What a bridge has to know after a restart: births, and the filters that its session at the broker has.

Births are not retained and a bridge may not ask for a rebirth, which is the host's part. Without them,
integers of DATA messages have no sign and aliases no name until the next birth. The broker keeps the
subscriptions of an earlier configuration with the session, and tells no one which these are.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Final

from iiot.errors import DecodeError, SettingsError
from iiot.sparkplug.births import BirthCatalog
from iiot.sparkplug.payload import decode_payload
from iiot.sparkplug.topic import MessageType, Topic
from iiot.sparkplug.wire import DEFAULT_BUDGET, PayloadBudget
from iiot.telemetry import get_logger

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS births (
    group_id TEXT, edge_node TEXT, device TEXT, payload BLOB, PRIMARY KEY (group_id, edge_node, device)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS filters (
    client_id TEXT, filter TEXT, PRIMARY KEY (client_id, filter)
) WITHOUT ROWID;
"""

log = get_logger(__name__)


class Store:
    """The latest birth of every edge node and device, as it was received, and the session's filters.

    Bridges of a group may share one file.

    Args:
        path: None keeps all in memory.

    Raises:
        sqlite3.Error: the file cannot be opened, or is no database.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._database = sqlite3.connect(path or ":memory:", check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(_SCHEMA)
        self._changes: dict[tuple[str, str, str | None], tuple[Topic, bytes]] = {}
        self._lock = Lock()  # large births are noted in a worker thread

    def put(self, topic: Topic, payload: bytes) -> None:
        """Note a birth; `save` writes it."""
        address = (topic.group, topic.edge_node, topic.device)
        with self._lock:
            # A birth of the node voids those before it, so it has to come behind them.
            self._changes.pop(address, None)
            self._changes[address] = topic, payload

    def save(self) -> int:
        """Write what was noted, in one transaction; the number of births. What cannot be written waits."""
        with self._lock:
            changes, self._changes = self._changes, {}
        try:
            with self._database as database:
                for topic, payload in changes.values():
                    address = (topic.group, topic.edge_node)
                    if topic.message_type is MessageType.NBIRTH:
                        database.execute("DELETE FROM births WHERE group_id = ? AND edge_node = ?", address)
                    row = (*address, topic.device or "", payload)
                    database.execute("REPLACE INTO births VALUES (?, ?, ?, ?)", row)
        except sqlite3.Error as exc:  # the disk is full, or another bridge holds the file for seconds
            log.warning("births_not_saved", count=len(changes), error=str(exc))
            with self._lock:
                self._changes = changes | self._changes
            return 0
        return len(changes)

    def births(self) -> Iterator[tuple[Topic, bytes]]:
        """Every birth, a node's own before those of its devices, which it voids."""
        self.save()
        query = "SELECT group_id, edge_node, device, payload FROM births ORDER BY group_id, edge_node, device"
        with closing(self._database.execute(query)) as rows:
            for group, edge_node, device, payload in rows:
                kind = MessageType.DBIRTH if device else MessageType.NBIRTH
                yield Topic(kind, group, edge_node, device or None), payload

    def load(self, catalog: BirthCatalog, budget: PayloadBudget = DEFAULT_BUDGET) -> int:
        """Teach `catalog` all births; the number of births. Damaged and too large ones are passed over."""
        learnt = 0
        for topic, payload in self.births():
            try:
                learnt += catalog.learn(topic, decode_payload(payload, budget), len(payload))
            except DecodeError:
                continue
        return learnt

    def filters(self, client_id: str) -> frozenset[str]:
        """The filters that the session of this client id may have at the broker."""
        query = "SELECT filter FROM filters WHERE client_id = ?"
        with closing(self._database.execute(query, (client_id,))) as rows:
            return frozenset(row[0] for row in rows)

    def set_filters(self, client_id: str, filters: Iterable[str]) -> None:
        """Remember the session's filters.

        Raises:
            sqlite3.Error: the file cannot be written.
        """
        with self._database as database:
            database.execute("DELETE FROM filters WHERE client_id = ?", (client_id,))
            rows = [(client_id, one) for one in filters]
            database.executemany("INSERT INTO filters VALUES (?, ?)", rows)

    def close(self) -> None:
        """Save and close."""
        self.save()
        self._database.close()


def open_store(path: Path | None) -> Store:
    """The store in a file, or in memory.

    Raises:
        SettingsError: the file cannot be opened, or holds something else.
    """
    try:
        return Store(path)
    except sqlite3.Error as exc:
        raise SettingsError([f"STATE_FILE={path}: {exc}"]) from exc
