"""The tabs that show a snapshot: overview, connections, bridge, topics."""

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from iiot.topics import is_dlq
from testbed.monitor import view
from testbed.monitor.filter import Filter
from testbed.monitor.model import Snapshot, TopicLine, sparkline
from testbed.monitor.table import Pane, Rows, number
from testbed.text import printable


class Overview(Pane):
    """Everything on one screen."""

    title = "Overview"

    def compose(self) -> ComposeResult:
        """Connections, bridge, topics."""
        yield Static("looking around ...", id="checks")
        yield Static(id="routes")
        yield Rows("Kafka topic", "records", "per second", "last minutes", id="topics")

    def show(self, snapshot: Snapshot, wanted: Filter) -> None:
        """Bring the tab up to date."""
        width = self.app.size.width
        columns = 1 if width < 70 else 2 if width < 180 else 3
        checks = [check for check in snapshot.checks if wanted.matches(check.name, check.detail, check.state)]
        self.query_one("#checks", Static).update(view.checks(checks, columns))
        self.query_one("#routes", Static).update(view.routes(snapshot.routes))
        space = max(8, min(60, width - 56))
        self.query_one(Rows).show(
            [
                (topic.name, (*_topic(topic), Text(sparkline(topic.history, space), "cyan")))
                for topic in snapshot.topics
                if wanted.matches(topic=topic.name)
            ]
        )


class Connections(Pane):
    """Who answers, how, and since when."""

    title = "Connections"

    def __init__(self) -> None:
        super().__init__()
        self._details: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """One table, and all words of the chosen row."""
        yield Rows("", "connection", "for", "how it is", id="connections")
        yield Static(id="connection", markup=False)

    def show(self, snapshot: Snapshot, wanted: Filter) -> None:
        """Bring the tab up to date."""
        self._details = {check.name: printable(check.detail) for check in snapshot.checks}
        self._describe()
        self.query_one(Rows).show(
            [
                (
                    check.name,
                    (
                        view.mark(check.state),
                        Text(check.name),
                        Text(view.ago(check.since, snapshot.at), justify="right"),
                        Text(check.detail, "" if check.state == "up" else view.STYLES[check.state]),
                    ),
                )
                for check in snapshot.checks
                if wanted.matches(check.name, check.detail, check.state)
            ]
        )

    def on_data_table_row_highlighted(self) -> None:
        """Follow the cursor."""
        self._describe()

    def _describe(self) -> None:
        self.query_one("#connection", Static).update(self._details.get(self.query_one(Rows).chosen, ""))


class Bridge(Pane):
    """What the MQTT bridge takes, delivers and cannot deliver."""

    title = "Bridge"

    def compose(self) -> ComposeResult:
        """Routes, and figures of the whole."""
        yield Rows(
            "route", "in/s", "out/s", "received", "delivered", "in flight", "dead", "last minutes",
            id="bridge-routes",
        )  # fmt: skip
        yield Static(id="figures")

    def show(self, snapshot: Snapshot, wanted: Filter) -> None:
        """Bring the tab up to date."""
        space = max(8, min(60, self.app.size.width - 72))
        self.query_one(Rows).show(
            [
                (
                    route.name,
                    (
                        Text(route.name),
                        number(view.rate(route.received_rate)),
                        number(view.rate(route.delivered_rate)),
                        number(f"{route.received:,}"),
                        number(f"{route.delivered:,}"),
                        number(f"{route.in_flight:,}"),
                        number(f"{route.dead_lettered:,}", "bold red" if route.dead_lettered else ""),
                        Text(sparkline(route.history, space), "cyan"),
                    ),
                )
                for route in snapshot.routes
                if wanted.matches(route.name)
            ]
        )
        figures = self.query_one("#figures", Static)
        if not snapshot.figures:
            figures.update(Text("no figures of the bridge: neither it nor Prometheus answers", "yellow"))
            return
        told = Text()
        for figure in snapshot.figures:
            if wanted.matches(figure.name, figure.value):
                told.append(f"{figure.name:<24}")
                told.append(f"{figure.value:>16}\n", "bold red" if figure.worrying else "bold")
        figures.update(told)


class Topics(Pane):
    """How many records each Kafka topic has, and how they come."""

    title = "Topics"

    def compose(self) -> ComposeResult:
        """One table."""
        yield Rows("Kafka topic", "records", "per second", "ever written", "last minutes", id="all-topics")

    def show(self, snapshot: Snapshot, wanted: Filter) -> None:
        """Bring the tab up to date."""
        space = max(8, min(120, self.app.size.width - 72))
        self.query_one(Rows).show(
            [
                (
                    topic.name,
                    (
                        *_topic(topic),
                        number(f"{topic.ever:,}"),
                        Text(sparkline(topic.history, space), "cyan"),
                    ),
                )
                for topic in snapshot.topics
                if wanted.matches(topic=topic.name)
            ]
        )


def _topic(topic: TopicLine) -> tuple[Text, Text, Text]:
    dead = is_dlq(topic.name)
    style = "dim" if dead and not topic.records else "bold red" if dead else ""
    return (
        Text(view.short_name(topic.name), style),
        number(f"{topic.records:,}", style),
        number(view.rate(topic.rate), style),
    )
