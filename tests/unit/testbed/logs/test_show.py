import io
import json
from datetime import datetime

import pytest
from rich.console import Console

from testbed.logs.line import LogLine
from testbed.logs.show import plain, readable

AT = datetime.fromisoformat("2026-11-25T10:11:12.345")
TODAY = AT.astimezone()
EVENT = {
    "event": "command_sent",
    "level": "info",
    "timestamp": "2026-11-25T09:11:12.345000Z",
    "logger": "lwm2m_server.commands",
    "service": "lwm2m-server",
    "endpoint": "device-temp-001",
    "path": "/3303/0/5700",
    "note": "two words",
    "attempts": 1,
    "nothing": None,
}


def line(text, part="lwm2m-server"):
    return LogLine(part, text if isinstance(text, str) else json.dumps(text), AT.timestamp())


def shown(text, *, with_part=True, today=TODAY):
    return readable(line(text), with_part=with_part, today=today).plain


def test_an_event_is_one_readable_line():
    assert shown(EVENT) == (
        "10:11:12.345 lwm2m-server         command_sent  endpoint=device-temp-001  path=/3303/0/5700"
        '  note="two words"  attempts=1'
    )


def test_lines_of_other_days_say_so():
    assert shown(EVENT, today=TODAY.replace(day=26)).startswith("11-25 10:11:12.345 ")


def test_warnings_and_errors_stand_out():
    text = readable(line(EVENT | {"level": "warning"}), with_part=False, today=TODAY)
    assert text.plain[13:33] == "warning command_sent"
    assert any("yellow" in str(span.style) for span in text.spans)


def test_an_exception_stands_below_its_event():
    lines = shown(EVENT | {"exception": 'Traceback:\n  File "x"\nValueError: no'}).splitlines()
    assert [text.strip() for text in lines[1:]] == ["Traceback:", 'File "x"', "ValueError: no"]


@pytest.mark.parametrize("text", ["2026-11-25T10:11:12: New client", '{"no": "event"}', "{broken", "", "[1]"])
def test_other_lines_stay_as_they_are(text):
    assert shown(text, with_part=False) == f"10:11:12.345 {text}"


@pytest.mark.parametrize("hostile", ["\x1b[2J\x1b[31mred", "a\rb", "a\x07b"])
def test_nothing_reaches_the_terminals_controls(hostile):
    for text in (hostile, {**EVENT, "endpoint": hostile, hostile: 1, "event": hostile, "exception": hostile}):
        output = io.StringIO()
        Console(file=output, force_terminal=True, color_system=None).print(
            readable(line(text), with_part=True, today=TODAY)
        )
        assert not set(output.getvalue()) & {"\x1b", "\r", "\x07"}


def test_markup_of_others_is_text():
    console = Console(width=200)
    with console.capture() as capture:
        console.print(readable(line("[red]not red[/red]"), with_part=False, today=TODAY))
    assert "[red]not red[/red]" in capture.get()


def test_programs_get_the_line_as_it_was_written():
    assert plain(line(EVENT), with_part=False) == json.dumps(EVENT)
    assert plain(line("x", part="kafka"), with_part=True) == "kafka                | x"
