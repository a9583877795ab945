"""What all tabs of the monitor are made of."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.containers import Vertical
from textual.widgets import DataTable

from testbed.monitor.collect import Collector
from testbed.monitor.filter import Filter
from testbed.monitor.model import Snapshot

Row = tuple[str, tuple[Text, ...]]
"""A key that stays with the row, and its cells."""


def number(text: str, style: str = "") -> Text:
    """A cell that is read from the right."""
    return Text(text, style, justify="right")


class Rows(DataTable[Text]):
    """A table that changes in place, so that the cursor and the place in it stay."""

    def __init__(self, *columns: str, id: str) -> None:  # noqa: A002 - the toolkit's name for it
        super().__init__(id=id, cursor_type="row", zebra_stripes=True)
        self._titles = columns

    def on_mount(self) -> None:
        """Make the columns."""
        self.add_columns(*self._titles)

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows; the cursor stays on its row, if that is still there, or on the topmost one."""
        keys = [key for key, _ in rows]
        if [key.value for key in self.rows] != keys:
            at = self.chosen if self.cursor_row > 0 else ""
            self.clear()
            for key, cells in rows:
                self.add_row(*cells, key=key)
            if at in keys:
                self.move_cursor(row=keys.index(at))
            return
        columns = list(self.columns)
        for key, cells in rows:
            for column, cell in zip(columns, cells, strict=True):
                self.update_cell(key, column, cell, update_width=True)

    @property
    def chosen(self) -> str:
        """Key of the row under the cursor; empty when there is none."""
        if not self.is_valid_row_index(self.cursor_row):
            return ""
        return self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value or ""


class Pane(Vertical):
    """One tab.

    Attributes:
        title: its name.
        every: s between two questions for what only this tab shows.
    """

    title: ClassVar[str]
    every: ClassVar[float] = 0.0

    DEFAULT_CSS = """
    Pane { height: 1fr; }
    Pane DataTable { padding: 0 1; scrollbar-size-vertical: 1; overflow-x: hidden; }
    """

    async def load(self, collector: Collector, wanted: Filter) -> None:
        """Ask for what only this tab shows; called while it is seen."""

    def show(self, snapshot: Snapshot, wanted: Filter) -> None:
        """Bring the tab up to date."""
        raise NotImplementedError
