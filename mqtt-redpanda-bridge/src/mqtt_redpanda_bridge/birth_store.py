"""Births on disk, so that a restarted bridge still knows what the DATA messages of running devices mean.

Births are not retained and a bridge may not ask for a rebirth, which is the host's part. Without this
file, integers of DATA messages have no sign and aliases no name until the next birth.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from iiot.errors import DecodeError
from iiot.sparkplug.births import BirthCatalog
from iiot.sparkplug.payload import decode_payload
from iiot.sparkplug.topic import MessageType, Topic

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS births (
    group_id TEXT, edge_node TEXT, device TEXT, payload BLOB, PRIMARY KEY (group_id, edge_node, device)
) WITHOUT ROWID
"""


class BirthStore:
    """The latest birth of every edge node and device, as it was received.

    Raises:
        sqlite3.Error: the file cannot be opened, or is no database.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(_SCHEMA)
        self._changes: list[tuple[Topic, bytes]] = []

    def put(self, topic: Topic, payload: bytes) -> None:
        """Note a birth; `save` writes it."""
        self._changes.append((topic, payload))

    def save(self) -> int:
        """Write what was noted, in one transaction; the number of births."""
        changes, self._changes = self._changes, []
        if changes:
            with self._database as database:
                for topic, payload in changes:
                    address = (topic.group, topic.edge_node)
                    if topic.message_type is MessageType.NBIRTH:
                        database.execute("DELETE FROM births WHERE group_id = ? AND edge_node = ?", address)
                    row = (*address, topic.device or "", payload)
                    database.execute("REPLACE INTO births VALUES (?, ?, ?, ?)", row)
        return len(changes)

    def load(self, catalog: BirthCatalog) -> int:
        """Teach `catalog` all births; the number of births. Damaged ones are passed over."""
        learnt = 0
        for topic, payload in self._rows():
            try:
                catalog.learn(topic, decode_payload(payload))
                learnt += 1
            except DecodeError:
                continue
        return learnt

    def close(self) -> None:
        """Save and close."""
        self.save()
        self._database.close()

    def _rows(self) -> Iterator[tuple[Topic, bytes]]:
        # The node's own birth comes first: it voids those of its devices.
        query = "SELECT group_id, edge_node, device, payload FROM births ORDER BY group_id, edge_node, device"
        with closing(self._database.execute(query)) as rows:
            for group, edge_node, device, payload in rows:
                kind = MessageType.DBIRTH if device else MessageType.NBIRTH
                yield Topic(kind, group, edge_node, device or None), payload
