"""The monitor as a terminal application."""

import time
from datetime import datetime
from typing import ClassVar, Final

from rich.text import Text
from textual import events, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import ContentSwitcher, DataTable, Footer, Input, Static

from testbed.monitor import view
from testbed.monitor.collect import Collector
from testbed.monitor.filter import Filter
from testbed.monitor.messages import ALL, Messages
from testbed.monitor.model import Snapshot
from testbed.monitor.panes import Bridge, Connections, Overview, Topics
from testbed.monitor.table import Pane, Rows
from testbed.monitor.watched import Alerts, Devices

PANES: Final[tuple[type[Pane], ...]] = (Overview, Connections, Bridge, Topics, Messages, Devices, Alerts)
_ROOMY: Final = 30
"""Terminal lines from which parts get space between them."""
_HELP: Final = "words, device:NAME, topic:NAME"


class Monitor(App[None]):
    """Shows a snapshot every `interval` seconds; what only one tab shows is asked for while it is seen."""

    CSS = """
    Screen { layout: vertical; }
    #title { height: 1; background: $primary-darken-2; color: $text; padding: 0 1; }
    #tabs { height: 1; padding: 0 1; }
    ContentSwitcher { height: 1fr; }
    Static { padding: 0 1; }
    #checks, #routes { height: auto; }
    #topics, #connections, #all-topics, #records, #devices, #alerts { height: 1fr; }
    #bridge-routes { height: auto; max-height: 50%; }
    #chosen { height: auto; max-height: 3; }
    #details { height: 35%; min-height: 6; border-top: solid $primary; }
    #figures { height: 1fr; border-top: solid $primary; overflow-y: auto; }
    #connection, #alert { height: auto; max-height: 50%; border-top: solid $primary; }
    #filter { height: 1; border: none; padding: 0 1; display: none; }
    .roomy #checks, .roomy #routes, .roomy #chosen, .roomy #tabs { margin-bottom: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "refresh", "Refresh"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("m", "toggle_messages", "Messages"),
        Binding("tab", "step_topic(1)", "Topic", priority=True),
        Binding("shift+tab", "step_topic(-1)", "Previous topic", priority=True, show=False),
        Binding("p", "pause", "Pause"),
        Binding("right", "step_tab(1)", "Next tab", show=False),
        Binding("left", "step_tab(-1)", "Previous tab", show=False),
        *(Binding(str(n), f"open_tab({n})", kind.title, show=False) for n, kind in enumerate(PANES, 1)),
        Binding("escape", "leave", "Back", show=False),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", priority=True, show=False),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, collector: Collector, interval: float) -> None:
        super().__init__()
        self._collector = collector
        self._interval = interval
        self._snapshot = Snapshot(datetime.now().astimezone())
        self._panes = [kind() for kind in PANES]
        for kind, pane in zip(PANES, self._panes, strict=True):
            pane.id = f"pane-{kind.title.lower()}"
        self._at = self._before = 0
        self._due = 0.0
        self._filter = Filter()
        self._paused = False

    def compose(self) -> ComposeResult:
        """Title, tabs, the chosen one, filter, keys."""
        yield Static(id="title")
        yield Static(id="tabs")
        yield ContentSwitcher(*self._panes, initial=self._panes[0].id)
        yield Input(placeholder=_HELP, id="filter", compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to look."""
        self._go(0)
        self.set_interval(self._interval, self._tick)
        self.look()

    def on_resize(self, event: events.Resize) -> None:
        """Use the space there is."""
        self.screen.set_class(event.size.height >= _ROOMY, "roomy")

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter on a topic shows its messages."""
        if event.data_table.id in ("topics", "all-topics"):
            self._messages.topic = event.row_key.value or ALL
            self.action_toggle_messages()

    def on_devices_chosen(self, event: Devices.Chosen) -> None:
        """Show what a device says, on all topics."""
        self._messages.topic = ALL
        self.query_one(Input).value = f"device:{event.device}"
        self._go(PANES.index(Messages))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        self._filter = Filter.parse(event.value)
        self._show()

    def on_input_submitted(self) -> None:
        """Keep the filter, and look deeper for what it wants."""
        self._close_filter()
        self.action_refresh()

    def action_refresh(self) -> None:
        """Look now, also while paused."""
        self.look()
        self.ask()

    def action_pause(self) -> None:
        """Stop and go on."""
        self._paused = not self._paused
        self._show_title()

    def action_filter(self) -> None:
        """Type a filter."""
        line = self.query_one(Input)
        line.display = True
        self.set_focus(line)  # at once: what is typed next belongs to it

    def action_leave(self) -> None:
        """Out of the filter, then out of the tab."""
        if self._filter or self.query_one(Input).display:
            self.query_one(Input).value = ""
            self._close_filter()
        else:
            self._go(0)

    def action_toggle_messages(self) -> None:
        """Change between the messages and the tab before."""
        messages = PANES.index(Messages)
        self._go(self._before if self._at == messages else messages)

    def action_open_tab(self, number: int) -> None:
        """Open a tab by its number."""
        self._go(number - 1)

    def action_step_tab(self, by: int) -> None:
        """Open the next or previous tab."""
        self.action_open_tab((self._at + by) % len(PANES) + 1)

    def action_step_topic(self, by: int) -> None:
        """Choose the next or previous topic."""
        self._messages.step(by)
        for table in self.query(Rows):
            if table.id in ("topics", "all-topics") and self._messages.topic in table.rows:
                table.move_cursor(row=table.get_row_index(self._messages.topic))
        self._show()
        if self._at == PANES.index(Messages):
            self.action_refresh()

    @work(exclusive=True, group="look")
    async def look(self) -> None:
        """Take a snapshot and show it; a newer look replaces one that is still under way."""
        self._snapshot = await self._collector.snapshot()
        self._messages.know(self._snapshot)
        self._show()

    @work(exclusive=True, group="ask")
    async def ask(self) -> None:
        """Ask for what the open tab alone shows."""
        at = self._at
        await self._panes[at].load(self._collector, self._filter)
        self._due = time.monotonic() + self._panes[at].every
        if at == self._at:
            self._show()

    def _tick(self) -> None:
        reading = self._panes[self._at] is self._messages and self._messages.reading
        if self._paused or reading:
            return
        busy = {worker.group for worker in self.workers if worker.is_running}
        if "look" not in busy:
            self.look()
        if "ask" not in busy and time.monotonic() >= self._due:
            self.ask()

    @property
    def _messages(self) -> Messages:
        return next(pane for pane in self._panes if isinstance(pane, Messages))

    def _go(self, at: int) -> None:
        if at != self._at:
            self._before, self._at = self._at, at
        self.query_one(ContentSwitcher).current = self._panes[at].id
        self._panes[at].query_one(Rows).focus()
        self._show()
        self.ask()

    def _close_filter(self) -> None:
        self.query_one(Input).display = False
        self._panes[self._at].query_one(Rows).focus()

    def _show(self) -> None:
        self._panes[self._at].show(self._snapshot, self._filter)
        self._show_title()

    def _show_title(self) -> None:
        snapshot = self._snapshot
        down = [check.name for check in snapshot.checks if check.state == "down"]
        title = Text("IoT testbed", "bold", overflow="ellipsis", no_wrap=True)
        title.append(f"  {snapshot.at:%H:%M:%S}  {view.rate(snapshot.rate)} records/s")
        if self._paused:
            title.append("  PAUSED", "bold yellow")
        if self._filter:
            title.append(f"  FILTER: {self.query_one(Input).value}", "bold yellow")
        if down:
            title.append(f"  DOWN: {', '.join(down)}", "bold red")
        self.query_one("#title", Static).update(title)
        tabs = Text(no_wrap=True, overflow="ellipsis")
        for at, kind in enumerate(PANES):
            tabs.append(f"{at + 1} {kind.title}", "bold reverse" if at == self._at else "dim")
            tabs.append("  ")
        self.query_one("#tabs", Static).update(tabs)
