"""The tab that shows the newest records, decoded."""

import asyncio
from collections.abc import Sequence
from typing import Final

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Static

from iiot.kafka_reader import Record
from testbed.monitor import view
from testbed.monitor.collect import Collector
from testbed.monitor.filter import Filter
from testbed.monitor.model import Snapshot
from testbed.monitor.preview import details, summary
from testbed.monitor.table import Pane, Row, Rows
from testbed.text import printable

NEWEST: Final = 50
"""Records of each topic that are looked at."""
SEARCHED: Final = 200
"""Records of each partition among which a filter looks."""
SHOWN: Final = 200
ALL: Final = ""
"""Stands for all topics."""


class Messages(Pane):
    """The newest records of one topic or of all, and the whole of the chosen one.

    Attributes:
        topic: the chosen topic, or `ALL`.
    """

    title = "Messages"
    every = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.topic = ALL
        self._topics: list[str] = []
        self._records: dict[str, Record] = {}
        self._found: list[tuple[Record, str]] | None = None

    def compose(self) -> ComposeResult:
        """Topics, records, the whole of one."""
        yield Static(id="chosen")
        yield Rows("time", "key", "message", id="records")
        with VerticalScroll(id="details", can_focus=False):
            yield Static(id="whole", markup=False)

    @property
    def reading(self) -> bool:
        """A record that is being read shall not move away under the cursor."""
        return self.query_one(Rows).cursor_row > 0

    def step(self, by: int) -> None:
        """Choose the next or previous topic that has records; all of them together come last."""
        choices = [*self._topics, ALL]
        at = choices.index(self.topic) if self.topic in choices else 0
        self.topic = choices[(at + by) % len(choices)]
        self._found = None

    def know(self, snapshot: Snapshot) -> None:
        """Note which topics have records."""
        self._topics = [topic.name for topic in snapshot.topics if topic.records or topic.name == self.topic]

    async def load(self, collector: Collector, wanted: Filter) -> None:
        """Read the topics."""
        topics = [topic for topic in self._topics if self.topic in (ALL, topic)]
        topics = [topic for topic in topics if wanted.matches(topic=topic) or wanted.words]
        records = await collector.newest(topics, SEARCHED if wanted else NEWEST)
        # Beside the event loop and once for each reading: keys are to be answered meanwhile.
        self._found = await asyncio.to_thread(_told, records if wanted else records[:SHOWN])

    def show(self, snapshot: Snapshot, wanted: Filter) -> None:
        """Bring the tab up to date."""
        self.know(snapshot)
        chosen = Text()
        for name in (*self._topics, ALL):
            shown = view.short_name(name) if name else "all"
            chosen.append(f" {shown} ", "reverse" if name == self.topic else "dim")
        self.query_one("#chosen", Static).update(chosen)
        rows: list[Row] = []
        self._records = {}
        for record, told in self._found or ():
            if _is_wanted(record, told, wanted):
                key = f"{record.topic} {record.partition} {record.offset}"
                self._records[key] = record
                rows.append((key, self._cells(record, told)))
            if len(rows) == SHOWN:
                break
        self.query_one(Rows).show(rows)
        self._show_whole()

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Follow the cursor."""
        event.stop()
        self._show_whole()

    def _cells(self, record: Record, told: str) -> tuple[Text, ...]:
        message = Text(f"{view.short_name(record.topic)}  " if self.topic == ALL else "", "dim")
        return (
            Text(f"{record.time:%H:%M:%S}.{record.time.microsecond // 1000:03d}"),
            Text(printable(record.key.decode(errors="replace"))[:24], "cyan"),
            message.append(told, ""),
        )

    def _show_whole(self) -> None:
        record = self._records.get(self.query_one(Rows).chosen)
        nothing = "nothing matches the filter" if self._found else "no records"
        nothing = "reading ..." if self._found is None else nothing
        self.query_one("#whole", Static).update(nothing if record is None else details(record))


def _told(records: Sequence[Record]) -> list[tuple[Record, str]]:
    return [(record, summary(record.value, record.topic)) for record in records]


def _is_wanted(record: Record, told: str, wanted: Filter) -> bool:
    headers = (value.decode(errors="replace") for _, value in record.headers)
    return wanted.matches(told, *headers, device=record.key.decode(errors="replace"), topic=record.topic)
