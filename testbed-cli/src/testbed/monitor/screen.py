"""The monitor as a terminal application."""

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual import events, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import ContentSwitcher, DataTable, Footer, Static

from testbed.monitor import view
from testbed.monitor.collect import Collector
from testbed.monitor.model import Snapshot, TopicLine, sparkline
from testbed.monitor.preview import details, printable, summary

if TYPE_CHECKING:
    from iiot.kafka_reader import Record

NEWEST: Final = 50
"""Records of the chosen topic that are looked at."""
OVERVIEW, MESSAGES = "overview", "messages"
_ROOMY: Final = 30
"""Terminal lines from which parts get space between them."""


class Monitor(App[None]):
    """Shows a snapshot every `interval` seconds; everything else is asked of the collector on demand."""

    CSS = """
    Screen { layout: vertical; }
    #title { height: 1; background: $primary-darken-2; color: $text; padding: 0 1; }
    ContentSwitcher { height: 1fr; }
    #checks, #routes { height: auto; padding: 0 1; }
    #topics { height: 1fr; padding: 0 1; }
    #chosen { height: auto; max-height: 3; padding: 0 1; }
    #records { height: 1fr; padding: 0 1; overflow-x: hidden; }
    #details { height: 35%; padding: 0 1; border-top: solid $primary; }
    .roomy #checks, .roomy #routes, .roomy #chosen { margin-bottom: 1; }
    .roomy #title { margin-bottom: 1; }
    DataTable { scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "refresh", "Refresh"),
        Binding("m", "toggle_messages", "Messages"),
        Binding("tab,right", "step_topic(1)", "Next topic", priority=True, key_display="tab"),
        Binding("shift+tab,left", "step_topic(-1)", "Previous topic", priority=True, show=False),
        Binding("p", "pause", "Pause"),
        Binding("escape", "overview", "Back", show=False),
        Binding("q,ctrl+c", "quit", "Quit", priority=True, key_display="q"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, collector: Collector, interval: float) -> None:
        super().__init__()
        self._collector = collector
        self._interval = interval
        self._snapshot = Snapshot(datetime.now().astimezone())
        self._topic = ""
        self._records: list[Record] = []
        self._paused = False

    def compose(self) -> ComposeResult:
        """Title, the two views, keys."""
        yield Static(id="title")
        with ContentSwitcher(initial=OVERVIEW):
            with Vertical(id=OVERVIEW):
                yield Static("looking around ...", id="checks")
                yield Static(id="routes")
                yield DataTable(id="topics", cursor_type="row", zebra_stripes=True)
            with Vertical(id=MESSAGES):
                yield Static(id="chosen")
                yield DataTable(id="records", cursor_type="row", zebra_stripes=True)
                with VerticalScroll(id="details", can_focus=False):
                    yield Static(id="whole", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to look."""
        self._table("topics").add_columns("Kafka topic", "records", "per second", "last minutes")
        self._table("records").add_columns("time", "key", "message")
        self._table("topics").focus()
        self._show_title()
        self.set_interval(self._interval, self._tick)
        self.look()

    def on_resize(self, event: events.Resize) -> None:
        """Use the space there is."""
        self.screen.set_class(event.size.height >= _ROOMY, "roomy")

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Follow the cursor: it chooses a topic in one table, a record in the other."""
        if event.data_table.id == "topics" and event.row_key.value:
            self._topic = event.row_key.value
        elif event.data_table.id == "records":
            self._show_details()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter on a topic shows its messages."""
        if event.data_table.id == "topics":
            self.action_toggle_messages()

    def action_refresh(self) -> None:
        """Look now, also while paused."""
        self.look()

    def action_pause(self) -> None:
        """Stop and go on."""
        self._paused = not self._paused
        self._show_title()

    def action_toggle_messages(self) -> None:
        """Change between the overview and the messages of the chosen topic."""
        switcher = self.query_one(ContentSwitcher)
        switcher.current = OVERVIEW if switcher.current == MESSAGES else MESSAGES
        self._table("records" if switcher.current == MESSAGES else "topics").focus()
        self.look()

    def action_overview(self) -> None:
        """Leave the messages."""
        if self._shows_messages:
            self.action_toggle_messages()

    def action_step_topic(self, step: int) -> None:
        """Choose the next or previous topic."""
        names = self._filled
        if not names:
            return
        at = names.index(self._topic) if self._topic in names else -step
        self._topic = names[(at + step) % len(names)]
        self._table("topics").move_cursor(row=self._table("topics").get_row_index(self._topic))
        if self._shows_messages:
            self._records = []
            self._show_records()
            self.look()

    @work(exclusive=True)
    async def look(self) -> None:
        """Take a snapshot and show it; a newer look replaces one that is still under way."""
        self._snapshot = await self._collector.snapshot()
        self._show_overview()
        if self._shows_messages and self._topic:
            self._records = await self._collector.newest(self._topic, NEWEST)
            self._show_records()
        self._show_title()

    def _tick(self) -> None:
        # A record that is being read does not move away under the cursor.
        reading = self._shows_messages and self._table("records").cursor_row > 0
        if not self._paused and not reading and not any(w.is_running for w in self.workers):
            self.look()

    @property
    def _shows_messages(self) -> bool:
        return self.query_one(ContentSwitcher).current == MESSAGES

    @property
    def _filled(self) -> list[str]:
        """Topics worth choosing."""
        return [topic.name for topic in self._snapshot.topics if topic.records or topic.name == self._topic]

    def _table(self, name: str) -> DataTable[Text]:
        return self.query_one(f"#{name}", DataTable)

    def _show_title(self) -> None:
        snapshot = self._snapshot
        down = [check.name for check in snapshot.checks if check.state == "down"]
        title = Text("IoT testbed", "bold")
        title.append(f"  {snapshot.at:%H:%M:%S}  {snapshot.rate:,.1f} records/s")
        if self._paused:
            title.append("  PAUSED", "bold yellow")
        if down:
            title.append(f"  DOWN: {', '.join(down)}", "bold red")
        self.query_one("#title", Static).update(title)

    def _show_overview(self) -> None:
        snapshot = self._snapshot
        self.query_one("#checks", Static).update(view.checks(snapshot.checks, self._columns))
        self.query_one("#routes", Static).update(view.routes(snapshot.routes))
        table = self._table("topics")
        names = [topic.name for topic in snapshot.topics]
        if [key.value for key in table.rows] != names:
            table.clear()
            for topic in snapshot.topics:
                table.add_row(*self._cells(topic), key=topic.name)
            if self._topic in names:
                table.move_cursor(row=names.index(self._topic))
            return
        columns = list(table.columns)
        for topic in snapshot.topics:
            for column, cell in zip(columns, self._cells(topic), strict=True):
                table.update_cell(topic.name, column, cell, update_width=True)

    @property
    def _columns(self) -> int:
        return 1 if self.size.width < 70 else 2 if self.size.width < 180 else 3

    def _cells(self, topic: TopicLine) -> tuple[Text, ...]:
        dead = topic.name.endswith(".dlq")
        style = "dim" if dead and not topic.records else "bold red" if dead else ""
        bars = sparkline(topic.history, max(8, min(60, self.size.width - 56)))
        return (
            Text(view.short_name(topic.name), style),
            Text(f"{topic.records:,}", style, justify="right"),
            Text(view.rate(topic.rate), style, justify="right"),
            Text(bars, "cyan"),
        )

    def _show_records(self) -> None:
        chosen = Text()
        for name in self._filled:
            chosen.append(f" {view.short_name(name)} ", "reverse" if name == self._topic else "dim")
        self.query_one("#chosen", Static).update(chosen)
        table = self._table("records")
        table.clear()
        for record in self._records:
            table.add_row(
                Text(f"{record.time:%H:%M:%S}.{record.time.microsecond // 1000:03d}"),
                Text(printable(record.key.decode(errors="replace"))[:24], "cyan"),
                Text(summary(record.value)),
            )
        self._show_details()

    def _show_details(self) -> None:
        at = self._table("records").cursor_row
        whole = details(self._records[at]) if 0 <= at < len(self._records) else "no records"
        self.query_one("#whole", Static).update(whole)
