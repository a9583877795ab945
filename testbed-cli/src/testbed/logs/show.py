"""A log line for people: time, part, what happened, and what it says about it."""

from datetime import datetime
from typing import Any, Final

import orjson
from rich.text import Text

from testbed.logs.line import LogLine
from testbed.text import printable

PART_WIDTH: Final = 20
_LEVELS: Final = {"debug": "dim", "warning": "yellow", "error": "bold red", "critical": "bold red"}
_NOT_TOLD: Final = frozenset({"event", "timestamp", "level", "logger", "service", "exception"})


def plain(line: LogLine, *, with_part: bool) -> str:
    """The line as it was written, for programs."""
    return f"{line.part:<{PART_WIDTH}} | {line.text}" if with_part else line.text


def readable(line: LogLine, *, with_part: bool, today: datetime) -> Text:
    """The line for a terminal; JSON is taken apart, other lines stay as they are."""
    shown = Text()
    moment = datetime.fromtimestamp(line.at).astimezone()
    date = "" if moment.date() == today.date() else f"{moment:%m-%d} "
    shown.append(f"{date}{moment:%H:%M:%S}.{moment.microsecond // 1000:03d} " if line.at else "", "dim")
    if with_part:
        shown.append(f"{line.part:<{PART_WIDTH}} ", "cyan")
    event = _event(line.text)
    if event is None:
        return shown.append(printable(line.text))
    level = str(event.get("level", "info"))
    shown.append(printable(f"{level} " if level in _LEVELS else ""), _LEVELS.get(level, ""))
    shown.append(printable(str(event.get("event", ""))), f"bold {_LEVELS.get(level, '')}".strip())
    for name, value in event.items():
        if name not in _NOT_TOLD and value is not None:
            shown.append(f"  {printable(name)}=", "dim")
            shown.append(_value(value))
    for told in str(event.get("exception", "")).splitlines():
        shown.append(f"\n    {printable(told)}", "dim")
    return shown


def _event(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        event = orjson.loads(text)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return printable(f'"{text}"' if " " in text and isinstance(value, str) else text)
