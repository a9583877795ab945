"""Dead letters for people, in 80 columns, and for programs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console

from testbed.dlq.letters import Found, Group, grouped
from testbed.monitor.preview import details
from testbed.text import printable

_WIDTH: Final = 80


def print_groups(console: Console, letters: Sequence[Found]) -> None:
    """A line for each topic and one for each kind of reason, with the newest letter's place."""
    if not letters:
        _line(console, "no dead letters")
    topic = ""
    for group in grouped(letters):
        if group.topic != topic:
            topic = group.topic
            _line(console, f"{sum(one.record.topic == topic for one in letters):>7,}  {topic}")
        newest = group.letters[0]
        where = f"{newest.place.partition}:{newest.place.offset}"
        end = f"{_moment(newest)}  {where:>9}"
        room = _WIDTH - 11 - 2 - len(end)
        _line(console, f"{len(group.letters):>9,}  {_cut(group.kind, room):<{room}}  {end}")


def print_each(console: Console, letters: Sequence[Found]) -> None:
    """Two lines for each letter: place, time and device; size, whether it was replayed, and the reason."""
    if not letters:
        _line(console, "no dead letters")
    for one in letters:
        _line(console, f"{one.place}")
        size = "" if one.letter is None else f"{one.letter.size:,} B"
        state = "replayed  " if one.replayed_ms is not None else ""
        head = f"  {_moment(one)}  {_cut(one.device, 24):<24}  {size:>11}  {state}"
        _line(console, head)
        _line(console, f"  {_cut(one.reason, _WIDTH - 2)}")


def print_one(console: Console, one: Found) -> None:
    """The whole of a letter: place, value, the message decoded, headers, whether it was replayed."""
    for line in details(one.record).split("\n"):
        _line(console, line)
    if one.letter is not None and not one.letter.is_whole:
        _line(console, f"\nof {one.letter.size:,} bytes the letter has {len(one.letter.payload):,}")
    if one.replayed_ms is not None:
        moment = datetime.fromtimestamp(one.replayed_ms / 1000, UTC).isoformat(timespec="seconds")
        _line(console, f"\nreplayed at {moment}")


def groups_as_json(letters: Sequence[Found]) -> list[dict[str, Any]]:
    """Counts by topic and kind of reason."""
    return [_group_as_json(group) for group in grouped(letters)]


def as_json(one: Found) -> dict[str, Any]:
    """A letter without its payload."""
    letter = one.letter
    return {
        "letter": str(one.place),
        "time": one.record.time.isoformat(),
        "device": one.device,
        "reason": one.reason,
        "source": None if letter is None else letter.topic,
        "size": None if letter is None else letter.size,
        "whole": one.is_whole,
        "replayed": one.replayed_ms,
    }


def _group_as_json(group: Group) -> dict[str, Any]:
    return {
        "topic": group.topic,
        "reason": group.kind,
        "letters": len(group.letters),
        "replayed": sum(one.replayed_ms is not None for one in group.letters),
        "newest": as_json(group.letters[0]),
    }


def _moment(one: Found) -> str:
    return f"{one.record.time:%m-%d %H:%M:%S}"


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def _line(console: Console, text: str) -> None:
    clean = "\n".join(map(printable, text.split("\n")))
    console.print(clean, markup=False, highlight=False, soft_wrap=True)
