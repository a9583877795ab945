"""A line of a log, and when it was written. Pure."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple

_DATE: Final = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
# JSON of our services; Prometheus and Alertmanager; the start of the line: Mosquitto, Kafka, Redpanda.
_MOMENT: Final = re.compile(rf'"timestamp":"({_DATE})"|\b(?:ts|time)=({_DATE})|^(?:[A-Z]+ +)?\[?({_DATE})')
_EPOCH: Final = re.compile(r"(\d{10})(?:\.\d+)?:? ")


class LogLine(NamedTuple):
    """One line.

    Attributes:
        part: who wrote it.
        text: what, without the end of line.
        at: when, in s since 1970; of a line that does not say, when the one before it was written.
    """

    part: str
    text: str
    at: float


def moment(text: str) -> float | None:
    """When a line was written, s since 1970, as it says itself; local time where it names no zone."""
    found = _MOMENT.search(text)
    if found is None:
        epoch = _EPOCH.match(text)
        return float(epoch[1]) if epoch else None
    return instant(next(filter(None, found.groups())))


def instant(date: str) -> float | None:
    """A date and time in ISO 8601 as s since 1970; fractions finer than µs are cut, as Docker writes them."""
    text = re.sub(r"[.,](\d{1,6})\d*", lambda fraction: f".{fraction[1]:0<6}", date)
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def dated(part: str, texts: Iterable[str], since: float = 0.0) -> Iterator[LogLine]:
    """The lines of one part from `since` on, each with its time."""
    at = 0.0
    for text in texts:
        at = moment(text) or at
        if at >= since:
            yield LogLine(part, text, at)
