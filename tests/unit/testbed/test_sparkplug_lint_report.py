"""The linter's report for people, of traffic that was made to spoil it."""

import io

from rich.console import Console

from iiot.sparkplug.lint.events import Publish
from iiot.sparkplug.lint.linter import Linter
from testbed.sparkplug_lint.show import print_report

CLEAR_SCREEN = "\x1b[2J"


def printed(*events):
    linter = Linter()
    for event in events:
        linter.feed(event)
    console = Console(file=io.StringIO(), width=400)
    print_report(console, linter, linter.finish())
    return console.file.getvalue()


def test_names_of_peers_do_nothing_to_the_terminal():
    text = printed(
        Publish(1_790_000_000_000, f"spBv1.0/g{CLEAR_SCREEN}/NDATA/[bold]n", b"{}"),
        Publish(1_790_000_000_000, f"spBv1.0/g/NCMD/n{CLEAR_SCREEN}", b"\xff", client=f"c{CLEAR_SCREEN}"),
    )

    assert "\x1b" not in text
    assert "g\\u001b[2J/[bold]n" in text
    assert "client c\\u001b[2J" in text


def test_times_that_no_calendar_has_are_printed_as_they_are():
    for time in (2**62, -(2**62)):
        assert f"{time} ms" in printed(Publish(time, "spBv1.0/g/NDATA/n", b"\xff"))


def test_a_client_that_is_not_known_is_called_so():
    assert "an unknown client" in printed(Publish(1_790_000_000_000, "spBv1.0/g/NCMD/n", b"\xff"))
