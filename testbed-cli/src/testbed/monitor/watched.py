"""The tabs that ask for more than a snapshot holds: devices, alerts."""

from datetime import datetime
from typing import Final

from rich.text import Text
from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import DataTable, Static

from testbed.monitor import view
from testbed.monitor.alerts import AlertLine
from testbed.monitor.collect import Collector
from testbed.monitor.devices import DeviceLine, DeviceList
from testbed.monitor.filter import Filter
from testbed.monitor.model import Snapshot
from testbed.monitor.table import Pane, Row, Rows, number
from testbed.text import printable

_DEVICE_STYLES: Final = {
    "online": "green",
    "born": "green",
    "sleeping": "cyan",
    "stale": "yellow",
    "offline": "bold red",
    "dead": "bold red",
}
_ALERT_STYLES: Final = {"critical": "bold red", "warning": "yellow"}


class Devices(Pane):
    """Each device as both sides see it: its registration, and its Sparkplug state."""

    title = "Devices"
    every = 3.0

    class Chosen(Message):
        """A person wants to see what this device says."""

        def __init__(self, device: str) -> None:
            super().__init__()
            self.device = device

    def __init__(self) -> None:
        super().__init__()
        self._found: DeviceList | None = None

    def compose(self) -> ComposeResult:
        """How many, and one table."""
        yield Static("asking ...", id="devices-note")
        yield Rows(
            "device", "LwM2M", "updated", "Sparkplug", "born", "seen", "gaps", "rebirths",
            id="devices",
        )  # fmt: skip

    async def load(self, collector: Collector, wanted: Filter) -> None:
        """Ask both sides."""
        self._found = await collector.devices(wanted.device[0] if wanted.device else "")

    def show(self, snapshot: Snapshot, wanted: Filter) -> None:
        """Bring the tab up to date."""
        found = self._found
        if found is None:
            return
        shown = [line for line in found.lines if _is_wanted(line, wanted)]
        note = Text(f"{len(shown):,} of {found.total:,} devices")
        good = sum(line.good for line in shown)
        note.append(
            f", {len(shown) - good:,} of them not on both sides" if good < len(shown) else "", "yellow"
        )
        for problem in found.problems:
            note.append(f"  {problem}", "bold red")
        self.query_one("#devices-note", Static).update(note)
        self.query_one(Rows).show([_device(line, snapshot.at) for line in shown])

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter on a device shows its messages."""
        event.stop()
        self.post_message(self.Chosen(event.row_key.value or ""))


class Alerts(Pane):
    """What Prometheus alerts, and what the chosen alert means."""

    title = "Alerts"
    every = 3.0

    def __init__(self) -> None:
        super().__init__()
        self._asked = False
        self._found: list[AlertLine] | None = None
        self._rows: dict[str, AlertLine] = {}

    def compose(self) -> ComposeResult:
        """One table, and the words of the chosen alert."""
        yield Static("asking ...", id="alerts-note")
        yield Rows("state", "severity", "for", "alert", "what it says", id="alerts")
        yield Static(id="alert", markup=False)

    async def load(self, collector: Collector, wanted: Filter) -> None:
        """Ask Prometheus."""
        self._found = await collector.alerts()
        self._asked = True

    def show(self, snapshot: Snapshot, wanted: Filter) -> None:
        """Bring the tab up to date."""
        if not self._asked:
            return
        note = self.query_one("#alerts-note", Static)
        if self._found is None:
            note.update(Text("Prometheus does not answer, so nobody watches", "bold red"))
        else:
            firing = sum(alert.state == "firing" for alert in self._found)
            note.update(
                Text(f"{firing} firing" if firing else "nothing fires", "bold red" if firing else "green")
            )
        alerts = [alert for alert in self._found or () if wanted.matches(*map(str, alert))]
        self._rows = {str(number): alert for number, alert in enumerate(alerts)}
        self.query_one(Rows).show([_alert(key, alert, snapshot.at) for key, alert in self._rows.items()])
        self._describe()

    def on_data_table_row_highlighted(self) -> None:
        """Follow the cursor."""
        self._describe()

    def _describe(self) -> None:
        alert = self._rows.get(self.query_one(Rows).chosen)
        told = "" if alert is None else f"{alert.description}\ndocs/runbooks.md#{alert.name.lower()}"
        self.query_one("#alert", Static).update(told)


def _is_wanted(line: DeviceLine, wanted: Filter) -> bool:
    return wanted.matches(line.lwm2m, line.sparkplug, device=line.name)


def _device(line: DeviceLine, now: datetime) -> Row:
    born, known = line.devices
    return line.name, (
        Text(printable(line.name)[:40]),
        Text(line.lwm2m, _DEVICE_STYLES.get(line.lwm2m, "dim")),
        number(view.ago(line.updated, now)),
        Text(line.sparkplug, _DEVICE_STYLES.get(line.sparkplug, "dim")),
        number(f"{born}/{known}", "bold red" if born < known else ""),
        number(view.ago(line.seen, now)),
        number(f"{line.gaps:,}", "yellow" if line.gaps else ""),
        number(f"{line.rebirths:,}", "yellow" if line.rebirths else ""),
    )


def _alert(key: str, alert: AlertLine, now: datetime) -> Row:
    style = _ALERT_STYLES.get(alert.severity, "") if alert.state == "firing" else "dim"
    return key, (
        Text(alert.state, style),
        Text(alert.severity, style),
        number(view.ago(alert.since, now)),
        Text(alert.name, style),
        Text(printable(alert.summary)),
    )
